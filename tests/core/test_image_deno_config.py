from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.deno_config import config_problem, image_settings, merged_deno_config
from pdwatch.core.model import Problem

ENGINE = {"pipedreamer": "./engine/mod.ts"}


def merged(text: str) -> Any:
    result = merged_deno_config("deno.json", text.encode())
    assert isinstance(result, bytes), result
    return json.loads(result)


def problem(content: bytes) -> Problem:
    result = merged_deno_config("deno.json", content)
    assert isinstance(result, Problem), result
    return result


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        pytest.param(False, {"nodeModulesDir": "manual"}, id="packages alone"),
        pytest.param(True, {"nodeModulesDir": "manual", "vendor": True}, id="modules from URLs"),
    ],
)
def test_the_image_uses_the_trees_as_they_lie_there(*, remote: bool, expected: dict[str, object]) -> None:
    result = merged_deno_config(
        "deno.json", b'{"nodeModulesDir": "auto"}', settings=image_settings(remote=remote)
    )
    assert isinstance(result, bytes)
    assert json.loads(result) == {**expected, "imports": ENGINE}


def test_a_package_json_needs_no_more_than_to_be_an_object() -> None:
    assert config_problem("package.json", b'{"importMap": "x"}') is None
    assert config_problem("package.json", b"1") == Problem(
        path="package.json", line=1, column=1, message="must be an object: { \u2026 }"
    )


def test_without_a_configuration_there_is_only_the_engine() -> None:
    result = merged_deno_config("deno.json", None)
    assert isinstance(result, bytes)
    assert json.loads(result) == {"imports": ENGINE}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("{}", {"imports": ENGINE}, id="empty"),
        pytest.param(
            '{"imports": {"@std/": "./vendor/std/"}, "vendor": true}',
            {"imports": {"@std/": "./vendor/std/", **ENGINE}, "vendor": True},
            id="other imports and keys are kept",
        ),
        pytest.param(
            '{"imports": {"pipedreamer": "../../somewhere/mod.ts"}}',
            {"imports": ENGINE},
            id="the path that serves the editor is replaced",
        ),
        pytest.param(
            '{\n  // why\n  "a": 1, /* and\n how */ "b": [1, 2,],\n}\n',
            {"a": 1, "b": [1, 2], "imports": ENGINE},
            id="comments and trailing commas",
        ),
        pytest.param(
            '{"a": "// no comment", "b": "/* nor */ this,}", "c": "\\",]"}',
            {"a": "// no comment", "b": "/* nor */ this,}", "c": '",]', "imports": ENGINE},
            id="strings that look like comments and commas",
        ),
        pytest.param('\ufeff{"a": "é"}', {"a": "é", "imports": ENGINE}, id="a byte order mark"),
    ],
)
def test_the_engine_joins_the_import_map(text: str, expected: object) -> None:
    assert merged(text) == expected


@pytest.mark.parametrize(
    ("content", "position", "message"),
    [
        pytest.param(b'{"a": 1\n "b": 2}', (2, 2), "is not JSON: Expecting ',' delimiter", id="no comma"),
        pytest.param(b'{/* c */ "a": }', (1, 15), "is not JSON: Expecting value", id="after a comment"),
        pytest.param(
            b'{// c\n /* d\n */ "a": nope}', (3, 10), "is not JSON: Expecting value", id="lines of comments"
        ),
        pytest.param(b"", (1, 1), "is not JSON: Expecting value", id="nothing"),
        pytest.param(b"[]", (1, 1), "must be an object", id="a list"),
        pytest.param(b'{"a": NaN}', (None, None), "is not JSON: NaN is no JSON value", id="NaN"),
        pytest.param(b"[" * 100_000, (None, None), "is not JSON: ", id="endless nesting"),
        pytest.param(b'{"a": "\xff"}', (None, None), "is not UTF-8 text", id="not UTF-8"),
        pytest.param(b'{"imports": []}', (None, None), "must be an object", id="imports that are a list"),
        pytest.param(
            b'{"importMap": "./map.json"}', (None, None), "move its imports", id="a file of imports"
        ),
    ],
)
def test_what_can_not_be_merged_is_a_problem(
    content: bytes, position: tuple[int | None, int | None], message: str
) -> None:
    found = problem(content)
    assert (found.path, found.line, found.column) == ("deno.json", *position)
    assert message in found.message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


@given(st.dictionaries(st.text().filter(lambda key: key not in {"imports", "importMap"}), json_values))
def test_plain_json_comes_through_unchanged(config: dict[str, Any]) -> None:
    assert merged(json.dumps(config, indent=1, ensure_ascii=False)) == {**config, "imports": ENGINE}
