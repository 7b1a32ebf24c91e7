"""Log lines on a stdout that is full, torn, read by nobody, or made to wait for nobody."""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import pytest

from pdwatch.adapters.log_stream import LogStream
from pdwatch.cli.run_log import RunLog
from pdwatch.logs import Event, EventLog
from pdwatch.settings import LogSettings
from tests.adapters.full_disk import files_up_to


@dataclass
class Told:
    """What a stream has told about itself."""

    news: list[str] = field(default_factory=list)

    def over(self, out: TextIO) -> LogStream:
        return LogStream(
            out,
            lost=lambda error: self.news.append(os.strerror(error.errno or 0)),
            resumed=lambda: self.news.append("resumed"),
        )


def test_a_full_disk_loses_lines_is_told_once_and_the_next_line_begins_on_its_own(tmp_path: Path):
    told, path = Told(), tmp_path / "out"
    with path.open("w") as out:
        stream = told.over(out)
        stream.write("before\n")
        with files_up_to(10):
            stream.write("torn in two\n")
            stream.write("lost\n")
        assert told.news == ["File too large"]
        stream.write("after\n")
        stream.write("that\n")
    assert told.news == ["File too large", "resumed"]
    assert path.read_text() == "before\ntor\nafter\nthat\n"


def test_the_daemon_s_log_goes_on_without_stdout_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "pdwatch.log"
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        log = EventLog()
        RunLog({}, log=log).configure(LogSettings(file=str(file)))
        log.emit(Event.DAEMON_STARTED)
        log.emit(Event.DAEMON_STOPPED)
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert [record["event"] for record in records] == ["daemon.started", "log.lost", "daemon.stopped"]
    assert records[1]["path"] == "stdout"
    assert records[1]["message"].startswith("stdout can't be written: No space left on device")


def test_a_pipe_or_terminal_that_nobody_reads_any_more_is_an_error():
    read, write = os.pipe()
    os.close(read)
    leader, terminal = os.openpty()
    os.close(leader)
    for descriptor in (write, terminal):
        with os.fdopen(descriptor, "w") as out, pytest.raises(BrokenPipeError):
            Told().over(out).write("line\n")


def test_one_that_another_program_has_made_not_to_wait_is_waited_for():
    told, (read, write) = Told(), os.pipe()
    os.set_blocking(write, False)
    line = "x" * 1_000_000 + "\n"
    with os.fdopen(read) as reader, os.fdopen(write, "w") as out:
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.append(reader.readline()))
        thread.start()
        told.over(out).write(line)
        thread.join()
    assert (found, told.news) == ([line], [])
