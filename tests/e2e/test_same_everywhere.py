"""A workflow gives the same result under ``pdwatch dev``, in a container under gVisor, and in a pod."""

from __future__ import annotations

import asyncio
import json
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from tests.cli.command import pdwatch
from tests.e2e.dev import running_dev
from tests.e2e.local_server import address_towards, serving
from tests.testbed.network import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.testbed import Testbed

WORKFLOWS = Path(__file__).parent / "workflows"
READY_S = 60
"""How long a container may take to answer before the test fails; a bound, not an expectation."""
SECRETS = "tracker: {token: the-token}\nweather: {api_key: the-key}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What to run, and what comes of it but for times."""

    payload: dict[str, Any]
    success: bool
    outputs: dict[str, Any]
    errors: dict[str, str]


CASES = {
    "chain": Case(
        payload={"text": "to be or not to be, that is the question"},
        success=True,
        outputs={
            "split": ["to", "be", "or", "not", "to", "be", "that", "is", "the", "question"],
            "count": {"to": 2, "be": 2},
            "rank": ["be 2", "to 2"],
        },
        errors={},
    ),
    "diamond": Case(
        payload={"upTo": 5},
        success=True,
        outputs={"numbers": [0, 1, 4, 9, 16], "total": 30, "largest": 16, "join": "16 of 30"},
        errors={},
    ),
    "fan-out": Case(
        payload={"base": 2},
        success=True,
        outputs={
            "seed": 2,
            **{f"power-{exponent:02}": 2**exponent for exponent in range(50)},
            "sum": 2**50 - 1,
        },
        errors={},
    ),
    "flaky": Case(
        payload={"greeting": "héllo"},
        success=False,
        outputs={"start": "héllo", "third-time": "succeeded in attempt 3"},
        errors={
            "never": 'threw { code: 42, why: "not an Error" }, which is not an Error',
            "slow": "timed out after 1000ms",
        },
    ),
    "credentials": Case(
        payload={},
        success=True,
        outputs={
            "issues": ["one", "two"],
            "weather": {"sky": "clear"},
            "report": "2 issues under a clear sky, with tracker and weather",
        },
        errors={},
    ),
}


@pytest.mark.parametrize(("name", "case"), CASES.items(), ids=CASES)
async def test_a_workflow_gives_the_same_result_in_dev_in_a_container_and_in_a_pod(
    name: str, case: Case, tmp_path: Path, namespace: str, testbed: Testbed
):
    root = shutil.copytree(WORKFLOWS / name, tmp_path / name)
    (root / ".secrets.yaml").write_text(SECRETS)
    async with services() as port:
        results = {
            "dev": await run_in_dev(root, case.payload, port),
            "container": await run_in_container(root, case.payload, port, testbed),
            "pod": await run_in_pod(root, name, case.payload, port, namespace, testbed),
        }
    expected = {"success": case.success, "outputs": case.outputs, "errors": case.errors}
    assert results == dict.fromkeys(results, (200 if case.success else 500, expected))


@asynccontextmanager
async def services() -> AsyncIterator[int]:
    """Serve the tracker and the weather service of ``credentials`` on every address; yield the port."""

    async def issues(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer the-token":
            return web.json_response({}, status=401)
        return web.json_response(["one", "two"])

    async def weather(request: web.Request) -> web.Response:
        if request.headers.get("X-API-Key") != "the-key":
            return web.json_response({}, status=401)
        return web.json_response({"sky": "clear"})

    app = web.Application()
    app.router.add_get("/issues", issues)
    app.router.add_get("/weather", weather)
    async with serving(app) as port:
        yield port


async def run_in_dev(root: Path, payload: dict[str, Any], services: int) -> tuple[int, Any]:
    async with running_dev(root) as dev:
        return await post_run(dev.url, payload | {"origin": f"http://{LOOPBACK}:{services}"})


async def run_in_container(
    root: Path, payload: dict[str, Any], services: int, testbed: Testbed
) -> tuple[int, Any]:
    built = await pdwatch("build", root, "--output=json", environ=testbed.environment)
    image = json.loads(built.out)["image_id"]
    try:
        async with container(image, root, testbed) as url:
            return await post_run(url, payload | {"origin": f"http://{LOOPBACK}:{services}"})
    finally:
        await testbed.run("docker", "image", "rm", "--force", image)


@asynccontextmanager
async def container(image: str, root: Path, testbed: Testbed) -> AsyncIterator[str]:
    """Run an image under gVisor as a pod would; yield its address once it listens."""
    name = f"same-everywhere-{root.name}"
    await testbed.run(
        *("docker", "create", "--name", name, "--runtime=runsc", "--network=host", "--tmpfs=/tmp"),
        *(image, "--port", "0"),
    )
    try:
        # Docker may have a /tmp of its own, so that no directory of this test could be mounted.
        await testbed.run("docker", "cp", str(secrets_volume(root)), f"{name}:/app/secrets")
        process = await asyncio.create_subprocess_exec(
            *("docker", "start", "--attach", name), env=testbed.environment, stdout=asyncio.subprocess.PIPE
        )
        try:
            yield f"http://{LOOPBACK}:{await listening_port(process)}"
        finally:
            await testbed.run("docker", "kill", name)
            await process.wait()
    finally:
        await testbed.run("docker", "rm", "--force", name)


async def listening_port(process: asyncio.subprocess.Process) -> int:
    """Read an engine's log up to the line that says where it listens."""
    assert process.stdout is not None
    async with asyncio.timeout(READY_S):
        async for text in process.stdout:
            line = json.loads(text)
            if line["message"] == "listening":
                port: int = line["args"][0]["port"]
                return port
    raise AssertionError("the engine ended before it listened")


def secrets_volume(root: Path) -> Path:
    """Write what ``.secrets.yaml`` says as Kubernetes would show it in a volume."""
    directory = root.parent / "volume"
    directory.mkdir()
    directory.joinpath("tracker").write_text('{"token": "the-token"}')
    directory.joinpath("weather").write_text('{"api_key": "the-key"}')
    return directory


async def run_in_pod(
    root: Path, name: str, payload: dict[str, Any], services: int, namespace: str, testbed: Testbed
) -> tuple[int, Any]:
    deployed = await pdwatch(
        "deploy", root, f"--namespace={namespace}", "--secrets", environ=testbed.environment
    )
    assert deployed.status == 0, deployed.err
    addresses = await testbed.kubectl(
        "get", "pods", "-n", namespace, "-o", "jsonpath={.items[*].status.podIP}"
    )
    origin = f"http://{address_towards(addresses.split()[0])}:{services}"
    body = json.dumps(payload | {"origin": origin}).encode()
    headers = {"Content-Type": "application/json"}
    response = await testbed.pod_request(namespace, name, "/run", "POST", body, headers)
    return response.status, without_times(json.loads(response.body))


async def post_run(url: str, payload: dict[str, Any]) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.post(f"{url}/run", json=payload) as response:
        return response.status, without_times(await response.json())


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key != "timing"}
