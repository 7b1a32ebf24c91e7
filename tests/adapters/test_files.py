"""Workflow directories as they are on a real disk."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.files import FileSource
from pdwatch.errors import NotFoundError, SourceError
from tests.adapters.workflow_files import WORKFLOW, paths, problems, scan, write

if TYPE_CHECKING:
    from collections.abc import Callable


async def test_a_snapshot_holds_what_ships_with_sizes_and_digests(root: Path) -> None:
    write(root, "lib/a/b.ts")
    write(root, "vendor/x/mod.ts")
    write(root, "node_modules/x/.git/HEAD")
    write(root, "README.md")
    write(root, ".secrets.yaml", "github: token")
    write(root, "nodes/.greet.ts.swp")

    snapshot = await scan(root)

    assert snapshot.name == "hello"
    assert snapshot.spec is not None
    assert snapshot.problems == ()
    assert paths(snapshot) == ["lib/a/b.ts", "nodes/greet.ts", "vendor/x/mod.ts", "workflow.yaml"]
    assert snapshot.files[1].size == 23
    assert snapshot.files[1].digest == hashlib.sha256(b"export default () => 1;").hexdigest()


async def test_an_included_file_ships_even_where_nobody_looks_for_nodes(root: Path) -> None:
    write(root, "workflow.yaml", WORKFLOW + 'config: {include: ["data/*.csv", "docs/vendor/*"]}\n')
    write(root, "data/a.csv")
    write(root, "data/b.txt")
    write(root, "docs/vendor/c.txt")

    assert paths(await scan(root)) == ["data/a.csv", "docs/vendor/c.txt", "nodes/greet.ts", "workflow.yaml"]


async def test_an_invalid_workflow_has_problems_and_no_spec_but_its_name(root: Path) -> None:
    (root / "nodes/greet.ts").unlink()

    snapshot = await scan(root)

    assert snapshot.spec is None
    assert snapshot.name == "hello"
    assert problems(snapshot)[0].startswith("workflow.yaml:5:")


async def test_a_workflow_without_a_readable_name_is_called_as_its_directory(root: Path) -> None:
    write(root, "workflow.yaml", "- no mapping\n")

    snapshot = await scan(root)

    assert snapshot.name == "greeter"
    assert snapshot.problems


async def test_a_relative_path_is_resolved(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    write(root, "workflow.yaml", "[]")

    snapshot = await scan(Path())

    assert snapshot.root == root
    assert snapshot.name == "greeter"


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda root: (root / "workflow.yaml").unlink(), id="no workflow.yaml"),
        pytest.param(
            lambda root: ((root / "workflow.yaml").unlink(), (root / "workflow.yaml").mkdir()),
            id="a directory",
        ),
        pytest.param(lambda root: root.rename(root.with_name("moved")), id="no directory"),
        pytest.param(
            lambda root: (root.rename(root.with_name("moved")), root.write_text("x")),
            id="a file in its place",
        ),
    ],
)
async def test_a_directory_without_workflow_is_not_found(root: Path, spoil: Callable[[Path], object]) -> None:
    source = FileSource(recipe="engine")
    await source.scan(root)
    spoil(root)

    with pytest.raises(NotFoundError, match=r"no workflow\.yaml in .*/greeter"):
        await source.scan(root)


async def test_another_engine_gives_another_digest(root: Path) -> None:
    one = await FileSource(recipe="engine 1").scan(root)
    other = await FileSource(recipe="engine 2").scan(root)

    assert one.files == other.files
    assert one.digest != other.digest


async def test_links_inside_the_directory_ship_as_what_they_lead_to(root: Path) -> None:
    write(root, "shared/http.ts", "shared")
    write(root, "common/a.ts", "common")
    (root / "lib").mkdir()
    (root / "lib/http.ts").symlink_to("../shared/http.ts")
    (root / "lib/common").symlink_to("../common")
    (root / "nodes/again.ts").symlink_to(root / "nodes/greet.ts")

    snapshot = await scan(root)

    assert paths(snapshot) == [
        "lib/common/a.ts",
        "lib/http.ts",
        "nodes/again.ts",
        "nodes/greet.ts",
        "workflow.yaml",
    ]
    assert snapshot.files[1].digest == hashlib.sha256(b"shared").hexdigest()
    assert snapshot.links == ("common", "shared/http.ts")


async def test_workflow_yaml_may_be_a_link_inside_the_directory(root: Path) -> None:
    (root / "workflow.yaml").rename(root / "v2.yaml")
    (root / "workflow.yaml").symlink_to("v2.yaml")

    snapshot = await scan(root)

    assert snapshot.spec is not None
    assert snapshot.links == ("v2.yaml",)


def link(path: str, target: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        place = root / path
        place.unlink(missing_ok=True)
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(target)

    return make


def fifo(path: str) -> Callable[[Path], None]:
    return lambda root: os.mkfifo(root / path)


def link_to_fifo(root: Path) -> None:
    os.mkfifo(root / "pipe")
    (root / "nodes/pipe").symlink_to("../pipe")


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        pytest.param(
            link("nodes/out.ts", "/etc/passwd"),
            "nodes/out.ts: is a link that leaves the directory (to /etc/passwd); copy here what it leads to",
            id="a link to a file outside",
        ),
        pytest.param(
            link("lib/out", "/usr/share"),
            "lib/out: is a link that leaves the directory (to /usr/share); copy here what it leads to",
            id="a link to a directory outside",
        ),
        pytest.param(
            link("nodes/token.ts", "../.secrets.yaml"),
            "nodes/token.ts: is a link to .secrets.yaml, which is never shipped; remove it",
            id="a link to the secrets",
        ),
        pytest.param(
            link("nodes/gone.ts", "nowhere.ts"),
            "nodes/gone.ts: is a link to something that does not exist",
            id="a broken link",
        ),
        pytest.param(
            link("nodes/self.ts", "self.ts"),
            "nodes/self.ts: is a link that leads back to itself",
            id="a link to itself",
        ),
        pytest.param(
            link("lib/up", "../lib"),
            "lib/up: is a link to lib, which it lies in, so that it would never end",
            id="a cycle of directories",
        ),
        pytest.param(
            link("vendor/root", ".."),
            "vendor/root: is a link to ., which it lies in, so that it would never end",
            id="a cycle through the root",
        ),
        pytest.param(
            link("workflow.yaml", "/dev/null"),
            "workflow.yaml: is a link that leaves the directory (to /dev/null); copy here what it leads to",
            id="workflow.yaml outside",
        ),
        pytest.param(
            fifo("nodes/pipe"),
            "nodes/pipe: is a FIFO, socket or device; only regular files can be shipped",
            id="a FIFO",
        ),
        pytest.param(
            link_to_fifo,
            "nodes/pipe: is a link to a FIFO, socket or device",
            id="a link to a FIFO",
        ),
        pytest.param(
            lambda root: Path(os.fsdecode(bytes(root / "nodes") + b"/caf\xe9.ts")).touch(),
            r"nodes/caf\xe9.ts: has a name that is not UTF-8; rename it",
            id="a name in Latin-1",
        ),
    ],
)
async def test_what_can_not_ship_is_a_problem(
    root: Path, spoil: Callable[[Path], object], problem: str
) -> None:
    write(root, ".secrets.yaml", "github: token")
    spoil(root)

    snapshot = await scan(root)

    assert problems(snapshot) == [problem]
    assert snapshot.spec is None


async def test_two_directories_that_link_to_each_other_come_to_an_end(root: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        (root / "lib" / one).mkdir(parents=True)
        (root / "lib" / one / "other").symlink_to(f"../{other}")

    assert problems(await scan(root)) == [
        "lib/a/other/other: is a link to lib/a, which it lies in, so that it would never end",
        "lib/b/other/other: is a link to lib/b, which it lies in, so that it would never end",
    ]


async def test_what_does_not_ship_is_no_problem(root: Path) -> None:
    (root / "out").symlink_to("/usr")
    (root / "docs").mkdir()
    (root / "docs/broken").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    link("nodes/.#greet.ts", "somebody@host.123:456")(root)

    assert (await scan(root)).problems == ()


async def test_problems_of_files_and_of_workflow_yaml_come_sorted(root: Path) -> None:
    write(root, "workflow.yaml", WORKFLOW.replace("greet.ts", "great.ts"))
    link("zzz/x", "/usr")(root)
    link("lib/x", "/usr")(root)

    assert [problem.path for problem in (await scan(root)).problems] == ["lib/x", "workflow.yaml"]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("nodes/greet.ts", "nodes/greet.ts: can't be read; allow it to be (chmod u+r)"),
        ("workflow.yaml", "workflow.yaml: can't be read; allow it to be (chmod u+r)"),
        ("lib/closed", "lib/closed: can't be listed; allow it to be (chmod u+rx)"),
    ],
)
async def test_what_permissions_forbid_is_a_problem(
    open_directory: Path, request: pytest.FixtureRequest, path: str, problem: str
) -> None:
    (open_directory / path).chmod(0)
    request.getfixturevalue("unprivileged")

    assert problems(await scan(open_directory)) == [problem]


async def test_a_directory_that_can_not_be_listed_is_an_error(
    open_directory: Path, request: pytest.FixtureRequest
) -> None:
    write(open_directory, "lib/closed/workflow.yaml")
    (open_directory / "lib/closed").chmod(0)
    request.getfixturevalue("unprivileged")

    with pytest.raises(SourceError, match="closed can't be listed: Permission denied"):
        await scan(open_directory / "lib/closed")
