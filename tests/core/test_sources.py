"""Which files ship, what their digest covers, and whom a change concerns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pdwatch.core.model import Node, Problem, SourceFile, SourceSnapshot, Trigger, WorkflowSpec
from pdwatch.core.sources import Matcher, affected, outermost, source_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path("/w/hello")


def spec(*, include: tuple[str, ...] = (), nodes: tuple[str, ...] = ("./nodes/greet.ts",)) -> WorkflowSpec:
    return WorkflowSpec(
        name="hello",
        version="1.0",
        triggers=(Trigger(type="manual"),),
        nodes=tuple(Node(id=f"n{number}", path=path) for number, path in enumerate(nodes)),
        include=include,
    )


def snapshot(spec: WorkflowSpec | None, *, links: tuple[str, ...] = ()) -> SourceSnapshot:
    problems = () if spec else (Problem(path="workflow.yaml", message="is wrong"),)
    return SourceSnapshot(
        name="hello", root=ROOT, files=(), digest="", spec=spec, problems=problems, links=links
    )


@pytest.mark.parametrize(
    ("path", "ships"),
    [
        ("workflow.yaml", True),
        ("deno.json", True),
        ("deno.jsonc", True),
        ("deno.lock", True),
        ("nodes/greet.ts", True),
        ("nodes/deep/er/greet.ts", True),
        ("lib/http.ts", True),
        ("vendor/x/mod.ts", True),
        ("node_modules/.deno/x/index.js", True),
        ("src/special.ts", True),
        ("src/other.ts", False),
        ("nodes", False),
        ("nodes.ts", False),
        ("sub/workflow.yaml", False),
        ("sub/nodes/greet.ts", False),
        ("README.md", False),
        ("tests/fixtures/greet.json", False),
    ],
)
def test_a_workflow_ships_the_allow_list_and_the_files_of_its_nodes(path: str, *, ships: bool) -> None:
    assert Matcher.for_spec(spec(nodes=("./src/./special.ts",))).ships(path) is ships


@pytest.mark.parametrize(
    ("pattern", "path", "ships"),
    [
        ("prompts/*.txt", "prompts/a.txt", True),
        ("prompts/*.txt", "prompts/deep/a.txt", False),
        ("./prompts/*.txt", "prompts/a.txt", True),
        ("*.md", "README.md", True),
        ("*.md", "docs/README.md", False),
        ("**/*.md", "README.md", True),
        ("**/*.md", "docs/a/b/README.md", True),
        ("data/**", "data/a/b.csv", True),
        ("data/**", "data", False),
        ("data/", "data/a/b.csv", True),
        ("data", "data/a/b.csv", True),
        ("data", "data", True),
        ("data", "database/a", False),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("a/**/z", "a/b/c", False),
        ("a/**/b/**/z", "a/b/b/y/z", True),
        ("page-?.html", "page-1.html", True),
        ("page-[12].html", "page-3.html", False),
        ("*", "a/b", False),
        (".", "any/thing", True),
        ("../*", "other/workflow.yaml", False),
        ("/etc/*", "etc/passwd", False),
    ],
)
def test_include_patterns(pattern: str, path: str, *, ships: bool) -> None:
    assert Matcher.for_spec(spec(include=(pattern,))).ships(path) is ships


@pytest.mark.parametrize(
    "path",
    [
        ".secrets.yaml",
        ".secrets/token",
        "nodes/.secrets.yaml.bak",
        ".env",
        "lib/.env.local",
        "nodes/.envrc",
        ".git/config",
        "vendor/x/.git/HEAD",
        "nodes/greet.ts~",
        "nodes/old~/greet.ts",
        "nodes/.greet.ts.swp",
        "nodes/.#greet.ts",
        "nodes/#greet.ts#",
        "nodes/4913",
        "nodes/greet.ts___jb_tmp___",
    ],
)
def test_secrets_and_what_editors_leave_behind_never_ship(path: str) -> None:
    listed = Matcher.for_spec(spec(include=("**", path), nodes=(path,)))

    assert not listed.ships(path)


SEGMENTS = st.sampled_from(
    [
        "a",
        "b.txt",
        "nodes",
        ".git",
        ".gitignore",
        ".secrets",
        ".secrets.yaml",
        ".env",
        ".env.x",
        "*",
        "**",
        "?",
    ]
)
PATTERNS = st.lists(SEGMENTS | st.text("ab*?/.[]", min_size=1), min_size=1, max_size=5).map("/".join)
PATHS = st.lists(SEGMENTS.filter(lambda segment: segment not in {"*", "**", "?"}), min_size=1, max_size=5)


@given(include=st.lists(PATTERNS, max_size=3), segments=PATHS)
def test_no_pattern_ships_a_secret(include: list[str], segments: list[str]) -> None:
    assume(any(part == ".git" or part.startswith((".secrets", ".env")) for part in segments))

    assert not Matcher.for_spec(spec(include=tuple(include))).ships("/".join(segments))


@given(
    parts=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["as it is", "*", "**"])), min_size=1)
)
def test_a_walk_that_asks_where_to_enter_reaches_whatever_ships(parts: list[tuple[str, str]]) -> None:
    segments = [name for name, _ in parts]
    pattern = "/".join(name if how == "as it is" else how for name, how in parts)
    matcher = Matcher.for_spec(spec(include=(pattern,)))

    assert matcher.ships("/".join(segments))
    assert all(matcher.enters("/".join(segments[:depth])) for depth in range(1, len(segments)))


def test_a_walk_stays_out_of_directories_that_ship_nothing() -> None:
    matcher = Matcher.for_spec(spec(include=("data/*.csv",), nodes=("src/a/b.ts",)))

    entered = {
        path
        for path in ("nodes/x", "data", "data/x", "src", "src/a", "src/z", "docs")
        if matcher.enters(path)
    }

    assert entered == {"nodes/x", "data", "src", "src/a"}


def test_a_pattern_can_not_hang_a_scan() -> None:
    matcher = Matcher.for_spec(spec(include=("**/a*/" * 200 + "*a*" * 200 + "z",)))

    assert not matcher.ships("/".join(["a" * 200] * 400))


def file(path: str, digest: str = "d", size: int = 1) -> SourceFile:
    return SourceFile(path=path, size=size, digest=digest)


TEXT = st.text('ab"\0', max_size=2)
FILES = st.dictionaries(TEXT, TEXT, max_size=2)


@given(one=FILES, other=FILES, recipes=st.tuples(TEXT, TEXT))
def test_digests_are_equal_exactly_when_paths_contents_and_recipe_are(
    one: dict[str, str], other: dict[str, str], recipes: tuple[str, str]
) -> None:
    digests = [
        source_digest([file(path, digest) for path, digest in files.items()], recipe=recipe)
        for files, recipe in zip((one, other), recipes, strict=True)
    ]

    assert (digests[0] == digests[1]) is ((one, recipes[0]) == (other, recipes[1]))


@given(files=st.permutations([file("a"), file("b"), file("c")]))
def test_the_digest_does_not_depend_on_the_order(files: list[SourceFile]) -> None:
    assert source_digest(files, recipe="r") == source_digest([file("a"), file("b"), file("c")], recipe="r")


def test_the_digest_reads_as_an_oci_digest_does() -> None:
    algorithm, _, value = source_digest([], recipe="r").partition(":")

    assert algorithm == "sha256"
    assert len(value) == 64
    assert int(value, 16) >= 0


KNOWN: dict[Path, SourceSnapshot | None] = {
    ROOT: snapshot(spec(include=("prompts/*.txt",)), links=("shared/http.ts", "common")),
    ROOT / "nested": snapshot(spec()),
    Path("/w/broken"): snapshot(None),
    Path("/w/new"): None,
}


@pytest.mark.parametrize(
    ("changed", "workflows", "discover"),
    [
        pytest.param("/w/hello/nodes/greet.ts", {"/w/hello"}, False, id="a node"),
        pytest.param("/w/hello/prompts/a.txt", {"/w/hello"}, False, id="an included file"),
        pytest.param("/w/hello/README.md", set(), False, id="a file that does not ship"),
        pytest.param("/w/hello/.secrets.yaml", {"/w/hello"}, False, id="local secrets"),
        pytest.param("/w/hello/.secrets/token", {"/w/hello"}, False, id="a local secret"),
        pytest.param("/w/hello/.env", set(), False, id="an environment file"),
        pytest.param("/w/hello/shared/http.ts", {"/w/hello"}, False, id="what a link leads to"),
        pytest.param(
            "/w/hello/common/a.ts", {"/w/hello"}, False, id="below a directory that a link leads to"
        ),
        pytest.param("/w/hello/shared/other.ts", set(), False, id="beside what a link leads to"),
        pytest.param("/w/hello/nested/nodes/a.ts", {"/w/hello/nested"}, False, id="a nested workflow's node"),
        pytest.param("/w/broken/src/a.ts", {"/w/broken"}, False, id="any file of an invalid workflow"),
        pytest.param("/w/new/any", {"/w/new"}, False, id="any file of a workflow not scanned yet"),
        pytest.param("/w/hello/workflow.yaml", {"/w/hello"}, True, id="workflow.yaml"),
        pytest.param("/w/other/workflow.yaml", set(), True, id="another workflow.yaml"),
        pytest.param("/w/notes.txt", set(), False, id="a file outside"),
        pytest.param("/elsewhere/notes.txt", set(), False, id="a file elsewhere"),
    ],
)
def test_a_changed_file_concerns(changed: str, workflows: set[str], *, discover: bool) -> None:
    result = affected(frozenset({Path(changed)}), KNOWN, is_file=lambda _: True, is_directory=lambda _: False)

    assert {str(root) for root in result.workflows} == workflows
    assert result.discover is discover


@pytest.mark.parametrize(
    ("changed", "workflows", "discover"),
    [
        pytest.param("/w/hello/nodes", {"/w/hello"}, True, id="nodes"),
        pytest.param("/w/hello/shared", {"/w/hello"}, True, id="above what a link leads to"),
        pytest.param("/w/hello", {"/w/hello", "/w/hello/nested"}, True, id="a workflow's directory"),
        pytest.param("/w", {str(root) for root in KNOWN}, True, id="above all workflows"),
        pytest.param("/w/fresh", set(), True, id="a directory that came"),
        pytest.param("/w/hello/docs", set(), True, id="a directory that may hold a workflow"),
    ],
)
def test_a_directory_that_came_or_changed_concerns(
    changed: str, workflows: set[str], *, discover: bool
) -> None:
    result = affected({Path(changed)}, KNOWN, is_file=lambda _: False, is_directory=lambda _: True)

    assert {str(root) for root in result.workflows} == workflows
    assert result.discover is discover


@pytest.mark.parametrize(
    ("changed", "workflows", "discover"),
    [
        pytest.param("/w/hello/nodes", {"/w/hello"}, False, id="nodes"),
        pytest.param("/w/hello/nodes/greet.ts", {"/w/hello"}, False, id="a node"),
        pytest.param("/w/hello", {"/w/hello", "/w/hello/nested"}, True, id="a workflow's directory"),
        pytest.param("/w", {str(root) for root in KNOWN}, True, id="above all workflows"),
        pytest.param("/w/fresh", set(), False, id="a directory without a workflow"),
        pytest.param("/w/hello/nodes/greet.ts~", set(), False, id="an editor's backup"),
        pytest.param("/w/hello/nodes/saving.tmp", {"/w/hello"}, False, id="what was saved and renamed"),
    ],
)
def test_what_is_gone_concerns(changed: str, workflows: set[str], *, discover: bool) -> None:
    result = affected({Path(changed)}, KNOWN, is_file=lambda _: False, is_directory=lambda _: False)

    assert {str(root) for root in result.workflows} == workflows
    assert result.discover is discover


def test_many_files_that_are_gone_are_sought_in_one_pass_over_the_workflows() -> None:
    """A ``node_modules`` that is removed, say: a pass for each file would keep the event loop for seconds."""
    passes = []

    class Counted(dict[Path, SourceSnapshot | None]):
        def __iter__(self) -> Iterator[Path]:
            passes.append(1)
            return super().__iter__()

    gone = {Path(f"/w/hello/node_modules/{number}.js") for number in range(100)}
    result = affected(gone, Counted(KNOWN), is_file=lambda _: False, is_directory=lambda _: False)

    assert result.workflows == {Path("/w/hello")}
    assert len(passes) == 1


def test_a_beat_concerns_everything() -> None:
    result = affected(frozenset(), KNOWN, is_file=lambda _: True, is_directory=lambda _: False)

    assert result.workflows == set(KNOWN)
    assert result.discover


@pytest.mark.parametrize(
    ("paths", "kept"),
    [
        (["/a/b", "/a"], ["/a"]),
        (["/a/b", "/a/c", "/a/b"], ["/a/b", "/a/c"]),
        (["/ab", "/a"], ["/a", "/ab"]),
        (["/a/b/c", "/a/b", "/"], ["/"]),
        ([], []),
    ],
)
def test_outermost_drops_what_lies_below_another(paths: list[str], kept: list[str]) -> None:
    assert [str(path) for path in outermost(Path(path) for path in paths)] == kept
