"""``pdwatch pod-logs`` as people run it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.kubernetes.cluster import ApiCluster
from pdwatch.adapters.kubernetes.connection import connect
from pdwatch.adapters.kubernetes.rollout_watch import wait_for_rollout
from pdwatch.cli.pod_logs import TextLines, json_line
from pdwatch.core.pod_log import PodLine
from tests.adapters.kubeconfigs import kubeconfig
from tests.adapters.workloads import SERVE, workload
from tests.cli.command import pdwatch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.testbed.client import Testbed

FIRST = "sha256:" + "1" * 64
ENGINE = {
    "level": "warn",
    "workflow": "hello",
    "node": "greet",
    "runId": "r1",
    "message": "hi",
    "args": [{"a": 1}, "b"],
}
SAYS = f"console.log('plain'); console.log({json.dumps(json.dumps(ENGINE))}); {SERVE}"


def line(text: str, pod: str = "hello-1") -> PodLine:
    return PodLine(pod=pod, moment=(datetime(2025, 1, 31, 12, tzinfo=UTC), "2025-01-31T12:00:00Z"), text=text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(json.dumps(ENGINE), '{time} warn  [greet] hi {{"a": 1}} b run=r1', id="the engine's"),
        pytest.param('{"level":"info","message":"up"}', "{time} info  up", id="of the engine itself"),
        pytest.param("Listening \x1b[1mon", "Listening on", id="any other"),
    ],
)
def test_a_line_is_readable(text: str, expected: str):
    time = f"{datetime(2025, 1, 31, 12, tzinfo=UTC).astimezone():%H:%M:%S}"
    assert TextLines(prefixed=False).line(line(text)) == expected.format(time=time)
    assert TextLines(prefixed=True).line(line(text)) == f"hello-1 {expected.format(time=time)}"


def test_json_has_pod_time_and_what_the_engine_wrote_or_the_text():
    about = {"pod": "hello-1", "time": "2025-01-31T12:00:00Z"}
    assert json.loads(json_line(line(json.dumps(ENGINE)))) == about | ENGINE
    assert json.loads(json_line(line("plain"))) == about | {"message": "plain"}


@pytest.fixture
async def environ(testbed: Testbed, namespace: str) -> Mapping[str, str]:
    """A namespace in which hello runs, twice."""
    async with connect(kubeconfig=testbed.kubeconfig) as api, asyncio.timeout(90):
        await ApiCluster(api).apply(workload(namespace, SAYS, replicas=2))
        await wait_for_rollout(api, namespace=namespace, name="hello", digest=FIRST, on_status=lambda _: None)
    return {"KUBECONFIG": str(testbed.kubeconfig)}


async def test_the_logs_of_all_pods_are_shown(environ: Mapping[str, str], namespace: str):
    ended = await pdwatch("pod-logs", "hello", "-n", namespace, "-o", "json", environ=environ)
    lines = [json.loads(each) for each in ended.out.splitlines()]
    assert ended.status == 0
    assert len({each["pod"] for each in lines}) == 2
    assert len([each for each in lines if each["message"] == "plain"]) == 2
    assert [each["args"] for each in lines if each.get("node") == "greet"] == [ENGINE["args"]] * 2
    text = await pdwatch("pod-logs", "hello", "-n", namespace, "--tail=all", environ=environ)
    assert (
        len([each for each in text.out.splitlines() if each.startswith("hello-") and "[greet] hi" in each])
        == 2
    )
    for wrong, message in (("helo", "did you mean hello?"), ("nothing", "deployed there: hello")):
        unknown = await pdwatch("pod-logs", wrong, "-n", namespace, environ=environ)
        assert unknown.status == 4
        assert message in unknown.err
    never = await pdwatch("pod-logs", "hello", "-n", namespace, "--previous", environ=environ)
    assert (never.status, "no pod of hello has been restarted" in never.err) == (4, True)


async def test_previous_cannot_be_followed():
    ended = await pdwatch("pod-logs", "hello", "-f", "--previous")
    assert ended.status == 2
    assert "--follow can't go on" in ended.err


async def test_an_api_server_that_is_not_there_is_told(tmp_path: Path):
    path = kubeconfig(tmp_path / "config", "http://127.0.0.1:1")
    ended = await pdwatch("pod-logs", "hello", environ={"KUBECONFIG": str(path)})
    assert ended.status == 3


async def test_following_ends_with_ctrl_c_and_quietly_when_nobody_reads(
    environ: Mapping[str, str], namespace: str
):
    for end in ("ctrl-c", "a closed pipe"):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pdwatch", "pod-logs", "hello", "-n", namespace, "-f"),
            env={**os.environ, **environ},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.timeout(60):
            assert b"hello-" in await process.stdout.readline()
            if end == "ctrl-c":
                process.send_signal(signal.SIGINT)
                assert await process.wait() == 0
            else:
                process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
                async with connect(kubeconfig=environ["KUBECONFIG"]) as api:
                    await ApiCluster(api).apply(workload(namespace, SAYS, digest="sha256:" + "2" * 64))
                assert await process.wait() == 1
            assert await process.stderr.read() == b""
