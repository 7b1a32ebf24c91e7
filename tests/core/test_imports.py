from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdwatch.core import imports
from pdwatch.core.imports import import_specifiers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param('import a from "npm:a";', {"npm:a"}, id="default"),
        pytest.param("import {a, type b as c} from 'npm:a'", {"npm:a"}, id="named, single quotes"),
        pytest.param('import * as a from "npm:a"', {"npm:a"}, id="namespace"),
        pytest.param('import d, * as a from "npm:a"', {"npm:a"}, id="default and namespace"),
        pytest.param('import "npm:a"', {"npm:a"}, id="for its effects"),
        pytest.param('import\n{\n  a, // why\n}\nfrom\n"npm:a"', {"npm:a"}, id="over several lines"),
        pytest.param('import a from "./a.json" with { type: "json" };', {"./a.json"}, id="attributes"),
        pytest.param('import {"a b" as c} from "x"', {"x"}, id="a string as a name"),
        pytest.param('import {from} from "x"', {"x"}, id="a name that is from"),
        pytest.param('import type from "x"', {"x"}, id="a name that is type"),
        pytest.param('import type, {a} from "x"', {"x"}, id="type and others"),
        pytest.param('export * from "x"; export * as y from "y"', {"x", "y"}, id="re-exports"),
        pytest.param('export {a as default} from "x"', {"x"}, id="a named re-export"),
        pytest.param('const a = await import("x")', {"x"}, id="dynamic"),
        pytest.param("import(`x`)", {"x"}, id="dynamic, a template without substitutions"),
        pytest.param('import("x", {with: {type: "json"}})', {"x"}, id="dynamic with attributes"),
        pytest.param('`${await import("x")} import "y"`', {"x"}, id="inside a template's substitution"),
        pytest.param(
            '`a ${`b ${{c: 1}.c} import "y"`} import "y"`; import "x"', {"x"}, id="nested templates"
        ),
        pytest.param('const r = /["\'`]/; import "x"', {"x"}, id="after a regular expression of quotes"),
        pytest.param('const q = a / 2; import "x"; b / 3', {"x"}, id="between divisions"),
        pytest.param('return /import "y"/g.test(z)', set(), id="inside a regular expression"),
        pytest.param('// import "y"\n/* import "y" */', set(), id="comments"),
        pytest.param("/* never closed import 'y'", set(), id="a comment without end"),
        pytest.param("const s = 'import \"y\"'", set(), id="inside a string"),
        pytest.param(r'"\" import "; import "x"', {"x"}, id="an escaped quote"),
        pytest.param('import type {T} from "y"', set(), id="types alone"),
        pytest.param('export type {T} from "y"; export type U = "y"', set(), id="exported types"),
        pytest.param('export {a}\nimport type {T} from "y"', set(), id="a local export before types"),
        pytest.param('export const from = "y"', set(), id="a constant"),
        pytest.param('import(a + "y"); import(`y${b}`)', set(), id="computed"),
        pytest.param('import("y" + a)', set(), id="computed from a string on"),
        pytest.param('x.import("y"); x?.import("y")', set(), id="methods"),
        pytest.param("import.meta.url", set(), id="import.meta"),
        pytest.param('const {importer} = from("y")', set(), id="words that begin alike"),
        pytest.param("`\\", set(), id="a backslash at the end of a template"),
        pytest.param('if (a) /`/.test(b); import "x"', {"x"}, id="after a condition's regular expression"),
        pytest.param('for await (a of b) /`/.test(a); import "x"', {"x"}, id="after that of a loop"),
        pytest.param('if (f(a)) !/`/.test(b); import "x"', {"x"}, id="after one that is denied"),
        pytest.param('f()\n!/`/.test(b); import "x"', {"x"}, id="after one that is denied on its own line"),
        pytest.param('f(a) / `${b}`; import "x"; c / d', {"x"}, id="after a call that is divided"),
        pytest.param('a.if(b) / 2; import "x"; c / d', {"x"}, id="after a method called if"),
        pytest.param('a++ / 2; import "x"; c / d', {"x"}, id="after what is counted up, and divided"),
        pytest.param('a! / 2; import "x"; c / d', {"x"}, id="after what TypeScript vouches for"),
        pytest.param('a.of / 2; import "x"; c / d', {"x"}, id="after a member called like an operator"),
        pytest.param("a = 'b\\'; import \"x\"", {"x"}, id="after a string without end"),
        pytest.param("}/[; import 'x'", {"x"}, id="after a regular expression without end"),
    ],
)
def test_a_module_imports(source: str, expected: set[str]) -> None:
    assert import_specifiers(source) == expected


