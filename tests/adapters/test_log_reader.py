"""Log files as they are written, rotated and read at the same time."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pdwatch.adapters.log_file import LogFile, put_aside
from pdwatch.adapters.log_reader import LogReader

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pdwatch.core.log_records import Record

START = datetime(2025, 1, 31, tzinfo=UTC)


def line(number: int) -> str:
    at = (START + timedelta(seconds=number)).isoformat()
    return json.dumps({"timestamp": at, "level": "info", "event": "daemon.synced", "workflows": number})


def numbers(records: Iterable[Record]) -> list[int]:
    return [each.fields["workflows"] for each in records]


def open_log(path: Path, **options: Any) -> LogFile:
    def fail(error: OSError) -> None:
        raise error

    return LogFile(path, **{"max_bytes": 300, "backups": 90} | options, lost=fail, resumed=lambda: None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pdwatch.log"


def test_files_that_were_put_aside_are_read_too_newest_first(path: Path):
    log = open_log(path)
    for number in range(30):
        log.write(line(number))
    assert len(put_aside(path)) > 9
    with LogReader(path) as reader:
        assert numbers(reader.newest_first()) == list(reversed(range(30)))


def test_files_that_nobody_had_to_read_are_not_taken_for_new_ones(path: Path):
    log = open_log(path)
    for number in range(30):
        log.write(line(number))
    with LogReader(path) as reader:
        assert numbers([next(reader.newest_first())]) == [29]
        log.write(line(30))
        assert numbers(next(reader.appended())) == [30]


def test_the_logs_of_several_daemons_are_put_into_one_order(path: Path):
    logs = [open_log(path), open_log(path)]
    for number in range(20):
        logs[number % 3 % 2].write(line(number))
    with LogReader(path) as reader:
        assert numbers(reader.newest_first()) == list(reversed(range(20)))


def test_a_line_that_is_not_whole_yet_is_left_for_later(path: Path):
    path.write_text(f"{line(0)}\n{line(1)[:20]}")
    with LogReader(path) as reader:
        assert numbers(reader.newest_first()) == [0]
        with path.open("a") as out:
            out.write(f"{line(1)[20:]}\n")
        assert numbers(next(reader.appended())) == [1]


def write(log: LogFile, numbers: Iterable[int]) -> None:
    for number in numbers:
        log.write(line(number))


def test_every_line_is_followed_once_across_many_rotations(path: Path):
    log, count = open_log(path), 150
    log.write(line(0))
    with LogReader(path) as reader:
        seen = numbers(reader.newest_first())
        writer = threading.Thread(target=write, args=(log, range(1, count)))
        writer.start()
        batches = reader.appended()
        while len(seen) < count:
            seen += numbers(next(batches))
        writer.join()
    assert sorted(seen) == list(range(count))
    assert len(put_aside(path)) > 60


def test_a_daemon_that_starts_later_is_followed_too(path: Path):
    open_log(path).write(line(0))
    first = open_log(path)
    with LogReader(path) as reader:
        assert numbers(reader.newest_first()) == [0]
        first.write(line(1))
        assert numbers(next(reader.appended())) == [1]


@pytest.mark.parametrize(
    "rid", [lambda path: path.unlink(), lambda path: path.write_text("")], ids=["deleted", "emptied"]
)
def test_a_file_that_somebody_empties_is_followed_from_its_beginning(path: Path, rid: Any):
    log = open_log(path)
    log.write(line(1000))
    with LogReader(path) as reader:
        assert numbers(reader.newest_first()) == [1000]
        rid(path)
        batches = reader.appended()
        log.write(line(1))
        while not (found := numbers(next(batches))):
            pass
        assert found == [1]
