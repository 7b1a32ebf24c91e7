"""The protocol of sd_notify(3), over real sockets."""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.systemd import service_manager
from pdwatch.errors import SettingsError
from pdwatch.logs import Event
from tests.adapters.notify_socket import notify_socket
from tests.adapters.recorded_log import RecordedLog

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
async def test_every_message_is_one_datagram_of_assignments(tmp_path: Path, *, abstract: bool):
    address = f"@pdwatch-test-{secrets.token_hex(8)}" if abstract else str(tmp_path / "notify")
    with (
        notify_socket(address) as socket,
        service_manager(dict(socket.environment()), log=RecordedLog()) as systemd,
    ):
        assert systemd.listens
        await systemd.extend_timeout(1.5)
        await systemd.ready()
        await systemd.status("two lines\nbecome one")
        await systemd.alive()
        await systemd.stopping()
        assert socket.pending() == [
            {"EXTEND_TIMEOUT_USEC": "1500000"},
            {"READY": "1"},
            {"STATUS": "two lines become one"},
            {"WATCHDOG": "1"},
            {"STOPPING": "1"},
        ]


async def test_a_reload_says_since_when_in_the_time_that_systemd_itself_reads(tmp_path: Path):
    with (
        notify_socket(tmp_path / "notify") as socket,
        service_manager(dict(socket.environment()), log=RecordedLog()) as systemd,
    ):
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        await systemd.reloading()
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        (message,) = socket.pending()
    assert message["RELOADING"] == "1"
    assert before <= int(message["MONOTONIC_USEC"]) <= after


async def test_without_systemd_every_message_is_dropped():
    with service_manager({}, log=RecordedLog()) as systemd:
        assert not systemd.listens
        await systemd.ready()
        await systemd.status("nobody hears this")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param({"WATCHDOG_USEC": "60000000"}, 60.0, id="for whoever listens"),
        pytest.param({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5, id="for us"),
        pytest.param({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None, id="for another process"),
        pytest.param({}, None, id="there is none"),
        pytest.param({"WATCHDOG_USEC": "0"}, None, id="it is off"),
        pytest.param({"WATCHDOG_USEC": "soon"}, None, id="it is nonsense"),
    ],
)
async def test_the_watchdog_is_systemds_for_this_process(
    tmp_path: Path, variables: dict[str, str], expected: float | None
):
    with notify_socket(tmp_path / "notify") as socket:
        environ = {**socket.environment(), **variables}
        with service_manager(environ, log=RecordedLog()) as systemd:
            assert systemd.watchdog_s == expected


async def test_children_don_t_inherit_the_socket(tmp_path: Path):
    with notify_socket(tmp_path / "notify") as socket:
        environ = {**socket.environment(watchdog_s=60), "WATCHDOG_PID": str(os.getpid()), "HOME": "/root"}
        with service_manager(environ, log=RecordedLog()):
            assert environ == {"HOME": "/root"}


async def test_an_address_where_nobody_listens_is_said(tmp_path: Path):
    environ = {"NOTIFY_SOCKET": str(tmp_path / "nothing")}
    with (
        pytest.raises(
            SettingsError, match=r"NOTIFY_SOCKET=.*/nothing is no socket of a service manager: No such"
        ),
        service_manager(environ, log=RecordedLog()),
    ):
        pass


async def test_a_manager_that_goes_is_reported_once_and_does_not_end_the_service(tmp_path: Path):
    log = RecordedLog()
    with notify_socket(tmp_path / "notify") as socket:
        environ = dict(socket.environment())
        with service_manager(environ, log=log) as systemd:
            socket.connection.close()
            await systemd.alive()
            await systemd.alive()
    assert len(log.named(Event.SYSTEMD_LOST)) == 1
