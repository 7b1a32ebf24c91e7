"""``pdwatch run --target local``, asked over its socket, and ``pdwatch status`` without a name."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from tests.cli.command import pdwatch
from tests.cli.test_output import assert_as_documented
from tests.e2e.daemon import WAIT_S, Daemon, running_daemon
from tests.e2e.local_server import serving
from tests.e2e.test_dev import WORKFLOW, greeting, save

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

BROKEN = "export default (): string => 1;\n"


class Watched:
    """A daemon, the socket that it listens on, and where it looks for one."""

    def __init__(self, daemon: Daemon, runtime: Path, root: Path) -> None:
        self.daemon = daemon
        self.environ = {"XDG_RUNTIME_DIR": str(runtime)}
        self.socket = runtime / f"pdwatch/{daemon.process.pid}.sock"
        self.root = root

    async def get(self, path: str) -> tuple[int, str]:
        connector = aiohttp.UnixConnector(str(self.socket))
        async with (
            aiohttp.ClientSession("http://localhost", connector=connector) as session,
            session.get(path) as response,
        ):
            return response.status, await response.text()

    async def workflow(self) -> dict[str, Any]:
        _, text = await self.get("/api/v1/workflows")
        (found,) = json.loads(text)["workflows"]
        assert isinstance(found, dict)
        return found

    async def count(self, name: str, **labels: str) -> float:
        _, text = await self.get("/metrics")
        (value,) = (
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if (sample.name, sample.labels) == (name, labels)
        )
        return value


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    root = tmp_path / "workflows/hello"
    (root / "nodes").mkdir(parents=True)
    (root / "workflow.yaml").write_text(WORKFLOW)
    save(root, greeting("first"))
    return root


@pytest.fixture
async def watched(hello: Path, tmp_path: Path) -> AsyncIterator[Watched]:
    async with watching(hello, tmp_path / "run") as watched:
        yield watched


@asynccontextmanager
async def watching(hello: Path, runtime: Path, *flags: str) -> AsyncIterator[Watched]:
    runtime.mkdir(exist_ok=True)
    environ = {"XDG_RUNTIME_DIR": str(runtime), "RUNTIME_DIRECTORY": ""}
    arguments = ("--target=local", *flags, str(hello.parent))
    async with running_daemon(*arguments, environment=environ, log_level="debug") as daemon:
        await daemon.until("http.listening")
        yield Watched(daemon, runtime, hello)
        if daemon.process.returncode is None:
            assert await daemon.stop() == 0


async def test_it_is_ready_only_after_the_first_sync(watched: Watched) -> None:
    assert (await watched.get("/healthz"))[0] == 200
    status, text = await watched.get("/readyz")
    if "daemon.synced" not in watched.daemon.events():
        assert (status, json.loads(text)["synced"]) == (503, False)
    await watched.daemon.until("daemon.synced")
    assert (await watched.get("/readyz"))[0] == 200


async def test_a_save_is_followed_to_the_engine_that_answers_and_counted(watched: Watched) -> None:
    daemon = watched.daemon
    await daemon.until("rollout.complete")
    first = await watched.workflow()
    assert (first["answer"], first["running"], first["why"]) == ("yes", True, "")
    assert first["digests"]["running"] == [first["digests"]["saved"]]
    assert first["url"].startswith("http://127.0.0.1:")

    mark = daemon.mark
    save(watched.root, greeting("second"))
    await daemon.until("build.started", since=mark)
    building = await watched.workflow()
    if "build.succeeded" not in daemon.events(since=mark):
        assert (building["answer"], building["running"]) == ("building", False)
        assert building["digests"]["running"] == [first["digests"]["saved"]]
    complete = await daemon.until("rollout.complete", since=mark)
    second = await watched.workflow()
    assert (second["answer"], second["digests"]["running"]) == ("yes", [complete["source_digest"]])
    assert second["digests"]["saved"] != first["digests"]["saved"]

    assert await watched.count("pdwatch_saves_total") == 1
    assert await watched.count("pdwatch_builds_total", result="succeeded") == 2
    assert await watched.count("pdwatch_rollouts_total", result="complete") == 2
    assert await watched.count("pdwatch_save_to_ready_seconds_count") == 1
    assert await watched.count("pdwatch_ready") == 1
    hello = {"workflow": "hello", "namespace": "local", "target": "local"}
    assert await watched.count("pdwatch_workflow_running", **hello) == 1
    assert await watched.count("pdwatch_workflow_state", **hello, state="ready") == 1


@pytest.mark.parametrize(
    ("file", "content", "standing", "event", "why"),
    [
        pytest.param("nodes/greet.ts", BROKEN, "failing", "build.failed", "TS2322", id="does not compile"),
        pytest.param(
            "workflow.yaml",
            "name: hello\n",
            "invalid",
            "workflow.invalid",
            "workflow.yaml:1",
            id="is invalid",
        ),
    ],
)
async def test_a_broken_save_does_not_run_and_it_says_why_while_the_last_one_serves(
    watched: Watched, file: str, content: str, standing: str, event: str, why: str
) -> None:
    first = await watched.daemon.until("rollout.complete")
    (watched.root / file).write_text(content)
    await watched.daemon.until(event)
    found = await watched.workflow()
    assert (found["standing"], found["answer"], found["running"]) == (standing, "no", False)
    assert why in found["why"]
    if standing == "failing":
        assert found["digests"]["running"] == [first["source_digest"]]


async def test_status_shows_a_table_and_documented_json_and_whether_all_is_well(watched: Watched) -> None:
    await watched.daemon.until("rollout.complete")
    shown = await pdwatch("status", "--socket", watched.socket)
    heading, row = shown.out.splitlines()
    assert shown.status == 0
    assert heading.split() == ["NAME", "NAMESPACE", "TARGET", "STATE", "RUNNING", "AGE", "WHERE"]
    assert row.split()[:5] == ["hello", "local", "local", "ready", "yes"]
    assert row.split()[6] == (await watched.workflow())["url"]

    save(watched.root, BROKEN)
    await watched.daemon.until("build.failed")
    shown = await pdwatch("status", "--socket", watched.socket)
    _, row, why = shown.out.splitlines()
    assert (shown.status, row.split()[:5]) == (1, ["hello", "local", "local", "failing", "no"])
    assert why.startswith("  ")
    found = await pdwatch("status", "--socket", watched.socket, "-o", "json")
    (document,) = json.loads(found.out)
    assert_as_documented("status", document, " without NAME")
    other = await pdwatch("status", "-n", "other", "--socket", watched.socket)
    assert (other.status, other.out) == (0, "no workflows\n")


async def test_status_finds_every_daemon_that_runs_here(watched: Watched) -> None:
    await watched.daemon.until("rollout.complete")
    found = await pdwatch("status", "-o", "json", environ=watched.environ)
    assert str(watched.root) in {each["directory"] for each in json.loads(found.out)}


async def test_watch_shows_each_change_and_ends_with_the_daemon(watched: Watched) -> None:
    await watched.daemon.until("rollout.complete")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pdwatch", "status", "--watch", "-o", "json", "--socket", watched.socket),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(WAIT_S):
            assert json.loads(await process.stdout.readline())[0]["answer"] == "yes"
            save(watched.root, BROKEN)
            while (found := json.loads(await process.stdout.readline())[0])["answer"] != "no":
                assert found["answer"] in {"yes", "checking", "building"}
            save(watched.root, greeting("second"))
            while json.loads(await process.stdout.readline())[0]["answer"] != "yes":
                pass
            assert await watched.daemon.stop() == 0
            assert await process.wait() == 3
            assert b"has ended" in await process.stderr.read()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_socket_is_private_and_goes_with_the_daemon(watched: Watched) -> None:
    assert watched.socket.stat().st_mode & 0o777 == 0o600
    assert await watched.daemon.stop() == 0
    assert not watched.socket.exists()


async def test_without_a_daemon_status_says_how_to_start_one(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "RUNTIME_DIRECTORY": "", "TMPDIR": str(tmp_path)}
    ended = await pdwatch("status", environ=environ)
    assert (ended.status, ended.out) == (3, "")
    assert "pdwatch run DIR" in ended.err


async def test_where_it_is_asked_to_it_answers_on_tcp_too(hello: Path, tmp_path: Path) -> None:
    async with watching(hello, tmp_path / "run", "--listen=127.0.0.1:0") as watched:
        url = (await watched.daemon.until("http.listening"))["address"]
        ended = await pdwatch("status", "--socket", url, "-o", "json")
        assert json.loads(ended.out)[0]["workflow"] == "hello"


async def test_a_port_that_is_taken_ends_the_start(hello: Path) -> None:
    async with serving(web.Application()) as taken:
        ended = await pdwatch("run", "--target=local", f"--listen=127.0.0.1:{taken}", hello)
    assert ended.status == 5
    assert f"127.0.0.1:{taken} is taken" in ended.err


async def test_an_address_that_others_can_reach_has_to_be_allowed(hello: Path) -> None:
    ended = await pdwatch("run", "--target=local", "--listen=0.0.0.0:0", hello)
    assert ended.status == 2
    assert "--listen: http.listen: others can reach 0.0.0.0:0" in ended.err
    assert "http.allow_remote" in ended.err
