"""``pdwatch init``: what it creates runs as it is, and what is there stays as it is."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import aiodocker
import deno  # type: ignore[import-untyped]  # it has no stubs
import pytest
import pytest_asyncio

from pdwatch.adapters.engine import engine_files, engine_recipe
from pdwatch.adapters.files import FileSource
from tests.adapters.docker_workflow import delete_images, files
from tests.cli.command import pdwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.testbed.client import Testbed

FILES = [
    ".gitignore",
    ".pipedreamer/mod.ts",
    ".pipedreamer/workflow.schema.json",
    ".vscode/extensions.json",
    ".vscode/settings.json",
    "README.md",
    "deno.json",
    "nodes/greet.ts",
    "nodes/summarize.ts",
    "tests/fixtures/greet.json",
    "tests/fixtures/summarize.json",
    "tests/fixtures/workflow.json",
    "workflow.yaml",
]


@pytest_asyncio.fixture
async def hello(tmp_path: Path) -> Path:
    """A workflow as ``pdwatch init`` has made it."""
    root = tmp_path / "hello"
    ended = await pdwatch("init", "hello", "--directory", root)
    assert ended.status == 0, ended.err
    return root


def contents(root: Path) -> dict[str, bytes]:
    """Every file below a directory, hidden ones too, by its path there."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


