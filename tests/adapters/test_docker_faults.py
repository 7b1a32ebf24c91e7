"""What a real Docker won't do on demand, injected at the socket before it or played by one that is none."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pdwatch.adapters.docker.api import connect
from pdwatch.adapters.docker.endpoint import Endpoint
from pdwatch.errors import (
    BaseImageError,
    BuildFailedError,
    DiskFullError,
    DockerError,
    DockerUnavailableError,
)
from tests.adapters.docker_proxy import messages
from tests.adapters.docker_workflow import Workflow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from pdwatch.adapters.docker.api import DockerApi

BASE = {"Id": "sha256:ba5e", "RootFS": {"Layers": ["sha256:b1"]}}
IMAGE_ID = "sha256:" + "1d" * 32


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    return Workflow.create(tmp_path / "flow", "flow")


class StubDocker:
    """Answers each request by its method and the path below the version, with raw HTTP or JSON."""

    def __init__(self, answers: Mapping[str, object]) -> None:
        self.answers = {"GET version": {"ApiVersion": "1.41"}, "GET info": {"DriverStatus": None}, **answers}
        self.requests: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                method, target, _ = head.split(" ", 2)
                await self._skip_body(reader, head)
                path = target.removeprefix("/v1.41").removeprefix("/")
                self.requests.append(f"{method} {path}")
                answer = self.answers.get(
                    f"{method} {path.partition('?')[0]}", (404, {"message": "no such thing"})
                )
                writer.write(answer if isinstance(answer, bytes) else http(answer))
                if isinstance(answer, bytes):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is done with this connection
        finally:
            writer.close()

    @staticmethod
    async def _skip_body(reader: asyncio.StreamReader, head: str) -> None:
        if "chunked" in head.lower():
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readline()
        elif "content-length: " in head.lower():
            await reader.readexactly(int(head.lower().partition("content-length: ")[2].partition("\r")[0]))


def http(answer: object) -> bytes:
    """A whole HTTP answer: JSON, or a status and JSON."""
    status, body = answer if isinstance(answer, tuple) else (200, answer)
    content = json.dumps(body).encode()
    kind = "Content-Type: application/json"
    head = f"HTTP/1.1 {status} Words\r\n{kind}\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


def stream(*values: object, ends: bool = True) -> bytes:
    """A chunked answer of Docker's messages; without its end, the connection breaks in the middle."""
    body = messages(*values)
    chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n" if body else b""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + chunk + (b"0\r\n\r\n" if ends else b"")


@asynccontextmanager
async def stub(
    directory: Path, answers: Mapping[str, object], **options: Any
) -> AsyncIterator[tuple[StubDocker, DockerApi]]:
    docker = StubDocker(answers)
    socket = directory / "docker.sock"
    server = await asyncio.start_unix_server(docker.serve, socket)
    try:
        async with connect(Endpoint(url=f"unix://{socket}", origin="a stub"), **options) as api:
            yield docker, api
    finally:
        server.close()


BASE_THERE = {"GET images/denoland/deno:distroless/json": BASE}


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        pytest.param(
            stream(ends=False), DockerUnavailableError, "broke", id="dropped before the first message"
        ),
        pytest.param(
            stream({"stream": "Step 1/2 : FROM x\n"}, ends=False),
            DockerUnavailableError,
            "broke",
            id="dropped midway",
        ),
        pytest.param(b"", DockerUnavailableError, "broke", id="closed at once"),
        pytest.param(b"garbage\r\n\r\n", DockerUnavailableError, "broke", id="no HTTP"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n<html>\r\n",
            DockerUnavailableError,
            "<html>",
            id="no JSON",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n[1]\n",
            DockerUnavailableError,
            "not Docker's",
            id="no message",
        ),
        pytest.param(
            b"HTTP/1.1 502 Bad\r\nContent-Length: 7\r\n\r\n<proxy>",
            DockerError,
            "<proxy>",
            id="a proxy's error",
        ),
        pytest.param(
            stream({"stream": "Step 1/2 : FROM x\n"}), DockerError, "without an image", id="no image ID"
        ),
        pytest.param(
            stream({"errorDetail": {"message": "write /tmp/x: no space left on device"}}),
            DiskFullError,
            "disk is full",
            id="disk full",
        ),
        pytest.param(
            (500, {"message": "write /var/x: no space left on device"}),
            DiskFullError,
            "full",
            id="full at once",
        ),
    ],
)
async def test_a_build_that_goes_wrong_outside_the_sources_may_be_tried_again(
    workflow: Workflow, tmp_path: Path, answer: object, error: type[DockerError], message: str
) -> None:
    async with stub(tmp_path, {**BASE_THERE, "POST build": answer}) as (_, api):
        with pytest.raises(DockerError, match=message) as failed:
            await workflow.build(api)
    assert type(failed.value) is error
    assert failed.value.retryable


