"""``pdwatch status NAME`` of a workflow that a daemon runs on this machine."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from pdwatch.adapters.http.app import http_app
from pdwatch.adapters.http.feed import EventFeed
from pdwatch.adapters.http.sockets import bind_unix
from pdwatch.adapters.prometheus import Metrics
from pdwatch.core.daemon_state import Answer, Standing, WorkflowState
from pdwatch.core.model import RolloutPhase, RolloutStatus
from tests.cli.command import Ended, pdwatch
from tests.cli.test_output import assert_as_documented
from tests.test_measures import Told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

URL = "http://127.0.0.1:18080"
READY = RolloutStatus(
    phase=RolloutPhase.READY,
    generation=2,
    source_digest="sha256:a",
    desired=1,
    updated=1,
    ready=1,
    available=1,
)
INVALID: dict[str, Any] = {
    "standing": Standing.INVALID,
    "answer": Answer.NO,
    "why": "workflow.yaml:1:1: is empty",
}


RUNNING: dict[str, Any] = {
    "name": "hello",
    "namespace": "local",
    "target": "local",
    "directory": "/w/hello",
    "standing": Standing.READY,
    "answer": Answer.YES,
    "deployed": "sha256:a",
    "generation": 2,
    "image": "hello:1-0",
    "rollout": READY,
    "url": URL,
}


def workflow(**fields: Any) -> WorkflowState:
    return WorkflowState(since=datetime.now(UTC), **{**RUNNING, **fields})


@asynccontextmanager
async def daemon(runtime: Path, *workflows: WorkflowState) -> AsyncIterator[None]:
    """Answer as a daemon does that has these workflows, where one is looked for in ``runtime``."""
    state = Told(states=workflows)
    feed = EventFeed("start")
    runner = web.AppRunner(http_app(state, metrics=Metrics(state), feed=feed), shutdown_timeout=1)
    await runner.setup()
    path = runtime / "pdwatch/1.sock"
    path.parent.mkdir(mode=0o700)
    try:
        await web.SockSite(runner, bind_unix(path)).start()
        yield
    finally:
        feed.close()
        await runner.cleanup()


async def status(runtime: Path, *arguments: str) -> Ended:
    nowhere = {"KUBECONFIG": str(runtime / "nowhere"), "RUNTIME_DIRECTORY": ""}
    return await pdwatch("status", *arguments, environ={"XDG_RUNTIME_DIR": str(runtime), **nowhere})


async def test_what_runs_here_is_shown_with_its_address_and_no_cluster_is_asked(tmp_path: Path) -> None:
    async with daemon(tmp_path, workflow()):
        shown = await status(tmp_path, "hello")
        assert shown.status == 0, shown.err
        assert shown.out.startswith("hello: ready\n")
        assert f"  url        {URL}\n" in shown.out
        ended = await status(tmp_path, "hello", "-n", "local", "-o", "json")
    found = json.loads(ended.out)
    assert_as_documented("status", found)
    assert (found["target"], found["url"], found["ready"], found["status"]) == ("local", URL, True, "ready")


@pytest.mark.parametrize(
    ("rollout", "ready", "code"),
    [
        pytest.param(READY, True, 0, id="an older revision serves"),
        pytest.param(None, False, 1, id="nothing ever ran"),
    ],
)
async def test_what_is_saved_and_does_not_run_is_told_with_the_reason(
    tmp_path: Path, rollout: RolloutStatus | None, ready: object, code: int
) -> None:
    async with daemon(tmp_path, workflow(**INVALID, rollout=rollout)):
        shown = await status(tmp_path, "hello")
        found = json.loads((await status(tmp_path, "hello", "-o", "json")).out)
    assert shown.status == code
    assert "  why        workflow.yaml:1:1: is empty\n" in shown.out
    assert (found["ready"], found["message"]) == (ready, "workflow.yaml:1:1: is empty")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(
            ["hello", "--target=kubernetes"], 2, "there is no kubeconfig", id="the cluster's is meant"
        ),
        pytest.param(["there"], 2, "there is no kubeconfig", id="it runs in the cluster"),
        pytest.param(["hello", "-n", "dev"], 2, "there is no kubeconfig", id="it runs in another namespace"),
        pytest.param(
            ["there", "--target=local"], 4, "no daemon runs there on this machine", id="it must be here"
        ),
        pytest.param(["twin"], 4, "twin runs here in several namespaces: dev, local", id="there are two"),
        pytest.param(["hello", "--watch"], 2, "--watch goes without a NAME", id="it is no table"),
        pytest.param(["--target=local"], 2, "--target go with a NAME", id="no name"),
    ],
)
async def test_what_does_not_run_here_is_looked_for_in_the_cluster(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    twins = [workflow(name="twin"), workflow(name="twin", namespace="dev")]
    async with daemon(tmp_path, workflow(), workflow(name="there", target="kubernetes"), *twins):
        ended = await status(tmp_path, *arguments)
    assert (ended.status, ended.out) == (code, "")
    assert message in ended.err


async def test_where_no_daemon_runs_the_cluster_is_asked_at_once(tmp_path: Path) -> None:
    ended = await status(tmp_path, "hello")
    assert ended.status == 2
    assert "there is no kubeconfig" in ended.err
