"""Two daemons on one directory, as two real processes."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.lock import Watched, claim, watched_directories
from pdwatch.errors import AlreadyWatchedError, ExitCode, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLD = """
import sys
from pathlib import Path
from pdwatch.adapters.lock import claim
from pdwatch.errors import PdwatchError

try:
    with claim([Path(argument) for argument in sys.argv[1:]]):
        print("claimed", flush=True)
        sys.stdin.read()
except PdwatchError as error:
    print(error.message, flush=True)
"""


@contextmanager
def daemon(*roots: Path, prefix: tuple[str, ...] = ()) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a process that claims ``roots``, and yield it with the line that it printed about that."""
    process = subprocess.Popen(
        [*prefix, sys.executable, "-c", HOLD, *map(str, roots)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path in ("w/a/deep", "w/b", "v"):
        (tmp_path / path).mkdir(parents=True)
    return tmp_path


def test_the_second_daemon_says_who_holds_the_directory(tree: Path) -> None:
    with daemon(tree / "w") as (holder, printed):
        assert printed == "claimed"

        with pytest.raises(AlreadyWatchedError) as caught, claim([tree / "w"]):
            pass

    message = caught.value.message
    assert re.search(
        rf"^process {holder.pid} \(\S*python\S* -c .*\) already watches \S*/w$", message, re.DOTALL
    )
    assert caught.value.remedy == f"stop it (kill {holder.pid}), or name other directories"
    assert caught.value.exit_code is ExitCode.HELD
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        pytest.param("w", "w/a/deep", r"already watches \S*/w, and \S*/w/a/deep lies below it", id="below"),
        pytest.param("w/a/deep", "w", r"already watches a directory below \S*/w$", id="above"),
        pytest.param("w/../w/a", "w/a", r"already watches \S*/w/a$", id="spelled otherwise"),
    ],
)
def test_daemons_exclude_each_other_on_nested_directories(
    tree: Path, first: str, second: str, message: str
) -> None:
    with daemon(tree / first) as (holder, printed):
        assert printed == "claimed"

        with pytest.raises(AlreadyWatchedError, match=message) as caught, claim([tree / second]):
            pass

    assert f"process {holder.pid} " in caught.value.message


def test_daemons_side_by_side_leave_each_other_alone(tree: Path) -> None:
    with daemon(tree / "w/a") as (_, one), daemon(tree / "w/b", tree / "v") as (_, other):
        assert (one, other) == ("claimed", "claimed")


def test_a_daemon_that_can_not_have_all_its_directories_takes_none(tree: Path) -> None:
    with daemon(tree / "w/b") as (_, printed):
        assert printed == "claimed"
        with pytest.raises(AlreadyWatchedError), claim([tree / "v", tree / "w/b"]):
            pass

        with daemon(tree / "v") as (_, other):
            assert other == "claimed"


def test_overlapping_directories_of_one_daemon_do_not_exclude_it(tree: Path) -> None:
    (tree / "alias").symlink_to("w")

    roots = [tree / "w/a", tree / "w", tree / "w", tree / "alias/b", tree / "v"]
    with claim(roots), daemon(tree / "w/b") as (_, printed):
        assert "already watches" in printed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_daemon_that_dies_leaves_the_directory_free(tree: Path, number: signal.Signals) -> None:
    with daemon(tree / "w") as (holder, printed):
        assert printed == "claimed"
        holder.send_signal(number)
        holder.wait()

        with claim([tree / "w"]):
            pass


def test_the_directory_is_free_after_the_block(tree: Path) -> None:
    with claim([tree / "w"]):
        pass
    with claim([tree / "w"]):
        pass


def test_a_child_that_outlives_a_daemon_does_not_keep_the_directory(tree: Path) -> None:
    with claim([tree / "w"]):
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    with child, claim([tree / "w"]):
        pass


def test_a_holder_that_can_not_be_seen_is_another_process(tree: Path) -> None:
    apart = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
    with claim([tree / "w"]), daemon(tree / "w", prefix=apart) as (_, printed):
        assert printed == f"another process already watches {tree / 'w'}"


def test_nothing_is_written(tree: Path) -> None:
    before = (tree / "w").stat()
    with claim([tree / "w"]):
        pass
    after = (tree / "w").stat()

    assert (after.st_mtime_ns, after.st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)


@pytest.mark.parametrize("root", ["missing", "file", "file/below"])
def test_a_root_that_is_no_directory_is_not_found(tree: Path, root: str) -> None:
    (tree / "file").touch()

    with pytest.raises(NotFoundError, match=f"{root} is not a directory"), claim([tree / root]):
        pass


def test_what_daemons_watch_can_be_seen_but_not_what_they_only_keep_others_off(tmp_path: Path):
    root = tmp_path / "root"
    root.mkdir()
    with daemon(root) as (process, _):
        of_this_daemon = [each for each in watched_directories() if each.pid == process.pid]
        assert of_this_daemon == [Watched(pid=process.pid, directory=root)]
    assert process.pid not in {each.pid for each in watched_directories()}
