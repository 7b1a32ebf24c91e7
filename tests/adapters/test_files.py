"""Workflow directories as they are on a real disk."""

from __future__ import annotations

import hashlib
import os
import tempfile
from io import BufferedReader, FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdwatch.adapters import scan as scan_adapter
from pdwatch.adapters.files import FileSource, read_verified
from pdwatch.adapters.scan import CHUNK_BYTES, is_settled
from pdwatch.adapters.tree import open_regular
from pdwatch.errors import NotFoundError, SourceChangedError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pdwatch.core.model import SourceSnapshot

WORKFLOW = """\
name: hello
version: "1.0"
triggers: [{type: manual}]
nodes:
  greet: {path: ./nodes/greet.ts}
"""


def write(root: Path, path: str, content: str | bytes = "x") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path.resolve() / "greeter"
    write(directory, "workflow.yaml", WORKFLOW)
    write(directory, "nodes/greet.ts", "export default () => 1;")
    return directory


async def scan(root: Path) -> SourceSnapshot:
    return await FileSource(recipe="engine").scan(root)


def paths(snapshot: SourceSnapshot) -> list[str]:
    return [file.path for file in snapshot.files]


def problems(snapshot: SourceSnapshot) -> list[str]:
    return [str(problem) for problem in snapshot.problems]


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


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Take root's power to read everything away, if the tests have it."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Yield a directory that every user can enter, which pytest's are not."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory).resolve()
        root.chmod(0o755)
        write(root, "workflow.yaml", WORKFLOW)
        write(root, "nodes/greet.ts")
        write(root, "lib/closed/a.ts")
        yield root


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


class Meddler:
    """Changes the disk right before, or while, files are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, meddle: Callable[[str], None]) -> None:
        self._open = open_regular
        self._meddle = meddle
        self.opened: list[str] = []
        monkeypatch.setattr(scan_adapter, "open_regular", self)

    def __call__(self, path: str) -> BufferedReader:
        self.opened.append(Path(path).name)
        self._meddle(path)
        return self._open(path)


async def test_a_file_that_vanishes_while_it_is_scanned_is_simply_gone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, "lib/brief.ts")
    Meddler(monkeypatch, lambda _: (root / "lib/brief.ts").unlink(missing_ok=True))

    assert paths(await scan(root)) == ["nodes/greet.ts", "workflow.yaml"]


async def test_files_that_keep_vanishing_are_an_error_that_names_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        write(root, f"lib/{number}.ts")

    def remove_one(path: str) -> None:
        if path.endswith("workflow.yaml"):
            next(root.glob("lib/*.ts")).unlink()

    Meddler(monkeypatch, remove_one)

    with pytest.raises(SourceChangedError, match=r"greeter/lib/\d\.ts changes while it is read"):
        await scan(root)


async def test_a_file_that_grows_while_it_is_read_is_read_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown: list[str] = []

    class Growing(FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            chunk = super().read(size)
            if self.name.endswith("greet.ts") and not grown:
                grown.append(self.name)
                write(root, "nodes/greet.ts", "another text, which is longer than the one before")
            return chunk

    monkeypatch.setattr(scan_adapter, "open_regular", Growing)

    snapshot = await scan(root)

    assert grown
    assert snapshot.files == (await scan(root)).files


async def test_the_bytes_that_are_parsed_are_the_bytes_that_are_hashed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meddler = Meddler(monkeypatch, lambda _: None)

    await scan(root)

    assert sorted(meddler.opened) == ["greet.ts", "workflow.yaml"]


@pytest.mark.parametrize(
    ("age_ns", "settled"),
    [(0, False), (1_999_999_999, False), (2_000_000_000, True), (-1, False)],
)
def test_a_file_is_settled_once_its_clock_must_have_ticked(age_ns: int, *, settled: bool) -> None:
    assert is_settled(changed_ns=10**18, read_ns=10**18 + age_ns) is settled


def settle_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a scan trust what it has read, as if the files had been saved long ago."""
    monkeypatch.setattr(scan_adapter, "is_settled", lambda **_: True)