snippets = st.lists(
    st.sampled_from(
        [*("import ", "export ", "from ", "type ", '"x"', "a"), *"'\"`{}()/\\\n,*=;.", "${", "/*", "*/", "//"]
    ),
    max_size=40,
).map("".join)


@given(st.one_of(st.text(), snippets))
def test_any_text_can_be_read(source: str) -> None:
    assert all(specifier in source for specifier in import_specifiers(source))


@given(st.text(st.characters(exclude_characters="\n*/", exclude_categories=["Cs"])))
def test_a_comment_changes_nothing(text: str) -> None:
    assert import_specifiers(f'/*{text}*/ import {{a}} /*{text}*/ from //{text}\n"x"') == {"x"}


@given(st.text(st.characters(exclude_characters="`$\\", exclude_categories=["Cs"])))
def test_a_template_hides_what_it_says(text: str) -> None:
    assert import_specifiers(f'const t = `{text}`; import "x"; const u = `a{text}`') == {"x"}


@dataclass(slots=True)
class Steps:
    """What reading a source takes on any machine: lines of Python, and characters that patterns read."""

    lines: int = 0
    characters: int = 0

    def trace(self, frame: FrameType, event: str, _argument: Any) -> Any:
        """Count the lines of the module alone; see :func:`sys.settrace`."""
        self.lines += event == "line"
        return self.trace if frame.f_code.co_filename == imports.__file__ else None


@dataclass(frozen=True, slots=True)
class Counted:
    """A pattern whose matches are counted; where it finds nothing, it has looked at two characters."""

    pattern: re.Pattern[str]
    steps: Steps

    def match(self, source: str, place: int) -> re.Match[str] | None:
        found = self.pattern.match(source, place)
        self.steps.characters += found.end() - place if found else 2
        return found


def counted(found: Any, steps: Steps) -> Any:
    """Put counted patterns in the place of a module's."""
    if isinstance(found, re.Pattern):
        return Counted(found, steps)
    return {sign: Counted(body, steps) for sign, body in found.items()}


def steps_to_read(source: str, patterns: Mapping[str, Any]) -> Steps:
    steps, tracer = Steps(), sys.gettrace()
    with pytest.MonkeyPatch.context() as patch:
        for name, found in patterns.items():
            patch.setattr(imports, name, counted(found, steps))
        sys.settrace(steps.trace)
        try:
            import_specifiers(source)
        finally:
            sys.settrace(tracer)
    return steps


PATTERNS = {name: getattr(imports, name) for name in ("_BLANK", "_TEMPLATE_PART", "_WORD", "_BODIES")}
REPEATED = [
    "/[",
    '"\\',
    "'\\'",
    "\\/",
    "/[/ ]",
    "`${",
    "`\\",
    "/*",
    "import ",
    "export {",
    "import {a,",
    "(",
    "!",
]


@settings(max_examples=50)
@given(st.one_of(st.sampled_from(REPEATED), snippets.filter(bool)), st.sampled_from(["", "/", '"', "'", "`"]))
def test_a_source_of_twice_the_length_takes_about_twice_the_steps(repeated: str, opening: str) -> None:
    once, twice = (steps_to_read(opening + repeated * count, PATTERNS) for count in (50, 100))
    assert twice.characters <= 2.3 * once.characters + 20
    assert twice.lines <= 2.3 * once.lines + 200
