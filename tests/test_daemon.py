"""``pdwatch run`` where there is neither Docker nor a cluster: how it starts, reports and ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.daemon import running_daemon

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A workflow directory whose ``workflow.yaml`` ends too early."""
    root = tmp_path / "workflows" / "broken"
    root.mkdir(parents=True)
    (root / "workflow.yaml").write_text("name: broken\n")
    return root


def nowhere(tmp_path: Path, user: Mapping[str, Any] | None = None) -> Mapping[str, str]:
    """Return an environment whose kubeconfig and Docker socket lead to nobody."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "nowhere",
                "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}],
                "clusters": [{"name": "nowhere", "cluster": {"server": "http://127.0.0.1:9"}}],
                "users": [{"name": "nobody", "user": user or {}}],
            }
        )
    )
    return {"KUBECONFIG": str(kubeconfig), "DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}


async def test_without_an_api_server_it_says_so_and_reports_invalid_workflows_all_the_same(
    broken: Path, tmp_path: Path
):
    valid = broken.parent / "valid"
    (valid / "nodes").mkdir(parents=True)
    (valid / "nodes/a.ts").write_text("export default () => 1;\n")
    (valid / "workflow.yaml").write_text(
        'name: valid\nversion: "1.0"\ntriggers: [{type: manual}]\nnodes: {a: {path: ./nodes/a.ts}}\n'
    )
    async with running_daemon(broken.parent, environment=nowhere(tmp_path)) as daemon:
        invalid = await daemon.until("workflow.invalid", workflow="broken")
        assert invalid["path"] == str(broken / "workflow.yaml")
        cut = await daemon.until("watch.disconnected", resource="deployments", reason="unavailable")
        assert "http://127.0.0.1:9" in cut["message"]
        assert await daemon.stop() == 0


@SIGNALS
async def test_a_signal_while_it_starts_ends_it_cleanly(broken: Path, tmp_path: Path, number: signal.Signals):
    started = tmp_path / "started"
    os.mkfifo(started)
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", f"echo > '{started}'; exec sleep 60"],
        "interactiveMode": "Never",
    }
    async with running_daemon(broken.parent, environment=nowhere(tmp_path, {"exec": plugin})) as daemon:
        await asyncio.to_thread(started.read_text)
        assert await daemon.stop(number) == 0
    assert daemon.events() == ["daemon.stopping", "daemon.stopped"]


async def test_a_log_that_nobody_reads_any_more_ends_it_without_a_traceback(broken: Path, tmp_path: Path):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pdwatch", "run", broken.parent, "--log-format=json", "--log-level=debug"),
        *("--resync=1",),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **nowhere(tmp_path)},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    while b"daemon.synced" not in await process.stdout.readline():
        assert not process.stdout.at_eof()
    process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
    assert await process.stderr.read() == b""
    assert await process.wait() == 1


STUBBORN = """\
import asyncio, contextlib
from pdwatch.adapters.systemd import Systemd
from pdwatch.daemon import until_signal
from pdwatch.logs import EventLog, configure

async def stubborn():
    with contextlib.suppress(asyncio.CancelledError):
        print("working", flush=True)
        await asyncio.Event().wait()
    print("ending", flush=True)
    await asyncio.Event().wait()

configure("json")
log = EventLog()
asyncio.run(until_signal(stubborn(), log=log, systemd=Systemd(None, log=log)))
"""


@SIGNALS
async def test_a_second_signal_ends_it_at_once(number: signal.Signals):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STUBBORN), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"working\n"
    process.send_signal(number)
    assert await process.stdout.readline() == b"ending\n"
    process.send_signal(number)
    assert await process.wait() == -number
