"""The cache holds whole things or nothing."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.testbed.cache import cached, fingerprint, locked

if TYPE_CHECKING:
    from pathlib import Path


def write_part(target: Path) -> None:
    (target / "part").write_text("whole")


def test_a_thing_is_built_once(tmp_path: Path):
    def must_not_build(target: Path) -> None:
        raise AssertionError(target)

    built = cached(tmp_path, "thing", write_part)

    assert cached(tmp_path, "thing", must_not_build) == built
    assert (built / "part").read_text() == "whole"


def test_a_build_that_fails_leaves_nothing(tmp_path: Path):
    def fail(target: Path) -> None:
        write_part(target)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path, "thing", fail)

    assert [path.name for path in tmp_path.iterdir()] == ["locks"]


def test_what_a_killed_build_has_left_goes_with_the_next(tmp_path: Path):
    killed = "import os, sys; from pathlib import Path; from tests.testbed.cache import cached\n"
    killed += "cached(Path(sys.argv[1]), 'thing', lambda target: os.kill(os.getpid(), 9))"
    subprocess.run([sys.executable, "-c", killed, str(tmp_path)], check=False)
    assert [path.name for path in tmp_path.glob(".partial-*")] == [".partial-thing"]

    cached(tmp_path, "other", write_part)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["locks", "other"]


def test_a_lock_is_held_by_one_at_a_time(tmp_path: Path):
    attempt = ["flock", "--nonblock", "--conflict-exit-code=7", str(tmp_path / "lock"), "true"]

    with locked(tmp_path / "lock"):
        assert subprocess.run(attempt, check=False).returncode == 7

    assert subprocess.run(attempt, check=False).returncode == 0


def test_whoever_waited_for_a_removed_lock_takes_the_next_one(tmp_path: Path):
    path = tmp_path / "lock"
    entered: list[str] = []

    def wait_and_enter() -> None:
        with locked(path):
            entered.append("waited")
            assert path.exists()

    with ThreadPoolExecutor(1) as executor:
        with locked(path):
            waiting = executor.submit(wait_and_enter)
            entered.append("first")
            path.unlink()
        waiting.result()

    assert entered == ["first", "waited"]


def test_another_recipe_has_another_fingerprint():
    assert fingerprint("a", ["b"]) == fingerprint("a", ["b"])
    assert fingerprint("a", ["b"]) != fingerprint("a", ["c"])
