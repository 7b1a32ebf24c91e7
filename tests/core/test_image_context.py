from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pdwatch.core.build_context import (
    ContextDirectory,
    ContextEntry,
    ContextFile,
    ContextLink,
    build_context,
    deno_config_file,
    recipe_digest,
    split_trees,
)
from pdwatch.core.model import Node, SourceFile, SourceSnapshot, Trigger, WorkflowSpec
from pdwatch.errors import InvalidWorkflowError

ENGINE = {"main.ts": b"main", "mod.ts": b"mod"}
SPEC = WorkflowSpec(
    name="hello",
    version="1.0",
    triggers=(Trigger(type="manual"),),
    nodes=(Node(id="a", path="./nodes/a.ts"),),
)


def snapshot(*paths: str) -> SourceSnapshot:
    return SourceSnapshot(
        name="hello",
        root=Path("/flows/hello"),
        files=tuple(SourceFile(path=path, size=1, digest="00") for path in sorted(paths)),
        digest="sha256:" + "ab" * 32,
        spec=SPEC,
    )


def context(*paths: str) -> tuple[ContextEntry, ...]:
    return build_context(snapshot(*paths), dockerfile="FROM x\n", engine=ENGINE, deno_config=b"{}")


def files(entries: tuple[ContextEntry, ...]) -> dict[str, bytes | SourceFile]:
    return {entry.path: entry.content for entry in entries if isinstance(entry, ContextFile)}


def test_each_file_lies_in_the_tree_of_its_layer() -> None:
    assert list(
        files(context("workflow.yaml", "nodes/a.ts", "deno.lock", "node_modules/x/y.js", "vendor/z.ts"))
    ) == [
        ".dependencies/app/deno.json",
        ".dependencies/app/deno.lock",
        ".dependencies/app/node_modules/x/y.js",
        ".dependencies/app/vendor/z.ts",
        ".engine/app/engine/main.ts",
        ".engine/app/engine/mod.ts",
        ".sources/app/.source-digest",
        ".sources/app/nodes/a.ts",
        ".sources/app/workflow.json",
        ".sources/app/workflow.yaml",
        "Dockerfile.pipedreamer",
    ]


def test_links_and_package_json_lie_in_the_layer_of_dependencies() -> None:
    found = snapshot("node_modules/.deno/a/x.js", "node_modules/a", "package.json")
    files = tuple(
        replace(file, size=0, target=".deno/a") if file.path == "node_modules/a" else file
        for file in found.files
    )
    entries = build_context(
        replace(found, files=files), dockerfile="FROM x\n", engine=ENGINE, deno_config=b"{}"
    )
    assert ContextLink(path=".dependencies/app/node_modules/a", target=".deno/a") in entries
    assert ".dependencies/app/package.json" in [entry.path for entry in entries]


def test_the_trees_of_dependencies_can_be_taken_out_as_a_layer() -> None:
    whole = context("workflow.yaml", "lib/vendor/x.ts", "node_modules/x/y.js", "vendor/z.ts", "deno.lock")
    rest, trees = split_trees(whole)
    assert [entry.path for entry in trees] == [
        *("app", "app/node_modules", "app/node_modules/x", "app/node_modules/x/y.js"),
        *("app/vendor", "app/vendor/z.ts"),
    ]
    taken = {f".dependencies/{entry.path}" for entry in trees[1:]}
    assert rest == tuple(entry for entry in whole if entry.path not in taken)
    assert split_trees(rest) == (rest, ())


def test_pdwatch_adds_the_compiled_workflow_and_the_digest() -> None:
    contents = files(context("workflow.yaml"))
    compiled = contents[".sources/app/workflow.json"]
    assert isinstance(compiled, bytes)
    assert json.loads(compiled)["name"] == "hello"
    assert contents[".sources/app/.source-digest"] == b"sha256:" + b"ab" * 32
    assert contents["Dockerfile.pipedreamer"] == b"FROM x\n"


def test_every_directory_is_an_entry_before_what_lies_in_it() -> None:
    seen: set[str] = set()
    for entry in context("workflow.yaml", "nodes/deep/a.ts", "nodes/deep-er/b.ts"):
        parent = entry.path.rpartition("/")[0]
        assert parent == "" or parent in seen
        if isinstance(entry, ContextDirectory):
            seen.add(entry.path)
    assert ".sources/app/nodes/deep" in seen


@pytest.mark.parametrize("name", ["deno.json", "deno.jsonc"])
def test_the_merged_configuration_takes_the_place_of_the_users(name: str) -> None:
    contents = files(context("workflow.yaml", name))
    assert contents[".dependencies/app/deno.json"] == b"{}"
    assert f".sources/app/{name}" not in contents


def test_of_two_configurations_the_one_counts_that_deno_takes() -> None:
    both = snapshot("deno.json", "deno.jsonc").files
    assert deno_config_file(both) == both[0]
    assert deno_config_file(both[1:]) == both[1]
    assert deno_config_file(()) is None
    assert ".sources/app/deno.jsonc" in files(context("deno.json", "deno.jsonc"))


@pytest.mark.parametrize("path", ["engine/main.ts", "engine", "workflow.json", ".source-digest"])
def test_a_file_in_the_place_of_one_of_pdwatch_is_refused(path: str) -> None:
    with pytest.raises(InvalidWorkflowError, match=f"/flows/hello/{path} lies where") as refused:
        context("workflow.yaml", path)
    assert "config.include" in (refused.value.remedy or "")


def test_the_recipe_changes_with_the_engine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_digest(ENGINE)
    assert recipe == recipe_digest(dict(reversed(ENGINE.items())))
    assert (
        len({recipe, recipe_digest(ENGINE | {"mod.ts": b"other"}), recipe_digest({"main.ts": b"main"})}) == 3
    )


@pytest.mark.parametrize(
    ("function", "result"),
    [
        ("dockerfile", lambda *_, **__: "FROM other\n"),
        ("compiled_workflow", lambda _: {"other": True}),
        ("merged_deno_config", lambda *_, **__: b"other"),
    ],
    ids=["Dockerfile", "compiled workflow", "Deno configuration"],
)
def test_the_recipe_changes_with_whatever_is_generated(
    function: str, result: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = recipe_digest(ENGINE)
    monkeypatch.setattr(f"pdwatch.core.build_context.{function}", result)
    assert recipe_digest(ENGINE) != before


def test_only_a_valid_snapshot_is_built() -> None:
    with pytest.raises(AssertionError):
        build_context(replace(snapshot(), spec=None), dockerfile="", engine={}, deno_config=b"")
