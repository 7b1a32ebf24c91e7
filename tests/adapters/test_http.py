"""The HTTP endpoint, asked by a real client over real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from pdwatch.adapters.http.app import http_app, http_runner
from pdwatch.adapters.http.client import daemon_at
from pdwatch.adapters.http.feed import BACKLOG, KEPT, EventFeed
from pdwatch.adapters.http.sockets import bind_tcp, bind_unix, default_socket, find_sockets
from pdwatch.adapters.prometheus import Metrics
from pdwatch.core.daemon_state import Answer, Health, Readiness, Standing, WorkflowState
from pdwatch.core.listen import ListenAddress
from pdwatch.core.log_records import Record
from pdwatch.errors import DaemonUnavailableError, EndpointError, ExitCode, PortTakenError
from pdwatch.logs import Event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WAIT_S = 30
HELLO = WorkflowState(
    name="hello",
    namespace="dev",
    target="kubernetes",
    directory="/w/hello",
    standing=Standing.READY,
    answer=Answer.YES,
    saved="sha256:a",
    running=("sha256:a",),
    since=NOW,
)


@dataclass(slots=True, kw_only=True)
class Told:
    """A daemon that tells what it is given."""

    hung: tuple[str, ...] = ()
    synced: bool = True
    stale: tuple[str, ...] = ()

    def health(self) -> Health:
        return Health(lag_s=0.25, hung=self.hung)

    def readiness(self) -> Readiness:
        return Readiness(synced=self.synced, stale=self.stale)

    def queue(self) -> dict[str, int]:
        return {}

    def workflows(self) -> tuple[WorkflowState, ...]:
        return (HELLO,)


@dataclass(slots=True, kw_only=True)
class Endpoint:
    path: Path
    session: aiohttp.ClientSession
    state: Told = field(default_factory=Told)
    feed: EventFeed = field(default_factory=lambda: EventFeed("start"))

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        async with self.session.get(path, headers=headers) as response:
            return response.status, await response.json()

    def happens(self, event: Event, level: str = "info", **fields: object) -> None:
        first = {"timestamp": NOW.isoformat(), "level": level, "event": str(event)}
        self.feed.take(Record(at=NOW, fields={**first, **fields}))


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[Endpoint]:
    path = tmp_path / "pdwatch.sock"
    async with aiohttp.ClientSession(
        "http://localhost", connector=aiohttp.UnixConnector(str(path))
    ) as session:
        endpoint = Endpoint(path=path, session=session)
        app = http_app(endpoint.state, metrics=Metrics(endpoint.state), feed=endpoint.feed, heartbeat_s=0.05)
        runner = http_runner(app)
        await runner.setup()
        try:
            await web.SockSite(runner, bind_unix(path)).start()
            yield endpoint
        finally:
            endpoint.feed.close()
            await runner.cleanup()


@asynccontextmanager
async def following(endpoint: Endpoint, query: str = "", **headers: str) -> AsyncIterator[Stream]:
    """Follow the events; the subscription is there once the block begins."""
    async with endpoint.session.get(f"/api/v1/events{query}", headers=headers) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        stream = Stream(response)
        assert await stream.line() == ": records of pdwatch's log"
        yield stream


@dataclass(slots=True)
class Stream:
    response: aiohttp.ClientResponse

    async def line(self) -> str | None:
        """The next line that is not empty; None at the end."""
        async with asyncio.timeout(WAIT_S):
            while raw := await self.response.content.readline():
                if raw.strip():
                    return raw.decode().strip()
        return None

    async def record(self) -> tuple[str, dict[str, Any]]:
        """The next record, under its ID."""
        number = ""
        while line := await self.line():
            if line.startswith("id: "):
                number = line.removeprefix("id: ")
            if line.startswith("data: "):
                return number, json.loads(line.removeprefix("data: "))
        raise AssertionError("the stream has ended")


async def test_health_is_bad_only_while_a_part_hangs(endpoint: Endpoint):
    assert await endpoint.get("/healthz") == (200, {"ok": True, "lag_s": 0.25, "hung": []})
    endpoint.state.hung = ("work",)
    assert await endpoint.get("/healthz") == (503, {"ok": False, "lag_s": 0.25, "hung": ["work"]})


async def test_readiness_takes_the_first_sync_and_every_watch(endpoint: Endpoint):
    assert await endpoint.get("/readyz") == (200, {"ready": True, "synced": True, "stale_watches": []})
    endpoint.state.synced, endpoint.state.stale = False, ("pods in dev",)
    status, document = await endpoint.get("/readyz")
    assert (status, document["synced"], document["stale_watches"]) == (503, False, ["pods in dev"])


async def test_workflows_are_told_as_documented(endpoint: Endpoint):
    status, document = await endpoint.get("/api/v1/workflows")
    assert (status, document) == (200, {"workflows": [HELLO.document()]})
    async with daemon_at(str(endpoint.path)) as daemon:
        assert await daemon.workflows() == [HELLO.document()]


async def test_metrics_come_as_prometheus_expects(endpoint: Endpoint):
    async with endpoint.session.get("/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        assert (
            'pdwatch_workflow_running{namespace="dev",target="kubernetes",workflow="hello"} 1.0'
            in await response.text()
        )


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/api/v1/workflows", "/api/v1/events", "/other"])
async def test_a_foreign_host_is_refused_everywhere(endpoint: Endpoint, path: str):
    status, document = await endpoint.get(path, Host="evil.example:9464")
    assert (status, "Host" in document["error"]) == (421, True)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /healthz HTTP/1.0\r\n\r\n", b"421"),
        (b"GET /healthz HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", b"400"),
        (b"GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"421"),
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"400"),
        (b"\x16\x03\x01 no HTTP\r\n\r\n", b"400"),
    ],
    ids=["no host", "no host in 1.1", "two hosts", "another host in the URL", "too long", "no HTTP"],
)
async def test_what_is_no_request_to_us_is_refused_without_a_word_in_the_log(
    endpoint: Endpoint, request_: bytes, status: bytes, caplog: pytest.LogCaptureFixture
):
    reader, writer = await asyncio.open_unix_connection(str(endpoint.path))
    writer.write(request_)
    assert (await reader.readline()).split()[1] == status
    writer.close()
    assert caplog.records == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
async def test_nothing_but_get_is_answered(endpoint: Endpoint, method: str):
    for path in ("/healthz", "/api/v1/workflows", "/api/v1/events", "/other"):
        async with endpoint.session.request(method, path) as response:
            assert (response.status, response.headers["Allow"]) == (405, "GET")


async def test_no_page_of_another_origin_may_read_an_answer(endpoint: Endpoint):
    async with endpoint.session.get("/healthz", headers={"Origin": "http://evil.example"}) as response:
        assert not [name for name in response.headers if name.startswith("Access-Control")]


async def test_events_are_the_records_of_the_log_from_now_on(endpoint: Endpoint):
    endpoint.happens(Event.DAEMON_STARTED)
    async with following(endpoint) as stream:
        endpoint.happens(Event.BUILD_FAILED, level="error", workflow="hello", message="two\nlines: ü")
        number, record = await stream.record()
    assert number == "start-2"
    assert record == {
        "timestamp": NOW.isoformat(),
        "level": "error",
        "event": "build.failed",
        "workflow": "hello",
        "message": "two\nlines: ü",
    }


async def test_a_client_that_comes_back_gets_what_it_has_missed(endpoint: Endpoint):
    for event in (Event.DAEMON_STARTED, Event.DAEMON_SYNCED, Event.DAEMON_STOPPING):
        endpoint.happens(event)
    async with following(endpoint, **{"Last-Event-ID": "start-1"}) as stream:
        endpoint.happens(Event.DAEMON_STOPPED)
        assert [(await stream.record())[0] for _ in range(3)] == ["start-2", "start-3", "start-4"]


@pytest.mark.parametrize("last", ["other-3", "start-x", "", "-"])
async def test_one_that_knew_another_daemon_gets_all_that_is_kept(endpoint: Endpoint, last: str):
    endpoint.happens(Event.DAEMON_STARTED)
    async with following(endpoint, **{"Last-Event-ID": last}) as stream:
        assert (await stream.record())[0] == "start-1"


async def test_what_is_kept_is_bounded_and_has_no_debug_lines(endpoint: Endpoint):
    for _ in range(KEPT + 10):
        endpoint.happens(Event.WORKFLOW_CHANGED)
        endpoint.happens(Event.WORKFLOW_UNCHANGED, level="debug")
    async with following(endpoint, "?level=debug", **{"Last-Event-ID": "start-0"}) as stream:
        found = [await stream.record() for _ in range(KEPT)]
        assert found[0][0] == "start-21"
        assert {record["event"] for _, record in found} == {"workflow.changed"}
    for _ in range(20):
        endpoint.happens(Event.ENGINE_OUTPUT, message="x" * 100_000)
    async with following(endpoint, **{"Last-Event-ID": "start-0"}) as stream:
        endpoint.happens(Event.DAEMON_STOPPED)
        events = [(await stream.record())[1]["event"]]
        while events[-1] != "daemon.stopped":
            events.append((await stream.record())[1]["event"])
    assert events == ["engine.output"] * 10 + ["daemon.stopped"]


async def test_a_filter_leaves_the_records_of_some_workflows(endpoint: Endpoint):
    async with following(endpoint, "?workflow=one&workflow=two") as stream:
        for name in ("other", "one", "two"):
            endpoint.happens(Event.BUILD_FAILED, workflow=name)
        endpoint.happens(Event.DAEMON_STOPPED)
        endpoint.happens(Event.BUILD_FAILED, workflow="one")
        assert [(await stream.record())[1]["workflow"] for _ in range(3)] == ["one", "two", "one"]


async def test_debug_lines_come_to_who_asks_for_them(endpoint: Endpoint):
    async with following(endpoint) as plain, following(endpoint, "?level=debug") as detailed:
        endpoint.happens(Event.BUILD_STARTED, level="debug")
        endpoint.happens(Event.BUILD_SUCCEEDED)
        assert (await plain.record())[1]["event"] == "build.succeeded"
        assert (await detailed.record())[1]["event"] == "build.started"
    assert await endpoint.get("/api/v1/events?level=all") == (
        400,
        {"error": "level is one of debug, info, warning, error, critical"},
    )


async def test_a_silent_stream_shows_that_it_lives(endpoint: Endpoint):
    async with following(endpoint) as stream:
        assert await stream.line() == "retry: 1000"
        assert await stream.line() == ": alive"


async def test_a_client_that_does_not_read_is_dropped(endpoint: Endpoint):
    reader, writer = await asyncio.open_unix_connection(str(endpoint.path), limit=1024)
    writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"200" in await reader.readline()
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    async with following(endpoint) as other:
        for _ in range(4 * BACKLOG):
            endpoint.happens(Event.ENGINE_OUTPUT, message="x" * 4096)
            await other.record()
        reader._transport.resume_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(WAIT_S):
            with suppress(ConnectionResetError):
                while await reader.read(1 << 16):
                    pass
        endpoint.happens(Event.DAEMON_STOPPED)
        assert (await other.record())[1]["event"] == "daemon.stopped"
    writer.close()


async def test_streams_end_with_the_daemon(endpoint: Endpoint):
    async with following(endpoint) as stream:
        endpoint.happens(Event.DAEMON_STOPPING)
        endpoint.feed.close()
        assert (await stream.record())[1]["event"] == "daemon.stopping"
        while line := await stream.line():
            assert line == ": alive"


async def test_what_follows_the_changes_hears_of_those_that_matter_and_of_the_end(endpoint: Endpoint):
    async with daemon_at(str(endpoint.path)) as daemon:
        changes = daemon.changes()
        await anext(changes)
        endpoint.happens(Event.BUILD_STARTED, level="debug")
        await anext(changes)
        endpoint.feed.close()
        with pytest.raises(DaemonUnavailableError, match="has ended"):
            async for _ in changes:
                pass


@pytest.mark.parametrize("place", ["/nonexistent/pdwatch.sock", "http://127.0.0.1:1"])
async def test_a_daemon_that_is_not_there_is_told_with_what_to_do(place: str):
    async with daemon_at(place) as daemon:
        with pytest.raises(DaemonUnavailableError, match=f"no pdwatch answers at {place}") as caught:
            await daemon.workflows()
    assert caught.value.exit_code is ExitCode.UNAVAILABLE
    assert "pdwatch run" in (caught.value.remedy or "")


def test_a_socket_is_its_user_s_alone(tmp_path: Path):
    path = default_socket({"XDG_RUNTIME_DIR": str(tmp_path)}, pid=1234)
    with bind_unix(path):
        assert path == tmp_path / "pdwatch/1234.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_systemd_s_runtime_directory_comes_first(tmp_path: Path):
    environ = {"RUNTIME_DIRECTORY": f"{tmp_path}:/run/other", "XDG_RUNTIME_DIR": "/nonexistent"}
    assert default_socket(environ, pid=7) == tmp_path / "7.sock"


def test_what_ended_daemons_have_left_goes_and_what_others_have_stays(tmp_path: Path):
    environ = {"RUNTIME_DIRECTORY": str(tmp_path)}
    alive, gone, other = (tmp_path / f"{name}.sock" for name in (os.getpid(), 2**22 + 1, "mine"))
    for path in (alive, gone, other):
        bind_unix(path).close()
    default_socket(environ, pid=1)
    assert set(tmp_path.iterdir()) == {alive, other}
    assert {alive, other} <= set(find_sockets(environ))


def test_a_directory_that_others_can_write_is_not_used(tmp_path: Path):
    tmp_path.chmod(0o777)
    with pytest.raises(EndpointError, match="not this user's alone"):
        default_socket({"RUNTIME_DIRECTORY": str(tmp_path)}, pid=1)


def test_a_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not(tmp_path: Path):
    path = tmp_path / "pdwatch.sock"
    bind_unix(path).close()
    with bind_unix(path) as bound:
        bound.listen()
        with pytest.raises(PortTakenError, match="another pdwatch listens"):
            bind_unix(path)
    other = tmp_path / "file"
    other.write_text("precious")
    with pytest.raises(EndpointError, match="no socket"):
        bind_unix(other)
    assert other.read_text() == "precious"


def test_a_path_that_can_be_no_socket_is_told(tmp_path: Path):
    with pytest.raises(EndpointError, match="there can be no socket"):
        bind_unix(tmp_path / ("x" * 120))
    with pytest.raises(EndpointError, match="there can be no socket"):
        bind_unix(tmp_path / "missing/pdwatch.sock")


def test_a_port_that_is_taken_and_an_address_that_is_not_ours_are_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"127.0.0.1:{port} is taken"):
            bind_tcp(ListenAddress(host="127.0.0.1", port=port))
    with pytest.raises(EndpointError, match="can't be listened on"):
        bind_tcp(ListenAddress(host="192.0.2.1", port=0))
