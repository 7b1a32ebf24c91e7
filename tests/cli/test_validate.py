"""``pdwatch validate``, by its output and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pdwatch.cli.main import cli
from pdwatch.core.schema import workflow_schema
from pdwatch.errors import NotFoundError, ProgramMissingError

VALID = """\
name: hello
version: 1.10
triggers: [{type: manual}]
nodes: {greet: {path: ./nodes/greet.ts}}
"""
INVALID = VALID.replace("greet.ts", "great.ts").replace("1.10", "one")
GREAT = "./nodes/great.ts does not exist; did you mean ./nodes/greet.ts?"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def workflow(root: Path, content: str = VALID) -> Path:
    (root / "nodes").mkdir(parents=True)
    (root / "nodes" / "greet.ts").write_text("export default () => 1;\n")
    (root / "workflow.yaml").write_text(content)
    return root


def validate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["validate", *map(str, arguments)])


def test_a_valid_workflow_is_ok_on_stderr(directory: Path) -> None:
    workflow(directory / "hello")
    result = validate("hello")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "ok hello (hello)\n1 workflow checked, no problems\n"


def test_every_problem_is_shown_with_its_line(directory: Path) -> None:
    workflow(directory / "hello", INVALID)
    result = validate("hello")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "hello/workflow.yaml:2:10: version: one must be MAJOR.MINOR or MAJOR.MINOR.PATCH, such as 1.0",
        "    2 | version: one",
        "      |          ^",
        f"hello/workflow.yaml:4:23: nodes.greet.path: {GREAT}",
        "    4 | nodes: {greet: {path: ./nodes/great.ts}}",
        "      |                       ^",
        "1 workflow checked, 2 problems",
    ]


def test_this_directory_is_checked_by_default(directory: Path) -> None:
    workflow(directory, INVALID)
    assert validate().stderr.startswith("workflow.yaml:2:10: version: one must be")


def test_all_workflows_below_a_directory_are_checked_in_order_and_once(directory: Path) -> None:
    workflow(directory / "flows" / "b", INVALID)
    workflow(directory / "flows" / "a")
    workflow(directory / "flows" / "deep" / "down" / "c")
    workflow(directory / "flows" / "node_modules" / "d", INVALID)
    result = validate("flows", directory / "flows", "flows/a")
    lines = result.stderr.splitlines()
    assert result.exit_code == 1
    assert lines[0] == "ok hello (flows/a)"
    assert lines[-2:] == ["ok hello (flows/deep/down/c)", "3 workflows checked, 2 problems in 1 of them"]


def test_a_workflow_elsewhere_is_named_in_full(
    directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = workflow(tmp_path_factory.mktemp("elsewhere") / "hello")
    assert validate(elsewhere).stderr.startswith(f"ok hello ({elsewhere})\n")


def test_json_lists_every_workflow_on_stdout(directory: Path) -> None:
    good = workflow(directory / "a")
    bad = workflow(directory / "b", INVALID)
    result = validate("-o", "json")
    assert (result.exit_code, result.stderr) == (1, "")
    valid, invalid = json.loads(result.stdout)
    assert valid.pop("source_digest").startswith("sha256:")
    assert valid == {"directory": str(good), "name": "hello", "valid": True, "problems": []}
    assert (invalid["directory"], invalid["valid"]) == (str(bad), False)
    assert "source_digest" not in invalid
    assert invalid["problems"][1] == {
        "path": "workflow.yaml",
        "line": 4,
        "column": 23,
        "where": "nodes.greet.path",
        "message": GREAT,
    }


def test_the_schema_is_printed_without_looking_at_any_directory(directory: Path) -> None:
    result = validate("--schema")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == workflow_schema()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["-o", "yaml"], "'yaml' is not one of 'text', 'json'.", id="an unknown format"),
        pytest.param(["--fast"], "No such option '--fast'", id="an unknown flag"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], complaint: str) -> None:
    result = validate(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert complaint in result.stderr


def test_a_directory_without_workflows_is_an_error_even_beside_one_that_has_some(directory: Path) -> None:
    workflow(directory / "hello")
    (directory / "empty").mkdir()
    result = validate("hello", "empty")
    assert isinstance(result.exception, NotFoundError)
    assert result.exception.message == f"there is no workflow.yaml at or below {directory / 'empty'}"


HOSTILE = {
    "empty": b"",
    "binary": bytes(range(256)),
    "two documents": f"{VALID}---\n{VALID}".encode(),
    "an alias without end": b"a: &a [*a]",
    "deep": b"[" * 100_000,
    "large": b"#" * (2 << 20),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_one_problem_and_no_traceback(directory: Path, content: bytes) -> None:
    workflow(directory)
    (directory / "workflow.yaml").write_bytes(content)
    result = validate()
    assert result.exit_code == 1
    assert result.stderr.endswith("1 workflow checked, 1 problem\n")


HEAVY = ("kubernetes_asyncio", "aiodocker", "aiohttp", "pydantic", "structlog", "watchfiles")
RUN_AND_LIST_MODULES = """
import sys
from pdwatch.cli.main import main
try:
    main()
finally:
    print([name for name in sys.argv[0].split() if name in sys.modules])
"""


def run_as_program(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = f"import sys; sys.argv = [{' '.join(HEAVY)!r}, *sys.argv[1:]]\n{RUN_AND_LIST_MODULES}"
    return subprocess.run(
        [sys.executable, "-c", program, "validate", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_neither_docker_nor_kubernetes_nor_settings_are_imported(directory: Path) -> None:
    workflow(directory)
    done = run_as_program()
    assert (done.returncode, done.stdout) == (0, "[]\n")


def test_a_directory_without_workflows_exits_with_4_and_a_way_out(directory: Path) -> None:
    done = run_as_program()
    assert done.returncode == 4
    assert done.stderr.splitlines() == [
        f"error: there is no workflow.yaml at or below {directory}",
        "  → name a directory that holds one, or create it",
    ]


WRONG = """\
const n: number = "one";
export default (): string => n;
"""


def test_the_types_of_valid_workflows_are_checked_on_demand(directory: Path) -> None:
    (workflow(directory / "a, b") / "nodes/greet.ts").write_text(WRONG)
    workflow(directory / "c", INVALID)
    workflow(directory / "d")
    assert validate("a, b").exit_code == 0
    result = validate("--check")
    assert (result.exit_code, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert lines[:3] == [
        "a, b/nodes/greet.ts:1:7: TS2322 [ERROR]: Type 'string' is not assignable to type 'number'.",
        '    1 | const n: number = "one";',
        "      |       ^",
    ]
    assert lines[3].startswith("a, b/nodes/greet.ts:2:30: TS2322 [ERROR]")
    assert lines[-2:] == ["ok hello (d)", "3 workflows checked, 4 problems in 2 of them"]


def test_an_error_of_syntax_is_one_of_the_problems_in_json(directory: Path) -> None:
    (workflow(directory) / "nodes/greet.ts").write_text("export default () => (;\n")
    (checked,) = json.loads(validate("--check", "-o", "json").stdout)
    assert (checked["valid"], "source_digest" in checked) == (False, False)
    assert checked["problems"] == [
        {
            "path": "nodes/greet.ts",
            "line": 1,
            "column": 23,
            "where": "",
            "message": "SyntaxError: Expression expected",
        }
    ]


def test_without_deno_types_can_t_be_checked(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow(directory)
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/nowhere")
    assert isinstance(validate("--check").exception, ProgramMissingError)