async def test_a_docker_that_says_nothing_for_too_long_is_given_up(
    workflow: Workflow, tmp_path: Path
) -> None:
    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await left.wait()
        writer.close()

    left = asyncio.Event()
    server = await asyncio.start_unix_server(silent, tmp_path / "docker.sock")
    endpoint = Endpoint(url=f"unix://{tmp_path}/docker.sock", origin="a stub")
    try:
        async with connect(endpoint, inactivity_timeout_s=0.1) as api:
            with pytest.raises(DockerUnavailableError, match="does not answer"):
                await workflow.build(api)
    finally:
        left.set()
        server.close()


async def test_a_build_that_fails_sweeps_up_what_carries_its_label(
    workflow: Workflow, tmp_path: Path
) -> None:
    answers = {
        **BASE_THERE,
        "POST build": stream({"stream": "Step 2/9 : COPY x\n"}, {"error": "no such file"}),
        "GET images/json": [{"Id": "sha256:left"}],
        "DELETE images/sha256:left": [],
    }
    async with stub(tmp_path, answers) as (docker, api):
        with pytest.raises(BuildFailedError, match="at Step 2/9 : COPY x: no such file"):
            await workflow.build(api)
    listing = next(request for request in docker.requests if request.startswith("GET images/json"))
    assert "dev.pdwatch.build" in listing
    assert docker.requests[-1] == "DELETE images/sha256:left"


CONTAINERD = {"GET info": {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}}


async def test_with_the_containerd_store_buildkit_fixes_the_times_and_names_the_image(
    workflow: Workflow, tmp_path: Path
) -> None:
    built = stream({"id": "moby.image.id", "aux": {"ID": IMAGE_ID}})
    async with stub(tmp_path, {**BASE_THERE, **CONTAINERD, "POST build": built}) as (docker, api):
        image = await workflow.build(api)
    assert image.id == IMAGE_ID
    build = next(request for request in docker.requests if request.startswith("POST build"))
    assert "version=2" in build
    assert "SOURCE_DATE_EPOCH" in build
    assert f"t=flow:{image.tags[0].tag}" in build
    assert not any("images/load" in request for request in docker.requests)


async def test_a_base_image_that_vanishes_after_its_pull_is_an_error(
    workflow: Workflow, tmp_path: Path
) -> None:
    async with stub(tmp_path, {"POST images/create": stream({"status": "Downloaded"})}) as (_, api):
        with pytest.raises(BaseImageError, match="denoland/deno:distroless"):
            await workflow.build(api)


async def test_a_base_image_that_changes_during_the_build_is_an_error(
    workflow: Workflow, tmp_path: Path
) -> None:
    answers = {
        **BASE_THERE,
        "POST build": stream({"aux": {"ID": IMAGE_ID}}),
        f"GET images/{IMAGE_ID}/json": {"Config": {}, "RootFS": {"Layers": ["sha256:other"]}},
        "GET images/json": [],
    }
    async with stub(tmp_path, answers) as (_, api):
        with pytest.raises(DockerError, match="changed while") as failed:
            await workflow.build(api)
    assert failed.value.retryable


@pytest.mark.parametrize("version", [[], {}, "x"], ids=str)
async def test_something_that_is_no_docker_is_told_so(tmp_path: Path, version: object) -> None:
    async with stub(tmp_path, {"GET version": version}) as (_, api):
        with pytest.raises(DockerUnavailableError, match="not Docker's") as failed:
            await api.request("GET", "info")
    assert "DOCKER_HOST" in (failed.value.remedy or "")


async def test_a_long_message_is_read_whole(tmp_path: Path) -> None:
    long = {"stream": "x" * 1_000_000}
    async with stub(tmp_path, {"POST build": stream(long, {"stream": "end"})}) as (_, api):
        assert [message async for message in api.messages("build")] == [long, {"stream": "end"}]
