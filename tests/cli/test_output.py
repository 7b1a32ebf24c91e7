"""``-o json`` is what docs/output.md says, for every command."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from pdwatch.cli.main import cli
from tests.cli.command import pdwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.testbed.client import Testbed

PAGE = (Path(__file__).parents[2] / "docs/output.md").read_text()
INVALID = "name: hello\nversion: one\ntriggers: []\n"


def documented(command: str, detail: str = "") -> dict[str, str]:
    """The fields that the page lists for a command, with their types."""
    section = PAGE.partition(f"## `pdwatch {command}`{detail}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", section, re.MULTILINE))


def without_output() -> str:
    return PAGE.partition("\n## Commands without `-o`\n")[2]


def commands(command: click.Command = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its name after ``pdwatch``."""
    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        yield from commands(below, (*path, name))


def fields(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of a document with its value; nested ones as ``object.field`` and ``list[].field``."""
    for name, part in value.items():
        yield f"{prefix}{name}", part
        if isinstance(part, dict):
            yield from fields(part, f"{prefix}{name}.")
        for each in part if isinstance(part, list) else ():
            if isinstance(each, dict):
                yield from fields(each, f"{prefix}{name}[].")


JSON_TYPES = {
    bool: "boolean",
    dict: "object",
    float: "number",
    int: "integer",
    list: "list",
    str: "string",
    type(None): "null",
}


def assert_as_documented(command: str, document: dict[str, Any], detail: str = "") -> None:
    rows = documented(command, detail)
    found = list(fields(document)) if command != "deploy" else list(document.items())
    assert {name for name, _ in found} <= rows.keys()
    assert {name for name, kind in rows.items() if "[]" not in name and "absent" not in kind} <= {
        name for name, _ in found
    }
    wrong = [
        (name, value) for name, value in found if JSON_TYPES[type(value)] not in rows[name].split(" or ")
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("name", "command"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_command_has_json_and_a_section_or_is_named_as_one_without(
    name: str, command: click.Command
) -> None:
    formats = [each.type for each in command.params if "--output" in each.opts]
    if formats:
        (choice,) = formats
        assert isinstance(choice, click.Choice)
        assert "json" in choice.choices
        assert documented(name), "docs/output.md lacks its section"
    else:
        assert f"`pdwatch {name}`" in without_output()


async def test_validate_and_init(tmp_path: Path) -> None:
    root = tmp_path / "hello"
    created = await pdwatch("init", "hello", "--directory", root, "-o", "json")
    assert_as_documented("init", json.loads(created.out))
    refreshed = await pdwatch("init", "--refresh", "--directory", root, "-o", "json")
    assert_as_documented("init", json.loads(refreshed.out))
    (root / "workflow.yaml").write_text(INVALID)
    await pdwatch("init", "other", "--directory", tmp_path / "other")
    validated = json.loads((await pdwatch("validate", tmp_path, "-o", "json")).out)
    for each in validated:
        assert_as_documented("validate", each)
    assert [each["valid"] for each in validated] == [False, True]


async def test_what_speaks_to_docker_and_the_cluster(
    testbed: Testbed, namespace: str, tmp_path: Path
) -> None:
    root = tmp_path / "hello"
    await pdwatch("init", "hello", "--directory", root)
    for command, *arguments in (
        ("build", root),
        ("deploy", root, "-n", namespace),
        ("status", "hello", "-n", namespace),
        ("rollback", "hello", "--release", "-n", namespace),
        ("undeploy", "hello", "-n", namespace, "--no-wait"),
        ("prune", "hello", "--dry-run"),
        ("cluster check", "-n", namespace),
    ):
        ended = await pdwatch(*command.split(), *arguments, "-o", "json", environ=testbed.variables)
        assert ended.out, ended.err
        assert_as_documented(command, json.loads(ended.out))


async def test_test(tmp_path: Path) -> None:
    root = tmp_path / "hello"
    await pdwatch("init", "hello", "--directory", root)
    (root / "tests/fixtures/greet.json").write_text('{"input": {}, "expected": ["Good bye!"]}')
    (root / "tests/fixtures/summarize.json").write_text('{"input": [], "expects": []}')
    ended = await pdwatch("test", root, "-o", "json")
    document = json.loads(ended.out)
    assert_as_documented("test", document)
    assert (ended.status, document["failed"]) == (1, 1)
    assert document["workflows"][0]["problems"]


async def test_an_error_leaves_stdout_empty(tmp_path: Path) -> None:
    ended = await pdwatch("validate", tmp_path, "-o", "json")
    assert (ended.status, ended.out) == (4, "")
