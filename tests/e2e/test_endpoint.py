"""The endpoint of a daemon that works on a real cluster: what probes, Prometheus and `pdwatch status` see."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.adapters.api_proxy import api_proxy, kubeconfig_through
from tests.cli.command import pdwatch
from tests.cli.test_output import assert_as_documented
from tests.e2e.daemon import WAIT_S, Daemon, running_daemon
from tests.e2e.test_reload import make_workflow, say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.adapters.api_proxy import ApiProxy
    from tests.testbed import Testbed

WATCHES = ("deployments", "pods")
UNITS = ("_seconds", "_bytes", "_total", "_info")
WITHOUT_UNIT = {
    "pdwatch_ready",
    "pdwatch_hung_parts",
    "pdwatch_workflow_state",
    "pdwatch_workflow_running",
    "pdwatch_queue_depth",
    "process_open_fds",
    "process_max_fds",
}
"""Gauges that count things, or say yes or no."""


class Watched:
    """A daemon in front of whose API server stands a proxy."""

    def __init__(self, daemon: Daemon, *, proxy: ApiProxy, url: str, root: Path) -> None:
        self.daemon = daemon
        self.proxy = proxy
        self.url = url
        self.root = root

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession(self.url) as session,
            session.get(path, headers=headers) as response,
        ):
            return response.status, await response.text()

    async def health(self, *flags: str) -> tuple[int, dict[str, Any]]:
        ended = await pdwatch("health", *flags, "--socket", self.url, "-o", "json")
        (document,) = json.loads(ended.out)
        assert_as_documented("health", document)
        return ended.status, document


@pytest.fixture
async def proxy(testbed: Testbed) -> AsyncIterator[ApiProxy]:
    async with api_proxy(testbed) as proxy:
        yield proxy


@asynccontextmanager
async def watching(
    testbed: Testbed, namespace: str, tmp_path: Path, proxy: ApiProxy
) -> AsyncIterator[Watched]:
    # The text makes an image that nobody has built before.
    root = make_workflow(tmp_path / "workflows/hello", text=namespace)
    environment = {
        "KUBECONFIG": str(kubeconfig_through(testbed, tmp_path / "kubeconfig", proxy)),
        "DOCKER_HOST": testbed.docker_host,
        "XDG_CONFIG_HOME": str(tmp_path),
    }
    arguments = (root.parent, "-n", namespace, "--listen=127.0.0.1:0")
    async with running_daemon(*arguments, environment=environment) as daemon:
        url = (await daemon.until("http.listening"))["address"]
        yield Watched(daemon, proxy=proxy, url=url, root=root)


@pytest.fixture
async def watched(
    testbed: Testbed, namespace: str, tmp_path: Path, proxy: ApiProxy
) -> AsyncIterator[Watched]:
    async with watching(testbed, namespace, tmp_path, proxy) as watched:
        await watched.daemon.until("rollout.complete")
        await watched.daemon.until("daemon.synced")
        yield watched


async def test_a_daemon_that_starts_before_its_api_server_gets_ready_with_it(
    testbed: Testbed, namespace: str, tmp_path: Path, proxy: ApiProxy
):
    proxy.be_away()
    async with watching(testbed, namespace, tmp_path, proxy) as watched:
        for resource in WATCHES:
            await watched.daemon.until("watch.disconnected", resource=resource)
        assert (await watched.get("/healthz"))[0] == 200
        assert json.loads((await watched.get("/readyz"))[1])["synced"] is False
        proxy.away = False
        await watched.daemon.until("daemon.synced")
        assert (await watched.health("--ready"))[0] == 0


async def test_a_daemon_that_has_lost_the_api_server_is_alive_and_not_ready(watched: Watched, namespace: str):
    assert (await watched.get("/readyz"))[0] == 200
    assert (await watched.health("--ready"))[0] == 0

    watched.proxy.be_away()
    stale = [f"{resource} in {namespace}" for resource in WATCHES]
    for resource in WATCHES:
        await watched.daemon.until("watch.disconnected", resource=resource)
    status, text = await watched.get("/readyz")
    assert (status, sorted(json.loads(text)["stale_watches"])) == (503, stale)
    assert (await watched.get("/healthz"))[0] == 200
    assert (await watched.health())[0] == 0
    status, document = await watched.health("--ready")
    assert (status, document["healthy"], sorted(document["stale_watches"])) == (1, True, stale)
    ended = await pdwatch("health", "--ready", "--socket", watched.url)
    assert ended.out.startswith("healthy, not ready: nothing is heard of ")

    watched.proxy.away = False
    say(watched.root, "second")  # a watch of nothing but silence takes a minute to know that it works
    for resource in WATCHES:
        await watched.daemon.until("watch.resumed", resource=resource)
    assert (await watched.health("--ready"))[0] == 0


async def test_a_daemon_that_stands_still_is_not_healthy(watched: Watched):
    watched.daemon.process.send_signal(signal.SIGSTOP)
    try:
        ended = await pdwatch("health", "--socket", watched.url)
        assert (ended.status, ended.out) == (1, f"not healthy: it does not answer ({watched.url})\n")
        asked = await pdwatch("status", "--socket", watched.url)
        assert (asked.status, asked.out) == (3, "")
        assert f"the pdwatch at {watched.url} does not answer" in asked.err
    finally:
        watched.daemon.process.send_signal(signal.SIGCONT)
    assert (await watched.health())[0] == 0


async def test_every_metric_has_help_and_a_unit_and_what_happened_is_counted(
    watched: Watched, namespace: str
):
    families = list(text_string_to_metric_families((await watched.get("/metrics"))[1]))
    assert [family.name for family in families if not family.documentation] == []
    names = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    names -= {name for name in names if name.endswith("_created")}
    assert {name for name in names if not name.endswith(UNITS)} == WITHOUT_UNIT
    samples = {
        (each.name, *each.labels.values()): each.value for family in families for each in family.samples
    }
    assert samples["pdwatch_ready",] == 1
    assert samples["pdwatch_workflow_running", namespace, "kubernetes", "hello"] == 1
    for histogram in ("build", "apply", "rollout"):
        assert samples[f"pdwatch_{histogram}_seconds_count",] == 1
        assert samples[f"pdwatch_{histogram}_seconds_sum",] > 0


async def test_a_page_that_calls_itself_otherwise_reads_nothing(watched: Watched):
    for path in ("/healthz", "/readyz", "/metrics", "/api/v1/workflows", "/api/v1/events"):
        assert (await watched.get(path, Host="rebound.example"))[0] == 421


async def test_status_follows_a_rollout_and_events_can_be_caught_up_with(watched: Watched):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pdwatch", "status", "--watch", "-o", "json", "--socket", watched.url),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(WAIT_S):
            (first,) = json.loads(await process.stdout.readline())
            say(watched.root, "second")
            seen = [first]
            while seen[-1]["answer"] != "yes" or seen[-1]["digests"] == first["digests"]:
                seen += json.loads(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()
    assert {"building", "rolling out", "yes"} <= {each["answer"] for each in seen}
    under_way = [each["digests"]["running"] for each in seen if each["answer"] == "rolling out"]
    assert first["digests"]["running"] in under_way
    assert seen[-1]["digests"]["running"] == [seen[-1]["digests"]["saved"]]

    missed = [record["event"] for record in await caught_up(watched, after="none")]
    assert missed.count("rollout.complete") == 2
    assert missed[-1] == "rollout.complete"


async def caught_up(watched: Watched, *, after: str) -> list[dict[str, Any]]:
    """The records about ``hello`` that a client gets who has last seen ``after``."""
    found = []
    async with (
        aiohttp.ClientSession(watched.url) as session,
        session.get("/api/v1/events?workflow=hello", headers={"Last-Event-ID": after}) as response,
        asyncio.timeout(WAIT_S),
    ):
        async for raw in response.content:
            if raw.startswith(b"data: "):
                found.append(json.loads(raw.removeprefix(b"data: ")))
            if [each["event"] for each in found].count("rollout.complete") == 2:
                return found
    raise AssertionError(found)
