"""Processes are told apart for good."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.testbed.processes import ProcessId

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose name looks like the fields that follow it in /proc."""
    program = tmp_path / "a) Z (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as process:
        yield process
        process.kill()


def test_a_process_is_known_again_whatever_its_name(sleeper: subprocess.Popen[bytes]):
    found = ProcessId.of(sleeper.pid)

    assert found is not None
    assert found.alive
    # A testbed that this session has brought up is among them too.
    assert found in ProcessId.of(os.getpid()).children()  # type: ignore[union-attr]


def test_a_zombie_is_not_alive(sleeper: subprocess.Popen[bytes]):
    found = ProcessId.of(sleeper.pid)
    assert found is not None

    found.kill()

    assert not found.alive
    assert ProcessId.of(sleeper.pid) is None
    assert sleeper.wait() == -9


def test_another_process_under_the_same_number_is_left_alone(sleeper: subprocess.Popen[bytes]):
    found = ProcessId.of(sleeper.pid)
    assert found is not None
    earlier = ProcessId(pid=found.pid, start_time=found.start_time - 1)

    earlier.kill()

    assert not earlier.alive
    assert found.alive


def test_killing_what_has_ended_does_nothing(sleeper: subprocess.Popen[bytes]):
    found = ProcessId.of(sleeper.pid)
    assert found is not None
    sleeper.kill()
    sleeper.wait()

    found.kill()
