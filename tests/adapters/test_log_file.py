"""The daemon's own log file, on a real file system, also where there is no room."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.adapters.log_file import LogFile, default_log_file, log_files, put_aside
from tests.adapters.full_disk import files_up_to

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Told:
    """What a log file has told about itself."""

    news: list[str] = field(default_factory=list)

    def open(self, path: Path, *, max_bytes: int = 100_000, backups: int = 2) -> LogFile:
        return LogFile(
            path,
            max_bytes=max_bytes,
            backups=backups,
            lost=lambda error: self.news.append(os.strerror(error.errno or 0)),
            resumed=lambda: self.news.append("resumed"),
        )


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state/pdwatch.log"


def test_lines_are_appended_and_only_the_owner_can_read_them(path: Path, told: Told):
    log = told.open(path)
    log.write("one")
    log.write("zwei \N{SNOWMAN}")
    assert path.read_text() == "one\nzwei \N{SNOWMAN}\n"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert told.news == []


def test_another_start_goes_on_in_the_same_file(path: Path, told: Told):
    first = told.open(path)
    first.write("first")
    first.close()
    told.open(path).write("second")
    assert path.read_text() == "first\nsecond\n"


@given(
    lines=st.lists(st.text("abc", max_size=60), max_size=40),
    max_bytes=st.integers(1, 80),
    backups=st.integers(0, 3),
)
def test_the_newest_lines_are_kept_whole_and_in_order_within_the_bounds(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], max_bytes: int, backups: int
):
    path = tmp_path_factory.mktemp("logs") / "pdwatch.log"
    log = Told().open(path, max_bytes=max_bytes, backups=backups)
    for line in lines:
        log.write(line)
    log.close()
    files = [*reversed(put_aside(path)), path] if lines else []
    kept = [line for each in files for line in each.read_text().split("\n")[:-1]]
    assert kept == lines[len(lines) - len(kept) :]
    assert len(files) <= backups + 1
    assert all(each.stat().st_size <= max(max_bytes, max(map(len, lines)) + 1) for each in files)


def test_files_beyond_what_is_kept_now_are_removed(path: Path, told: Told):
    log = told.open(path, max_bytes=1, backups=4)
    for line in "abcdef":
        log.write(line)
    log.close()
    log = told.open(path, max_bytes=1, backups=1)
    log.write("g")
    assert [each.read_text() for each in put_aside(path)] == ["f\n"]


def test_a_file_that_was_deleted_is_begun_anew(path: Path, told: Told):
    log = told.open(path)
    log.write("gone")
    path.unlink()
    log.write("here")
    assert path.read_text() == "here\n"


def test_two_at_once_write_to_files_of_their_own(path: Path, told: Told):
    first, second, third = (told.open(path) for _ in range(3))
    for log, line in ((first, "first"), (second, "second"), (third, "third")):
        log.write(line)
    second.close()
    told.open(path).write("fourth")
    texts = {each.name: each.read_text() for each in log_files(path)}
    assert texts == {
        "pdwatch.log": "first\n",
        "pdwatch-2.log": "second\nfourth\n",
        "pdwatch-3.log": "third\n",
    }


def test_where_there_is_no_room_a_line_is_left_out_whole_and_it_is_told_once(path: Path, told: Told):
    log = told.open(path)
    fits = "x" * 90
    with files_up_to(100):
        log.write(fits)
        log.write("does not fit whole")
        log.write("nor does this one")
    assert path.read_text() == f"{fits}\n"
    assert told.news == ["No space left on device"]
    with files_up_to(100):
        log.write("fits")
    assert path.read_text() == f"{fits}\nfits\n"
    assert told.news[1:] == ["resumed"]


def test_on_a_disk_that_is_full_it_goes_on_and_writes_again_when_there_is_room(tmp_path: Path, told: Told):
    with small_disk(tmp_path / "disk") as disk:
        log = told.open(disk / "pdwatch.log", max_bytes=10_000_000)
        log.write("before")
        fill = full(disk)
        for number in range(2000):  # more than what is left of the file's last page
            log.write(f"line {number}")
        assert told.news == ["No space left on device"]
        assert (disk / "pdwatch.log").read_text().endswith("\n")
        fill.unlink()
        log.write("after")
        assert told.news[1:] == ["resumed"]
        assert (disk / "pdwatch.log").read_text().endswith("\nafter\n")
        log.close()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path, told: Told):
    (tmp_path / "file").write_text("")
    log = told.open(tmp_path / "file/pdwatch.log")
    log.write("one")
    log.write("two")
    assert told.news == ["File exists"]


def full(disk: Path) -> Path:
    """Fill a disk to its last page; return the file that has to go to make room."""
    fill = disk / "fill"
    with fill.open("wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(4096))
        except OSError:
            return fill


@contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    """A tmpfs of 128 KiB; mounting one takes root, as the testbed does."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({"STATE_DIRECTORY": "/var/lib/pdwatch"}, "/var/lib/pdwatch", id="systemd"),
        pytest.param({"STATE_DIRECTORY": "/a:/b", "XDG_STATE_HOME": "/x"}, "/a", id="several of systemd's"),
        pytest.param({"XDG_STATE_HOME": "/x"}, "/x/pdwatch", id="XDG"),
        pytest.param(
            {"XDG_STATE_HOME": "x"}, "~/.local/state/pdwatch", id="a relative one counts for nothing"
        ),
        pytest.param({}, "~/.local/state/pdwatch", id="nothing set"),
    ],
)
def test_the_log_is_in_the_state_directory(environ: dict[str, str], expected: str):
    assert default_log_file(environ) == Path(expected).expanduser() / "pdwatch.log"


def test_the_lock_ends_with_its_process(path: Path, told: Told):
    script = (
        "import sys; from pathlib import Path; from pdwatch.adapters.log_file import LogFile\n"
        "log = LogFile(Path(sys.argv[1]), max_bytes=9999, backups=1, lost=print, resumed=print)\n"
        "log.write('from another process')"
    )
    subprocess.run([sys.executable, "-c", script, path], check=True)
    told.open(path).write("from this one")
    assert path.read_text() == "from another process\nfrom this one\n"