async def test_a_file_that_was_read_is_not_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle_at_once(monkeypatch)
    meddler = Meddler(monkeypatch, lambda _: None)
    source = FileSource(recipe="engine")
    first = await source.scan(root)
    meddler.opened.clear()
    wait_for_tick(root)
    write(root, "lib/new.ts")

    second = await source.scan(root)
    third = await source.scan(root)

    assert meddler.opened == ["workflow.yaml", "new.ts"]  # parsed again, since there is another file
    assert set(first.files) < set(second.files)
    assert third == second


async def test_a_file_saved_right_before_a_scan_is_read_again_by_the_next(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meddler = Meddler(monkeypatch, lambda _: None)
    source = FileSource(recipe="engine")
    await source.scan(root)
    await source.scan(root)

    assert sorted(meddler.opened) == ["greet.ts", "greet.ts", "workflow.yaml", "workflow.yaml"]


def wait_for_tick(root: Path) -> None:
    """Return once the file system's clock has moved on, so that the next change gets another ctime."""
    probe = root.parent / "probe"
    probe.touch()
    before = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == before:
        probe.touch()


NAMES = st.sampled_from(
    ["nodes/greet.ts", "nodes/b.ts", "lib/a.ts", "lib/deep/a.ts", "other.txt", "workflow.yaml"]
)
EDITS = st.one_of(
    st.tuples(st.just("write"), NAMES, st.sampled_from(["one", "two", "three", WORKFLOW])),
    st.tuples(st.just("replace"), NAMES, st.sampled_from(["one", "two", WORKFLOW])),
    st.tuples(st.just("delete"), NAMES, st.just("")),
    st.tuples(st.just("link"), NAMES, st.sampled_from(["greet.ts", "../lib/a.ts", "/etc/hostname"])),
    st.tuples(st.just("touch"), NAMES, st.just("")),
)


def edit(root: Path, how: str, path: str, content: str) -> None:
    """Change the tree, and make sure that no mtime tells."""
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    match how:
        case "write":
            if place.is_symlink():
                place.unlink()
            place.write_text(content)
        case "replace":
            write(root, "saving", content).replace(place)
        case "delete":
            place.unlink(missing_ok=True)
        case "link":
            place.unlink(missing_ok=True)
            place.symlink_to(content)
    if place.is_file() and not place.is_symlink():
        os.utime(place, (0, 0))


@settings(max_examples=100, deadline=None)
@given(history=st.lists(st.lists(EDITS, max_size=3), max_size=5))
def test_a_scan_that_remembers_sees_what_a_fresh_one_sees(history: list[list[tuple[str, str, str]]]) -> None:
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as monkeypatch:
        settle_at_once(monkeypatch)
        root = Path(directory, "w")
        write(root, "workflow.yaml", WORKFLOW)
        write(root, "nodes/greet.ts")
        remembering = FileSource(recipe="engine")
        for edits in [[], *history]:
            wait_for_tick(root)
            for how, path, content in edits:
                edit(root, how, path, content)
            assert outcome(remembering, root) == outcome(FileSource(recipe="engine"), root)


def outcome(source: FileSource, root: Path) -> SourceSnapshot | str:
    try:
        return source._scan(root)
    except (SourceError, NotFoundError) as error:
        return str(error)


async def test_discovery_finds_every_workflow_under_the_roots(tmp_path: Path) -> None:
    for path in (
        "a/x/workflow.yaml",
        "a/x/nested/workflow.yaml",
        "b/workflow.yaml",
        "b/node_modules/p/workflow.yaml",
        "b/vendor/p/workflow.yaml",
        "b/.cache/workflow.yaml",
        "c/other.yaml",
        "elsewhere/workflow.yaml",
    ):
        write(tmp_path, path)
    (tmp_path / "a/out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "a/x/up").symlink_to("..")
    (tmp_path / "c/workflow.yaml").mkdir()

    found = await FileSource(recipe="engine").discover(
        [tmp_path / "a", tmp_path / "a/x", tmp_path / "b", tmp_path / "c"]
    )

    assert sorted(str(path.relative_to(tmp_path)) for path in found) == ["a/x", "a/x/nested", "b"]


async def test_discovery_resolves_the_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "real/workflow.yaml")
    (tmp_path / "alias").symlink_to("real")
    monkeypatch.chdir(tmp_path)

    found = await FileSource(recipe="engine").discover([Path("alias"), Path("real")])

    assert found == {(tmp_path / "real").resolve()}


async def test_a_hidden_root_is_searched_when_it_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, ".hidden/workflow.yaml")

    assert len(await FileSource(recipe="engine").discover([tmp_path / ".hidden"])) == 1


