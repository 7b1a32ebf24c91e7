"""Reading JSON: the values that Python reads, where things stand, and what no file may do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.json_document import MAX_DEPTH, read_json
from pdwatch.core.yaml_text import MAX_BYTES
from pdwatch.core.yaml_tree import Position, YamlMapping, child, plain

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def problems_of(content: str | bytes) -> list[str]:
    document = read_json(content.encode() if isinstance(content, str) else content)
    return [f"{problem.line}:{problem.column} {problem.message}" for problem in document.problems]


@given(value=VALUES, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_every_value_is_read_as_it_was_written(value: Any, indent: int | None, *, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    document = read_json(text.encode("utf-8", errors="surrogatepass" if ascii_only else "replace"))
    assert document.problems == ()
    assert document.root is not None
    assert plain(document.root) == json.loads(text.encode("utf-8", errors="replace"))


@given(st.binary())
def test_no_bytes_raise(content: bytes) -> None:
    document = read_json(content)
    assert (document.root is None) <= bool(document.problems)


def test_a_value_knows_where_it_stands() -> None:
    root = read_json(b'\xef\xbb\xbf{\n  "a": [1,\n    {"b": "\\u00e9"}],\r\n  "c": null}').root
    assert isinstance(root, YamlMapping)
    assert root.position == Position(line=1, column=1)
    assert root.entries["a"].key_position == Position(line=2, column=3)
    value = child(root, "c")
    assert value is not None
    assert value.position == Position(line=4, column=8)


def test_text_that_yaml_forbids_is_text() -> None:
    root = read_json(b'["\\ud83d\\ude00", "\\u0000", "\x7f"]').root
    assert root is not None
    assert plain(root) == ["😀", "\0", "\x7f"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param("", "1:1 is not JSON: expecting value", id="nothing"),
        pytest.param('{\n  "a": ,\n}', "2:8 is not JSON: expecting value", id="a value is missing"),
        pytest.param("[1] 2", "1:5 is not JSON: extra data", id="two values"),
        pytest.param("[NaN]", "1:1 is not JSON: it has no number NaN", id="NaN"),
        pytest.param(b"\xff", "1:1 is not UTF-8; save the file as UTF-8", id="not UTF-8"),
        pytest.param("[" * 200 + "]" * 200, f"1:102 is nested deeper than {MAX_DEPTH} levels", id="deep"),
        pytest.param("[" * 100_000, f"1:1 is nested deeper than {MAX_DEPTH} levels", id="without bound"),
        pytest.param(" " * (MAX_BYTES + 1), "1:1 is larger than 1 MiB", id="large"),
        pytest.param(
            '{"a": 1,\n "a": 2}', "2:2 a is already on line 1; remove one of them", id="a key twice"
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(content: str | bytes, problem: str) -> None:
    assert problems_of(content) == [problem]


def test_a_key_that_is_there_twice_leaves_the_first_value() -> None:
    root = read_json(b'{"a": 1, "a": 2}').root
    assert root is not None
    assert plain(root) == {"a": 1}
