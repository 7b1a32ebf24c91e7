"""systemd's journal, without systemd: what is asked of journalctl, and what is made of its answer."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.journal import entries, following, is_journal, newest_first
from pdwatch.errors import ProgramMissingError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_descriptor_is_the_journals_when_journal_stream_names_its_file(tmp_path: Path):
    with (tmp_path / "stream").open("w") as out:
        found = os.fstat(out.fileno())
        named = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert is_journal(named, out.fileno())
        assert not is_journal({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"}, out.fileno())
        assert not is_journal({}, out.fileno())


UNITS = ["--unit=pdwatch.service", "--user-unit=pdwatch.service"]


def test_the_last_entries_are_asked_for_from_the_newest_on():
    assert newest_first() == ["journalctl", "--quiet", "--output=json", "--all", *UNITS, "--reverse"]


@pytest.mark.parametrize(
    ("cursor", "bound"),
    [
        pytest.param("s=1;i=2", ["--no-tail", "--after-cursor=s=1;i=2"], id="after the last that was shown"),
        pytest.param(None, ["--lines=0"], id="what comes, when there was none"),
    ],
)
def test_what_comes_is_asked_for(cursor: str | None, bound: list[str]):
    assert following(cursor) == [
        "journalctl",
        "--quiet",
        "--output=json",
        "--all",
        *UNITS,
        "--follow",
        *bound,
    ]


def test_entries_are_read_as_they_come_and_the_program_ends_with_the_block(tmp_path: Path):
    program = tmp_path / "journalctl"
    program.write_text(
        '#!/bin/sh\necho $$ > "$0.pid"\n'
        'echo \'{"__REALTIME_TIMESTAMP": "1", "__CURSOR": "c", "MESSAGE": "Started."}\'\nexec sleep 600\n'
    )
    program.chmod(0o755)
    with entries([str(program)]) as records:
        assert next(records).fields["event"] == "Started."
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "journalctl.pid").read_text()), 0)


def test_without_journalctl_it_is_said_what_to_do(tmp_path: Path):
    with pytest.raises(ProgramMissingError, match="no journalctl"), entries([str(tmp_path / "journalctl")]):
        pass


@pytest.mark.skipif(
    shutil.which("journalctl") is None and not os.environ.get("CI"), reason="no journalctl on this machine"
)
@pytest.mark.parametrize("command", [newest_first(), following(None)[:-2]], ids=["newest first", "following"])
def test_journalctl_takes_the_flags(command: list[str], tmp_path: Path):
    ended = subprocess.run([*command, f"--directory={tmp_path}"], check=False, capture_output=True, text=True)
    assert "unrecognized" not in ended.stderr
    assert "Failed to parse" not in ended.stderr
