"""What ``deno check`` prints, as Deno 2.9 does."""

from __future__ import annotations

import pytest

from pdwatch.core.deno_check import Diagnostic, diagnostics

TWO_TYPES = """\
TS2741 [ERROR]: Property 'b' is missing in type '{}' but required in type 'A'.
const x: A = {};
      ^
    at /w/nodes/a.ts:2:7

    'b' is declared here.
    interface A { b: number }
                  ^
        at /w/nodes/a.ts:1:15

TS2322 [ERROR]: Type 'string' is not assignable to type 'number'.
const n: number = "x";
      ^
    at /w/say hi, world.ts:3:7

Found 2 errors.

error: Type checking failed.
"""
SYNTAX = """\
error: SyntaxError: Expression expected
  |
2 |   return (;
  |           ~
    at /w/nodes/b.ts:2:11
"""


def test_each_error_of_types_has_its_own_place_and_what_deno_shows_of_the_source() -> None:
    assert diagnostics(TWO_TYPES, status=1) == (
        Diagnostic(
            message="TS2741 [ERROR]: Property 'b' is missing in type '{}' but required in type 'A'.",
            path="/w/nodes/a.ts",
            line=2,
            column=7,
            excerpt=(
                *("const x: A = {};", "      ^", "", "    'b' is declared here."),
                *("    interface A { b: number }", "                  ^", "        at /w/nodes/a.ts:1:15"),
            ),
        ),
        Diagnostic(
            message="TS2322 [ERROR]: Type 'string' is not assignable to type 'number'.",
            path="/w/say hi, world.ts",
            line=3,
            column=7,
            excerpt=('const n: number = "x";', "      ^"),
        ),
    )


def test_an_error_of_syntax_has_its_place() -> None:
    (found,) = diagnostics(SYNTAX, status=1)
    assert str(found) == "/w/nodes/b.ts:2:11: SyntaxError: Expression expected"
    assert found.excerpt == ("  |", "2 |   return (;", "  |           ~")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        pytest.param("", Diagnostic(message="Deno's check failed"), id="nothing"),
        pytest.param(
            "killed\n", Diagnostic(message="Deno's check failed", excerpt=("killed",)), id="something else"
        ),
        pytest.param(
            "error: Import 'https://x.example/a.ts' failed.\n    at https://x.example/b.ts:1:8\n",
            Diagnostic(
                message="Import 'https://x.example/a.ts' failed.",
                excerpt=("    at https://x.example/b.ts:1:8",),
            ),
            id="an error outside the workflow",
        ),
        pytest.param("error: Type checking failed.", Diagnostic(message="Deno's check failed"), id="no more"),
    ],
)
def test_a_check_that_failed_has_an_error_in_any_case(output: str, expected: Diagnostic) -> None:
    assert diagnostics(output, status=1) == (expected,)


def test_a_check_that_a_sandbox_or_the_kernel_ended_says_by_which_signal() -> None:
    expected = Diagnostic(message="Deno's check was ended by signal 31: Bad system call")
    assert diagnostics("", status=-31) == (expected,)