@pytest.mark.parametrize("root", ["missing", "file", "file/below"])
async def test_a_root_that_is_no_directory_is_not_found(tmp_path: Path, root: str) -> None:
    write(tmp_path, "file")

    with pytest.raises(NotFoundError, match=f"{root} is not a directory") as caught:
        await FileSource(recipe="engine").discover([tmp_path / root])

    assert "workflow.yaml" in str(caught.value.remedy)


async def test_what_can_not_be_searched_is_an_error_only_for_a_root(
    open_directory: Path, request: pytest.FixtureRequest
) -> None:
    (open_directory / "lib/closed").chmod(0)
    request.getfixturevalue("unprivileged")
    source = FileSource(recipe="engine")

    assert await source.discover([open_directory]) == {open_directory}
    with pytest.raises(SourceError, match="can't be searched: Permission denied"):
        await source.discover([open_directory / "lib/closed"])


async def test_verified_content_comes_whole_in_chunks(root: Path) -> None:
    content = os.urandom(3 * CHUNK_BYTES + 7)
    write(root, "lib/large.bin", content)
    write(root, "lib/empty.bin", b"")

    snapshot = await scan(root)
    chunks = {file.path: list(read_verified(snapshot, file)) for file in snapshot.files}

    assert b"".join(chunks["lib/large.bin"]) == content
    assert len(chunks["lib/large.bin"]) == 4
    assert chunks["lib/empty.bin"] == []


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda file: file.write_bytes(b"y" * (1 << 20)), id="other content of the same size"),
        pytest.param(lambda file: file.write_bytes(b"x" * (1 << 20) + b"y"), id="longer"),
        pytest.param(lambda file: file.write_bytes(b"x"), id="shorter"),
        pytest.param(lambda file: file.unlink(), id="gone"),
    ],
)
async def test_a_file_that_is_not_what_was_scanned_never_comes_whole(
    root: Path, spoil: Callable[[Path], object]
) -> None:
    file = write(root, "lib/a.bin", b"x" * (1 << 20))
    snapshot = await scan(root)
    spoil(file)
    received: list[bytes] = []

    with pytest.raises(SourceChangedError, match=r"lib/a\.bin changed after it was scanned"):
        received.extend(read_verified(snapshot, snapshot.files[0]))

    assert len(b"".join(received)) < 1 << 20


async def test_a_size_that_differs_is_told_before_anything_is_read(root: Path) -> None:
    file = write(root, "lib/a.bin", b"x" * (1 << 20))
    snapshot = await scan(root)
    file.write_bytes(b"x" * (1 << 20) + b"y")

    with pytest.raises(SourceChangedError):
        next(read_verified(snapshot, snapshot.files[0]))


async def test_a_fifo_in_a_files_place_blocks_nobody(root: Path) -> None:
    file = write(root, "lib/a.bin")
    snapshot = await scan(root)
    file.unlink()
    os.mkfifo(file)

    with pytest.raises(SourceError, match="can't be read: Not a regular file"):
        list(read_verified(snapshot, snapshot.files[0]))