async def run_deno(root: Path, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        deno.find_deno_bin(),
        *arguments,
        cwd=root,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def init_with_small_files_only(*arguments: str | Path) -> tuple[int, str]:
    """``pdwatch init`` where no file may have more than 4 kB, which is less than the schema has."""
    limited = 'ulimit -f 4; exec "$0" -m pdwatch init "$@"'
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", limited, sys.executable, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, errors.decode().splitlines()[0]


async def digest_of(root: Path) -> str:
    return (await FileSource(recipe=engine_recipe()).scan(root)).digest


class TestCreating:
    async def test_the_files_and_the_next_steps_are_told(self, tmp_path: Path) -> None:
        root = tmp_path / "my flows" / "hello"
        ended = await pdwatch("init", "hello", "--directory", root)
        lines = ended.out.splitlines()
        assert (ended.status, ended.err, lines[0]) == (0, "", f"created {root} with {len(FILES)} files")
        assert f"  cd '{root}'" in lines
        assert sorted(contents(root)) == FILES

    async def test_json_has_the_documented_fields(self, tmp_path: Path) -> None:
        ended = await pdwatch("init", "hello", "--directory", tmp_path / "hello", "-o", "json")
        assert json.loads(ended.out) == {
            "name": "hello",
            "directory": str(tmp_path / "hello"),
            "files": FILES,
        }

    async def test_without_a_directory_it_is_called_as_the_workflow(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        assert (await pdwatch("init", "hello")).out.startswith("created hello with ")
        assert sorted(contents(tmp_path / "hello")) == FILES

    async def test_nothing_else_is_left_beside_it(self, hello: Path) -> None:
        assert list(hello.parent.iterdir()) == [hello]

    async def test_an_empty_directory_is_taken(self, tmp_path: Path) -> None:
        root = tmp_path / "empty"
        root.mkdir()
        assert (await pdwatch("init", "hello", "--directory", root)).status == 0
        assert sorted(contents(root)) == FILES

    async def test_the_permissions_are_those_that_the_umask_leaves(self, hello: Path) -> None:
        plain = hello.parent / "plain"
        plain.mkdir()
        (plain / "file").touch()
        assert hello.stat().st_mode == plain.stat().st_mode
        assert (hello / "workflow.yaml").stat().st_mode == (plain / "file").stat().st_mode

    async def test_no_file_knows_where_it_or_pdwatch_lies(self, hello: Path) -> None:
        places = (str(hello.parent), str(Path(__file__).parents[2]))
        assert [
            path for path, content in contents(hello).items() if any(p in content.decode() for p in places)
        ] == []


class TestRefusing:
    @pytest.mark.parametrize(
        ("name", "says"),
        [
            pytest.param("Hello World", "did you mean hello-world?", id="words"),
            pytest.param("7", "must be kebab-case", id="no letter"),
        ],
    )
    async def test_what_can_be_no_name_is_wrong_usage(self, tmp_path: Path, name: str, says: str) -> None:
        ended = await pdwatch("init", name, "--directory", tmp_path / "new")
        assert (ended.status, ended.out) == (2, "")
        assert says in " ".join(ended.err.split())
        assert list(tmp_path.iterdir()) == []

    async def test_a_directory_with_something_in_it_stays_as_it_is(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("mine")
        ended = await pdwatch("init", "hello", "--directory", tmp_path)
        assert (ended.status, ended.out) == (5, "")
        assert ended.err.splitlines() == [
            f"error: {tmp_path} is already there, and not empty",
            "  → choose another place with --directory DIR, or empty it first",
        ]
        assert contents(tmp_path) == {"notes.txt": b"mine"}
        assert not list(tmp_path.parent.glob(".pdwatch-*"))

    async def test_a_second_time_nothing_is_overwritten(self, hello: Path) -> None:
        (hello / "nodes/greet.ts").write_text("mine")
        before = contents(hello)
        assert (await pdwatch("init", "hello", "--directory", hello)).status == 5
        assert contents(hello) == before

    async def test_a_place_that_can_not_be_written_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        ended = await pdwatch("init", "hello", "--directory", tmp_path / "file" / "hello")
        assert (ended.status, ended.out) == (1, "")
        assert "can't be written: Not a directory" in ended.err
        assert ".pdwatch-" not in ended.err
        assert contents(tmp_path) == {"file": b""}

    async def test_a_disk_that_is_full_half_way_leaves_nothing(self, tmp_path: Path) -> None:
        ended = await init_with_small_files_only("hello", "--directory", tmp_path / "hello")
        assert ended == (1, f"error: {tmp_path}/hello can't be written: File too large")
        assert list(tmp_path.iterdir()) == []

    async def test_a_disk_that_is_full_leaves_what_was_to_be_renewed(self, hello: Path) -> None:
        (hello / ".pipedreamer/workflow.schema.json").write_text("old")
        before = contents(hello)
        ended = await init_with_small_files_only("--refresh", "--directory", hello)
        assert ended == (1, f"error: {hello} can't be written: File too large")
        assert contents(hello) == before

    @pytest.mark.parametrize(
        "arguments", [pytest.param([], id="neither"), pytest.param(["hello", "--refresh"], id="both")]
    )
    async def test_it_needs_a_name_or_refresh(self, arguments: list[str]) -> None:
        ended = await pdwatch("init", *arguments)
        assert ended.status == 2
        assert "--refresh" in ended.err

    async def test_the_directory_that_the_shell_is_in_is_not_replaced(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        ended = await pdwatch("init", "hello", "--directory", ".")
        assert ended.status == 2
        assert list(tmp_path.iterdir()) == []


class TestTheWorkflow:
    async def test_it_validates(self, hello: Path) -> None:
        ended = await pdwatch("validate", hello)
        assert (ended.status, ended.err) == (0, f"ok hello ({hello})\n1 workflow checked, no problems\n")

    async def test_its_tests_pass_and_leave_no_node_out(self, hello: Path) -> None:
        ended = await pdwatch("test", hello, "-o", "json")
        assert ended.status == 0, ended.out + ended.err
        result = json.loads(ended.out)
        assert (result["passed"], result["failed"], result["workflows"][0]["untested"]) == (3, 0, [])

    async def test_deno_finds_nothing_wrong_with_types_lint_and_format(self, hello: Path) -> None:
        await run_deno(hello, "check")
        await run_deno(hello, "lint")
        await run_deno(hello, "fmt", "--check")

    async def test_the_types_are_the_engines(self, hello: Path) -> None:
        wrong = hello / "nodes/wrong.ts"
        wrong.write_text(
            'import { Context } from "pipedreamer";\nexport const no = (c: Context) => c.nothing;\n'
        )
        with pytest.raises(AssertionError, match="Property 'nothing' does not exist on type 'Context'"):
            await run_deno(hello, "check", "nodes/wrong.ts")

    async def test_what_the_editor_needs_is_no_part_of_the_digest(self, hello: Path) -> None:
        before = await digest_of(hello)
        (hello / ".pipedreamer/mod.ts").write_text("export {};\n")
        assert await digest_of(hello) == before

    async def test_its_manifests_are_printed_without_docker_and_cluster(self, hello: Path) -> None:
        ended = await pdwatch("deploy", hello, "--dry-run", "-o", "json", environ={"KUBECONFIG": "/nowhere"})
        assert [each["kind"] for each in json.loads(ended.out)["items"]] == ["Service", "Deployment"]


class TestRefreshing:
    async def test_outdated_files_are_renewed_and_no_others(self, hello: Path) -> None:
        (hello / "nodes/greet.ts").write_text("mine")
        (hello / ".pipedreamer/mod.ts").write_text("old")
        before = contents(hello)
        ended = await pdwatch("init", "--refresh", "--directory", hello, "-o", "json")
        assert json.loads(ended.out) == {
            "name": None,
            "directory": str(hello),
            "files": [".pipedreamer/mod.ts"],
        }
        assert contents(hello) == {**before, ".pipedreamer/mod.ts": engine_files()["mod.ts"]}

    async def test_what_is_up_to_date_stays(self, hello: Path) -> None:
        ended = await pdwatch("init", "--refresh", "--directory", hello)
        assert (ended.status, ended.out) == (0, ".pipedreamer/ is up to date\n")

    async def test_a_workflow_without_them_gets_them_and_the_line_to_add(self, tmp_path: Path) -> None:
        (tmp_path / "workflow.yaml").write_text("name: old\n")
        ended = await pdwatch("init", "--refresh", "--directory", tmp_path)
        assert ended.out.splitlines() == [
            "wrote .pipedreamer/mod.ts",
            "wrote .pipedreamer/workflow.schema.json",
            'for the editor, deno.json needs this: {"imports": {"pipedreamer": "./.pipedreamer/mod.ts"}}',
        ]

    async def test_without_a_workflow_there_is_nothing_to_refresh(self, tmp_path: Path) -> None:
        ended = await pdwatch("init", "--refresh", "--directory", tmp_path)
        assert (ended.status, ended.out) == (4, "")
        assert list(tmp_path.iterdir()) == []


async def test_it_is_deployed_as_it_is_and_answers(testbed: Testbed, namespace: str, hello: Path) -> None:
    ended = await pdwatch("deploy", hello, "-n", namespace, environ=testbed.variables)
    assert ended.status == 0, ended.out + ended.err
    body, headers = b'{"names": ["Ada", "Grace"]}', {"Content-Type": "application/json"}
    run = await testbed.pod_http(namespace, "hello", "/run", "POST", body, headers)
    assert json.loads(run)["outputs"]["summarize"] == {"count": 2, "text": "Hello, Ada! Hello, Grace!"}


async def test_its_image_has_the_engine_and_the_nodes_but_nothing_of_the_editors(
    testbed: Testbed, docker: aiodocker.Docker, tmp_path: Path, unique: str
) -> None:
    root = tmp_path / unique
    await pdwatch("init", unique, "--directory", root)
    ended = await pdwatch("build", root, "-o", "json", environ=testbed.variables)
    assert ended.status == 0, ended.err
    shipped = await files(docker, json.loads(ended.out)["reference"])
    assert {"app/nodes/greet.ts", "app/engine/mod.ts", "app/deno.json"} <= {
        path.strip("/") for path in shipped
    }
    assert not [path for path in shipped if ".pipedreamer" in path or ".vscode" in path or "fixtures" in path]


@pytest_asyncio.fixture
async def docker(testbed: Testbed) -> AsyncIterator[aiodocker.Docker]:
    async with aiodocker.Docker(url=testbed.docker_host) as docker:
        yield docker


@pytest_asyncio.fixture
async def unique(docker: aiodocker.Docker) -> AsyncIterator[str]:
    """A name of the test's own; its images are removed."""
    name = f"init-{secrets.token_hex(4)}"
    yield name
    await delete_images(docker, name)
