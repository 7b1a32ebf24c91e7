"""A real ``pdwatch run`` as a service: the test plays systemd on NOTIFY_SOCKET."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.adapters.notify_socket import notify_socket
from tests.e2e.daemon import running_daemon
from tests.e2e.test_loop import HELLO, greeting
from tests.test_daemon import nowhere

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.adapters.notify_socket import NotifySocket
    from tests.e2e.daemon import Daemon
    from tests.testbed import Testbed

WATCHDOG_S = 1.0
"""So that the watchdog is fed twice a second."""


@contextmanager
def systemd(directory: Path) -> Iterator[NotifySocket]:
    directory.mkdir(exist_ok=True)
    with notify_socket(directory / "notify") as socket:
        yield socket


def service(directory: Path, socket: NotifySocket) -> Mapping[str, str]:
    """The environment of a service that reaches neither a cluster nor a Docker."""
    return {**nowhere(directory), **socket.environment(watchdog_s=WATCHDOG_S)}


def broken(directory: Path) -> Path:
    """A workflow that is looked at without a cluster: it is invalid."""
    root = directory / "workflows" / "broken"
    root.mkdir(parents=True)
    (root / "workflow.yaml").write_text("name: broken\n")
    return root.parent


async def test_a_start_is_ready_after_the_first_sync_and_a_stop_is_told(tmp_path: Path):
    with systemd(tmp_path) as socket:
        async with running_daemon(broken(tmp_path), environment=service(tmp_path, socket)) as daemon:
            await socket.until("READY")
            told_before = [message["STATUS"] for message in socket.messages if "STATUS" in message]
            assert told_before[-1] == "watching 1 workflow: 1 invalid"
            await daemon.until("daemon.synced")
            await socket.until("WATCHDOG")
            assert await daemon.stop() == 0
        socket.pending()
    told = [name for message in socket.messages for name in message]
    assert told.index("EXTEND_TIMEOUT_USEC") < told.index("READY") < told.index("WATCHDOG")
    assert told.count("READY") == 1
    assert told[-1] == "STOPPING"


async def test_a_start_that_waits_for_the_cluster_is_not_ready_and_asks_for_patience(tmp_path: Path):
    workflows = broken(tmp_path)
    (workflows / "broken/nodes").mkdir()
    (workflows / "broken/nodes/greet.ts").write_text(greeting("hello"))
    (workflows / "broken/workflow.yaml").write_text(HELLO)
    with systemd(tmp_path) as socket:
        async with running_daemon(workflows, environment=service(tmp_path, socket)) as daemon:
            await daemon.until("watch.disconnected", resource="deployments")
            socket.pending()
            for _ in range(3):
                await socket.until("EXTEND_TIMEOUT_USEC")
            assert await daemon.stop() == 0
    assert not any("READY" in message or "WATCHDOG" in message for message in socket.messages)
    assert {"STATUS": "first sync, watching 1 workflow: 1 checking"} in socket.messages


async def freeze(daemon: Daemon) -> None:
    """Stop the process, and return once it has stopped."""
    daemon.process.send_signal(signal.SIGSTOP)
    await asyncio.to_thread(os.waitid, os.P_PID, daemon.process.pid, os.WSTOPPED | os.WNOWAIT)


async def test_a_frozen_service_feeds_no_watchdog_and_one_that_goes_on_does(tmp_path: Path):
    """The measure of time is another daemon, which is not frozen."""
    one, other = tmp_path / "one", tmp_path / "other"
    with systemd(one) as socket, systemd(other) as control:
        async with (
            running_daemon(broken(one), environment=service(one, socket)) as daemon,
            running_daemon(broken(other), environment=service(other, control)),
        ):
            await socket.until("WATCHDOG")
            await control.until("WATCHDOG")
            await freeze(daemon)
            socket.pending()
            for _ in range(5):
                await control.until("WATCHDOG")
            assert socket.pending() == []
            daemon.process.send_signal(signal.SIGCONT)
            await socket.until("WATCHDOG")
            assert await daemon.stop() == 0


async def test_a_reload_is_told_from_its_beginning_to_its_end_whether_or_not_it_succeeds(tmp_path: Path):
    workflows, settings = broken(tmp_path), tmp_path / "pdwatch.yaml"
    settings.write_text(f"roots: [{workflows}]\n")
    with systemd(tmp_path) as socket:
        arguments = ("--config", settings)
        async with running_daemon(*arguments, environment=service(tmp_path, socket)) as daemon:
            await socket.until("READY")
            daemon.process.send_signal(signal.SIGHUP)
            assert int((await socket.until("RELOADING"))["MONOTONIC_USEC"]) > 0
            await socket.until("READY")
            await daemon.until("settings.reloaded", cause="signal")

            settings.write_text("roots: 7\n")
            await socket.until("RELOADING")
            await socket.until("READY")
            await daemon.until("settings.invalid", cause="save")
            await socket.until("WATCHDOG")
            assert await daemon.stop() == 0


async def test_the_status_follows_a_workflow_to_the_pod_that_answers(
    tmp_path: Path, namespace: str, testbed: Testbed
):
    root = tmp_path / "workflows" / "hello"
    (root / "nodes").mkdir(parents=True)
    (root / "workflow.yaml").write_text(HELLO)
    (root / "nodes/greet.ts").write_text(greeting(namespace))
    with systemd(tmp_path) as socket:
        environment = {**testbed.variables, **socket.environment()}
        async with running_daemon(root, f"--namespace={namespace}", environment=environment) as daemon:
            while (await socket.until("STATUS"))["STATUS"] != "watching 1 workflow: 1 ready":
                pass
            assert await daemon.stop() == 0
    told = [message["STATUS"] for message in socket.messages if "STATUS" in message]
    assert told[0].startswith("first sync, watching ")  # a build may end before a line has stood long enough
    assert "watching 1 workflow: 1 rolling out" in [line.removeprefix("first sync, ") for line in told]
    assert len(told) == len(
        [line for line, before in zip(told, [None, *told], strict=False) if line != before]
    )


async def test_a_socket_that_is_none_is_a_mistake_in_the_settings(tmp_path: Path):
    environment = {**nowhere(tmp_path), "NOTIFY_SOCKET": str(tmp_path / "nothing")}
    async with running_daemon(broken(tmp_path), environment=environment) as daemon:
        assert await daemon.process.wait() == 2
