"""How problems are shown: the line, and a caret where a terminal puts the column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pdwatch.cli.problems import report_problems
from pdwatch.core.model import Problem

if TYPE_CHECKING:
    from pathlib import Path


def shown(root: Path, capsys: pytest.CaptureFixture[str], *problems: Problem) -> list[str]:
    report_problems(root, problems)
    output = capsys.readouterr()
    assert output.out == ""
    return output.err.replace(f"{root}/", "").splitlines()


def at(line: int, column: int) -> Problem:
    return Problem(path="workflow.yaml", line=line, column=column, where="a.b", message="is wrong")


@pytest.mark.parametrize(
    ("content", "problem", "lines"),
    [
        pytest.param("x\na: 1\n", at(2, 4), ["    2 | a: 1", "      |    ^"], id="the line and a caret"),
        pytest.param("a:", at(1, 3), ["    1 | a:", "      |   ^"], id="behind the end of the line"),
        pytest.param("\ufeffa: 1", at(1, 1), ["    1 | a: 1", "      | ^"], id="no byte order mark"),
        pytest.param("a: 1\r\nb: 2", at(1, 4), ["    1 | a: 1", "      |    ^"], id="no carriage return"),
        pytest.param("a:\t1", at(1, 4), ["    1 | a: 1", "      |    ^"], id="a tab as a space"),
        pytest.param("日本: 1", at(1, 5), ["    1 | 日本: 1", "      |       ^"], id="wide characters"),
        pytest.param(
            "e\u0301: 1", at(1, 5), ["    1 | e\u0301: 1", "      |    ^"], id="combining characters"
        ),
        pytest.param(
            "a: \x1b[31m", at(1, 4), ["    1 | a: \ufffd[31m", "      |    ^"], id="no escape sequences"
        ),
        pytest.param(
            "x" * 99 + "!" + "y" * 99,
            at(1, 100),
            [f"    1 | …{'x' * 60}!{'y' * 39}…", f"      | {' ' * 61}^"],
            id="a part of a long line",
        ),
        pytest.param("a: 1", at(7, 1), [], id="nothing of a line that is gone"),
    ],
)
def test_a_problem_is_shown_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, problem: Problem, lines: list[str]
) -> None:
    (tmp_path / "workflow.yaml").write_bytes(content.encode())
    place = f"workflow.yaml:{problem.line}:{problem.column}"
    assert shown(tmp_path, capsys, problem) == [f"{place}: a.b: is wrong", *lines]


def test_bytes_that_are_no_text_are_shown_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "workflow.yaml").write_bytes(b"a: caf\xe9")
    assert shown(tmp_path, capsys, at(1, 7))[1:] == ["    1 | a: caf\ufffd", "      |       ^"]


def test_a_problem_with_a_whole_file_has_no_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problem = Problem(path="nodes/a.ts", message="can't be read")
    assert shown(tmp_path, capsys, problem) == ["nodes/a.ts: can't be read"]


def test_a_file_that_is_gone_leaves_its_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(tmp_path, capsys, at(1, 1)) == ["workflow.yaml:1:1: a.b: is wrong"]
