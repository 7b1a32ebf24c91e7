"""Standard streams that are closed, full, or read by nobody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/order-quote"


def run(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of sh in which ``$pdwatch`` is the program, and ``$example`` a workflow."""
    return subprocess.run(
        ["/bin/sh", "-c", f'pdwatch="{sys.executable} -m pdwatch"; example={EXAMPLE}; {line}'],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", ["--help", "validate --schema", "validate -o json $example"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_device_is_an_error_in_a_word(arguments: str, unbuffered: str) -> None:
    ended = run(f"PYTHONUNBUFFERED={unbuffered} $pdwatch {arguments} > /dev/full")
    assert ended.stderr == "error: the output can't be written: No space left on device\n"
    assert ended.returncode == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_ends_nothing(closed: str) -> None:
    ended = run(f"$pdwatch validate -o json $example {closed}")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_reader_that_has_enough_gets_no_traceback() -> None:
    ended = run("$pdwatch validate --schema | head -c 1")
    assert (ended.stdout, ended.stderr) == ("{", "")
