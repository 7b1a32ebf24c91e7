"""Reading YAML: what scalars are, where things stand, and what no file may do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.yaml_document import MAX_VALUES, read_document
from pdwatch.core.yaml_text import MAX_BYTES, MAX_DEPTH, lines_of
from pdwatch.core.yaml_tree import Position, YamlMapping, child, plain, shown


def content_of(text: str) -> Any:
    document = read_document(text.encode())
    assert document.problems == ()
    assert document.root is not None
    return plain(document.root)


def problems_of(content: bytes | str) -> list[str]:
    document = read_document(content.encode() if isinstance(content, str) else content)
    return [f"{problem.line}:{problem.column} {problem.message}" for problem in document.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("FALSE", False),
        ("yes", "yes"),
        ("on", "on"),
        ("NO", "NO"),
        ("0", 0),
        ("-12", -12),
        ("+12", 12),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 15),
        ("-0_17", -15),
        ("0b101", 5),
        ("1__0", "1__0"),
        ("_1", "_1"),
        ("089", 89.0),
        ("1.5", 1.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1.5e3", -1500.0),
        ("1e3", 1000.0),
        ("1.2.3", "1.2.3"),
        ("12:30", "12:30"),
        ("2024-01-02", "2024-01-02"),
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
        ("'5'", "5"),
        ('"true"', "true"),
        ("! 5", "5"),
        ("!!str 5", "5"),
        ("9" * 300, int("9" * 300)),
        ("0x" + "f" * 400, "0x" + "f" * 400),
        ("{a: 1, b: [x, {}]}", {"a": 1, "b": ["x", {}]}),
        ("{1: a, null: b, true: c}", {"1": "a", "null": "b", "true": "c"}),
        ("{a}", {"a": None}),
        ("|\n  two\n  lines\n", "two\nlines\n"),
    ],
)
def test_a_value_is_read_as_the_engine_has_always_read_it(text: str, value: Any) -> None:
    assert content_of(f"key: {text}") == {"key": value}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("a: &x {k: 1}\nb: *x", {"a": {"k": 1}, "b": {"k": 1}}, id="an alias repeats its anchor"),
        pytest.param("a: &x 1\nb: &x 2\nc: *x", {"a": 1, "b": 2, "c": 2}, id="the latest anchor of a name"),
        pytest.param("&k key: 1\nb: *k", {"key": 1, "b": "key"}, id="a key may be an anchor"),
        pytest.param(
            "a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}",
            {"a": {"k": 1, "l": 2}, "b": {"k": 3, "l": 2}},
            id="merge",
        ),
        pytest.param(
            "a: {<<: [{k: 1}, {k: 2, l: 3}]}", {"a": {"k": 1, "l": 3}}, id="the first merged one wins"
        ),
        pytest.param("a: {'<<': 1}", {"a": {"<<": 1}}, id="a quoted << is a key like any other"),
        pytest.param("\ufeffa: 1", {"a": 1}, id="a byte order mark is no content"),
        pytest.param("--- # start\na: 1\n...\n", {"a": 1}, id="document markers"),
        pytest.param("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}, id="Windows line ends"),
    ],
)
def test_yaml_is_understood(text: str, value: Any) -> None:
    assert content_of(text) == value


def test_positions_count_from_one_and_in_characters() -> None:
    root = read_document("é: {ü: x}\nlist:\n  - a\n".encode()).root
    assert isinstance(root, YamlMapping)
    assert root.position == Position(line=1, column=1)
    inner = child(root, "é")
    assert isinstance(inner, YamlMapping)
    assert inner.entries["ü"].key_position == Position(line=1, column=5)
    assert inner.entries["ü"].value.position == Position(line=1, column=8)
    assert root.entries["list"].value.position == Position(line=3, column=3)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param("", "1:1 is empty", id="empty"),
        pytest.param("# x\n", "1:1 is empty", id="comment"),
        pytest.param("a: 1\n---\nb: 2", "2:1 a second document begins here; keep one in each file", id="two"),
        pytest.param(
            b"a: 1\nb: caf\xe9", "2:7 is not UTF-8 (byte 0xe9); save the file as UTF-8", id="Latin-1"
        ),
        pytest.param(
            b"\xef\xbb\xbfa: \xff",
            "1:4 is not UTF-8 (byte 0xff); save the file as UTF-8",
            id="bytes behind a BOM",
        ),
        pytest.param(
            "a".encode("utf-16"), "1:1 is not UTF-8 (byte 0xff); save the file as UTF-8", id="UTF-16"
        ),
        pytest.param("a: \x00", "1:4 the character U+0000 is not allowed in YAML; remove it", id="NUL"),
        pytest.param(
            "a: 1\nb: \x1b[m", "2:4 the character U+001B is not allowed in YAML; remove it", id="ESC"
        ),
        pytest.param(
            "a: \ufeff", "1:4 the character U+FEFF is not allowed in YAML; remove it", id="late BOM"
        ),
        pytest.param("a:\n\t- b", "2:1 YAML can't be indented with a tab; use spaces", id="a tab"),
        pytest.param(
            "a: 1\n\tb: 2", "2:1 YAML can't be indented with a tab; use spaces", id="a tab after text"
        ),
        pytest.param(
            "a: b: c", '1:5 a ":" is out of place; check the indentation, or quote the text', id="colon"
        ),
        pytest.param("a: @x", '1:4 text can\'t begin with "@"; quote it', id="a reserved character"),
        pytest.param("a: !x", "1:4 the tag !x has no meaning here; remove it", id="a local tag"),
        pytest.param("a: !x!y z", '1:4 text that begins with "!" must be quoted', id="an unknown tag handle"),
        pytest.param("a: 'x", "1:4 the quoted text that begins here is not closed", id="an open quote"),
        pytest.param(
            "a: [1,\n  2\nb: 3", '1:4 the list that begins here is not closed; "," or "]" is missing', id="["
        ),
        pytest.param(
            "a: {b: 1\nc: 2", '1:4 the mapping that begins here is not closed; "," or "}" is missing', id="{"
        ),
        pytest.param("a: [\n\n", "1:5 a value was expected here; check the brackets", id="the end in a list"),
        pytest.param("a: 1\n- b", "2:1 `key: value` was expected here; check the indentation", id="no key"),
        pytest.param("- a\nb: 1", "2:1 `- item` was expected here; check the indentation", id="no item"),
        pytest.param(
            "a: - b", '1:4 a list can\'t begin here; put "-" on a line of its own', id="a list in line"
        ),
        pytest.param(
            "%YAML 3.0\n---\na: 1", "1:1 this YAML version is not known; remove the %YAML line", id="3.0"
        ),
        pytest.param(
            'a: "\\ud800"', "1:7 is not valid YAML: found invalid Unicode character escape code", id="\\ud800"
        ),
        pytest.param("a: *b", "1:4 *b repeats nothing; no value before it is marked &b", id="no anchor"),
        pytest.param(
            "a: &x [*x]", "1:8 *x stands inside the value that it repeats, without end", id="recursive"
        ),
        pytest.param("a: 1\nb: 2\na: 3", "3:1 a is already on line 1; remove one of them", id="a key twice"),
        pytest.param(
            "? [x]\n: 1", "1:3 a key must be text; quote text that begins with { or [", id="a list as key"
        ),
        pytest.param(
            "a: {{x}}", "1:5 a key must be text; quote text that begins with { or [", id="a template"
        ),
        pytest.param(
            "a: {<<: 1}", "1:5 << needs a mapping or a list of mappings, such as *defaults", id="merge"
        ),
        pytest.param(
            "a: !!python/object/apply:os.system [x]",
            "1:4 the tag !!python/object/apply:os.system has no meaning here; remove it",
            id="a Python tag",
        ),
        pytest.param(
            "a: !!binary aGk=", "1:4 the tag !!binary has no meaning here; remove it", id="!!binary"
        ),
        pytest.param("a: !!set {x}", "1:4 the tag !!set has no meaning here; remove it", id="!!set"),
        pytest.param("a: .inf", "1:4 .inf is no number in JSON; quote it", id=".inf"),
        pytest.param("a: -.INF", "1:4 -.INF is no number in JSON; quote it", id="-.INF"),
        pytest.param("a: .NaN", "1:4 .NaN is no number in JSON; quote it", id=".NaN"),
        pytest.param("a: 1e999", "1:4 1e999 is no number in JSON; quote it", id="an infinite number"),
        pytest.param(
            "a: " + "9" * 5000, f"1:4 {'9' * 80}… is no number in JSON; quote it", id="an integer beyond JSON"
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(content: bytes | str, problem: str) -> None:
    assert problems_of(content) == [problem]


def test_problems_that_leave_a_tree_come_together_with_it() -> None:
    document = read_document(b"a: 1\na: 2\nb: !x y\nc: .nan")
    assert [problem.line for problem in document.problems] == [2, 3, 4]
    assert isinstance(document.root, YamlMapping)
    assert list(document.root.entries) == ["a", "b", "c"]


LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
MERGED_LAUGHS = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 30)
)
DEEP_ALIASES = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 100))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            "#" * (MAX_BYTES + 1), "is larger than 1 MiB; keep what the nodes read in other files", id="size"
        ),
        pytest.param("[" * MAX_BYTES, f"is nested deeper than {MAX_DEPTH} levels", id="brackets"),
        pytest.param("- " * (MAX_BYTES // 2), f"is nested deeper than {MAX_DEPTH} levels", id="dashes"),
        pytest.param(
            "? " * (MAX_BYTES // 2), f"is nested deeper than {MAX_DEPTH} levels", id="question marks"
        ),
        pytest.param(
            DEEP_ALIASES,
            f"is nested deeper than {MAX_DEPTH} levels, with *a48 written out",
            id="deep aliases",
        ),
        pytest.param(
            LAUGHS, f"has more than {MAX_VALUES} values, with aliases written out", id="billion laughs"
        ),
        pytest.param(
            MERGED_LAUGHS, f"has more than {MAX_VALUES} values, with aliases written out", id="merged laughs"
        ),
        pytest.param(
            "- x\n" * (MAX_VALUES + 1),
            f"has more than {MAX_VALUES} values, with aliases written out",
            id="many items",
        ),
        pytest.param(
            "".join(f"k{n}: x\n" for n in range(MAX_VALUES)),
            f"has more than {MAX_VALUES} values, with aliases written out",
            id="many keys",
        ),
    ],
)
def test_a_hostile_file_meets_a_limit(content: str, message: str) -> None:
    document = read_document(content.encode())
    assert document.root is None
    assert [problem.message for problem in document.problems] == [message]


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def test_one_level_more_than_the_limit_is_refused() -> None:
    column = MAX_DEPTH + 2
    assert problems_of(nested(MAX_DEPTH + 2)) == [f"1:{column} is nested deeper than {MAX_DEPTH} levels"]


def test_the_limits_themselves_are_allowed() -> None:
    assert problems_of("#" * (MAX_BYTES - 5) + "\na: 1") == []
    assert problems_of(nested(MAX_DEPTH + 1)) == []
    assert problems_of("- x\n" * (MAX_VALUES - 1)) == []


YAMLISH = st.text(alphabet="ab01:-?&*!|>'\"%@`#,[]{}<=. \n\t\\\ufeff\x00é", max_size=60)


@given(st.one_of(st.binary(max_size=100), YAMLISH.map(str.encode)))
def test_any_bytes_give_a_tree_or_a_problem_and_never_raise(content: bytes) -> None:
    document = read_document(content)
    assert (document.root is not None) or document.problems
    for problem in document.problems:
        assert problem.line is not None
        assert problem.column is not None
        assert 1 <= problem.line <= len(lines_of(content.decode("latin-1")))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values, max_size=5) | st.dictionaries(st.text(), values, max_size=5),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_json_is_yaml(value: Any) -> None:
    document = read_document(json.dumps({"key": value}).encode())
    if document.root is not None and not document.problems:
        assert plain(document.root) == {"key": value}


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("./nodes/greet.ts", "./nodes/greet.ts"),
        ("two words", '"two words"'),
        ("", '""'),
        ("café au lait", '"café au lait"'),
        ("\x1b[31mred", '"\\u001b[31mred"'),
        ("x" * 100, "x" * 80 + "…"),
    ],
)
def test_a_text_is_shown_so_that_a_terminal_is_safe(text: str, quoted: str) -> None:
    assert shown(text) == quoted
