"""``pdwatch logs -f`` beside a real daemon, whose log is rotated and whose settings change."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.log_file import put_aside
from tests.cli.command import pdwatch
from tests.e2e.daemon import Daemon, running, running_daemon
from tests.e2e.test_reload import make_workflow, save, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path


FOLLOW = ("logs", "--file", "-f", "-o", "json")


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CONFIG_HOME": str(tmp_path / "config")}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state/pdwatch/pdwatch.log"


def started(
    *arguments: str, environment: Mapping[str, str], before: Sequence[str] = ()
) -> AbstractAsyncContextManager[Daemon]:
    """Run a command of pdwatch."""
    return running(*before, sys.executable, "-m", "pdwatch", *arguments, environment=environment)


async def test_logs_follow_a_daemon_across_rotation_until_ctrl_c(
    tmp_path: Path, environment: Mapping[str, str], state: Path
):
    hello = make_workflow(tmp_path / "workflows/hello")
    small = {**environment, "PDWATCH_LOG_MAX_BYTES": "10000"}
    async with running_daemon("--target=local", hello.parent, environment=small) as daemon:
        await daemon.until("rollout.complete", workflow="hello")
        async with started(*FOLLOW, "hello", environment=environment) as logs:
            await logs.until("rollout.complete")
            count = 0
            while len(put_aside(state)) < 2:
                count += 1
                since, mark = daemon.mark, logs.mark
                say(hello, f"change {count}")
                complete = await daemon.until("rollout.complete", since=since)
                await logs.until("rollout.complete", since=mark, source_digest=complete["source_digest"])
            assert await logs.stop(signal.SIGINT) == 0
        assert await daemon.stop() == 0
    of_hello = [line for line in daemon.lines if line.get("workflow") == "hello"]
    assert logs.lines == of_hello[: len(logs.lines)]
    everything = await pdwatch("logs", "--file", "-nall", "-o", "json", environ=environment)
    assert [json.loads(line) for line in everything.out.splitlines()] == daemon.lines


async def test_level_format_and_file_change_under_a_daemon_that_runs(
    tmp_path: Path, environment: Mapping[str, str]
):
    hello = make_workflow(tmp_path / "workflows/hello")
    settings = {"roots": [str(hello.parent)], "target": "local"}
    file = save(tmp_path / "settings.yaml", settings)
    async with started("run", f"--config={file}", environment=environment) as daemon:
        await daemon.until("rollout.complete")
        async with started(*FOLLOW, environment=environment) as logs:
            save(file, settings | {"log": {"format": "logfmt", "level": "error", "file_level": "debug"}})
            await logs.until("settings.reloaded", changed="log.format, log.level, log.file_level")
            shown, since = len(daemon.raw), logs.mark
            say(hello, "second")
            await logs.until("build.started", since=since)
            await logs.until("rollout.complete", since=since)
            assert daemon.raw[shown:] == []
        since = daemon.mark
        save(file, settings | {"log": {"file": str(tmp_path / "elsewhere/own.log")}})
        await daemon.until("settings.reloaded", since=since)
        own = await pdwatch("logs", "--file", "-o", "json", f"--config={file}", environ=environment)
        assert [json.loads(line)["event"] for line in own.out.splitlines()] == ["settings.reloaded"]
        assert await daemon.stop() == 0


async def test_a_log_that_cannot_be_written_is_told_once_and_stops_nothing(tmp_path: Path):
    hello = make_workflow(tmp_path / "workflows/hello")
    (tmp_path / "state").write_text("a file where a directory should be")
    environment = {"XDG_STATE_HOME": str(tmp_path / "state")}
    async with running_daemon("--target=local", hello.parent, environment=environment) as daemon:
        lost = await daemon.until("log.lost")
        assert lost["path"] == str(tmp_path / "state/pdwatch/pdwatch.log")
        await daemon.until("rollout.complete")
        assert daemon.events().count("log.lost") == 1


async def test_a_daemon_on_the_journal_writes_no_file_and_tells_it_each_lines_priority(
    tmp_path: Path, environment: Mapping[str, str], state: Path
):
    """The test's pipe stands in for the journal's socket, in JOURNAL_STREAM too."""
    hello = make_workflow(tmp_path / "workflows/hello")
    on_journal = 'exec 3>&1; JOURNAL_STREAM="$(stat -L -c %d:%i /proc/self/fd/3)" exec "$0" "$@"'
    arguments = ("run", "--target=local", "--log-format=json", str(hello.parent))
    async with started(*arguments, environment=environment, before=("sh", "-c", on_journal)) as daemon:
        await daemon.until("daemon.synced")
        assert await daemon.stop() == 0
        assert all(line.startswith("<6>{") for line in daemon.raw)
    assert not state.parent.exists()
