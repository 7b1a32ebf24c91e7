"""What Deno's and Node's tools put into a workflow directory, as it is on a real disk."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.files import FileSource
from tests.adapters.workflow_files import paths, problems, scan, write

if TYPE_CHECKING:
    from pathlib import Path

    from pdwatch.core.model import SourceFile

LAYOUT = {
    "node_modules/.deno/a@1/node_modules/a/index.js": "a",
    "node_modules/.deno/b@1/node_modules/b/index.js": "b",
}
LINKS = {
    "node_modules/a": ".deno/a@1/node_modules/a",
    "node_modules/.deno/a@1/node_modules/b": "../../b@1/node_modules/b",
    "node_modules/.deno/b@1/node_modules/a": "../../a@1/node_modules/a",
}


def link(root: Path, path: str, target: str | Path) -> None:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)


def links(files: tuple[SourceFile, ...]) -> dict[str, str]:
    return {file.path: file.target for file in files if file.target is not None}


async def test_the_links_of_node_modules_stay_links_even_in_circles(root: Path) -> None:
    for path, content in LAYOUT.items():
        write(root, path, content)
    for path, target in LINKS.items():
        link(root, path, target)

    snapshot = await scan(root)

    assert problems(snapshot) == []
    assert links(snapshot.files) == LINKS
    assert paths(snapshot) == sorted([*LAYOUT, *LINKS, "nodes/greet.ts", "workflow.yaml"])


async def test_an_absolute_link_becomes_one_from_where_it_lies(root: Path) -> None:
    write(root, "node_modules/.store/a/index.js")
    link(root, "node_modules/@scope/a", root / "node_modules/.store/a")

    assert links((await scan(root)).files) == {"node_modules/@scope/a": "../.store/a"}


async def test_a_link_from_node_modules_to_the_workflows_own_is_followed(root: Path) -> None:
    write(root, "packages/own/index.ts", "own")
    write(root, "node_modules/ms/index.js", "ms")
    link(root, "node_modules/own", "../packages/own")
    link(root, "packages/own/node_modules/ms", "../../../node_modules/ms")

    snapshot = await scan(root)

    assert "node_modules/own/index.ts" in paths(snapshot)
    assert links(snapshot.files) == {"node_modules/own/node_modules/ms": "../../ms"}
    assert snapshot.links == ("packages/own",)


async def test_a_link_that_leads_elsewhere_now_gives_another_digest(root: Path) -> None:
    write(root, "node_modules/.store/a1/index.js", "same")
    write(root, "node_modules/.store/a2/index.js", "same")
    source = FileSource(recipe="engine")
    digests = set()
    for target in (".store/a1", ".store/a2"):
        (root / "node_modules/a").unlink(missing_ok=True)
        link(root, "node_modules/a", target)
        digests.add((await source.scan(root)).digest)
    (root / "node_modules/a").unlink()
    write(root, "node_modules/a", ".store/a2")
    digests.add((await source.scan(root)).digest)

    assert len(digests) == 3
    assert hashlib.sha256(b".store/a2").hexdigest() in {file.digest for file in (await scan(root)).files}


@pytest.mark.parametrize("target", ["/usr/share", "../../elsewhere"])
async def test_a_link_out_of_the_directory_is_a_problem_there_too(root: Path, target: str) -> None:
    (root.parent / "elsewhere").mkdir()
    link(root, "node_modules/out", target)

    assert [problem.message[:31] for problem in (await scan(root)).problems] == [
        "is a link that leaves the direc"
    ]


@pytest.mark.parametrize(
    ("path", "content", "problem"),
    [
        pytest.param(
            "deno.json",
            '{\n  "imports" {}\n}',
            "deno.json:2:13: is not JSON: Expecting ':' delimiter",
            id="syntax",
        ),
        pytest.param("deno.jsonc", "[]", "deno.jsonc:1:1: must be an object: { … }", id="no object"),
        pytest.param(
            "deno.json",
            '{"importMap": "x.json"}',
            "deno.json: importMap: a file of its own leaves no room for 'pipedreamer'; move its imports to "
            "deno.json",
            id="a file for the import map",
        ),
        pytest.param("package.json", "", "package.json:1:1: is not JSON: Expecting value", id="package.json"),
    ],
)
async def test_a_broken_configuration_is_a_problem_until_it_is_put_right(
    root: Path, path: str, content: str, problem: str
) -> None:
    source = FileSource(recipe="engine")
    write(root, path, content)

    first, again = await source.scan(root), await source.scan(root)
    write(root, path, "{}")
    mended = await source.scan(root)

    assert problems(first) == problems(again) == [problem]
    assert first.spec is None
    assert problems(mended) == []
    assert path in paths(mended)


async def test_of_two_configurations_only_the_one_that_counts_is_looked_at(root: Path) -> None:
    write(root, "deno.json", "{}")
    write(root, "deno.jsonc", "{")

    assert problems(await scan(root)) == []
