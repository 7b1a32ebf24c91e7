from __future__ import annotations

import base64
import io
import json
import secrets
import socket
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import aiodocker
import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from pdwatch.adapters.docker.api import connect
from pdwatch.adapters.docker.endpoint import Endpoint
from pdwatch.adapters.docker.publisher import LocalPublisher, RegistryPublisher
from pdwatch.core.model import BuiltImage, ImageRef
from pdwatch.errors import DockerError, PushRefusedError
from tests.adapters.docker_proxy import docker_proxy, messages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from pdwatch.adapters.docker.api import DockerApi
    from tests.adapters.docker_proxy import Fault
    from tests.testbed.client import Testbed

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@pytest_asyncio.fixture
async def api(testbed: Testbed) -> AsyncIterator[DockerApi]:
    async with connect(Endpoint(url=testbed.docker_host, origin="the testbed")) as api:
        yield api


@pytest_asyncio.fixture
async def docker(testbed: Testbed) -> AsyncIterator[aiodocker.Docker]:
    async with aiodocker.Docker(url=testbed.docker_host) as docker:
        yield docker


@pytest.fixture(autouse=True)
def log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Keep the credentials of the machine out, and write some as ``docker login`` does."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def log_in(host: str, credentials: str) -> None:
        auth = base64.b64encode(credentials.encode()).decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))

    return log_in


@asynccontextmanager
async def tiny_image(
    docker: aiodocker.Docker, repository: str, *, tagged: int = 2
) -> AsyncIterator[BuiltImage]:
    """An image of one small layer, under the first ``tagged`` of two tags."""
    text = f'FROM scratch\nCOPY Dockerfile /\nLABEL test="{repository}"\n'
    context = aiodocker.utils.mktar_from_dockerfile(io.BytesIO(text.encode()))
    tags = tuple(ImageRef(repository=repository, tag=tag) for tag in ("1-0-abc", "1-0"))
    await docker.images.build(fileobj=context, tag=str(tags[0]), encoding="gzip")
    for ref in tags[1:tagged]:
        await docker.images.tag(str(tags[0]), ref.repository, tag=ref.tag)
    image_id = (await docker.images.inspect(str(tags[0])))["Id"]
    yield BuiltImage(id=image_id, tags=tags)
    await docker.images.delete(image_id, force=True)


async def test_a_local_image_is_named_by_its_immutable_reference(
    api: DockerApi, docker: aiodocker.Docker
) -> None:
    async with tiny_image(docker, f"tiny-{secrets.token_hex(4)}") as image:
        assert await LocalPublisher(api).publish(image) == image.tags[0]


async def test_an_image_that_was_there_gets_its_moving_name_back(
    api: DockerApi, docker: aiodocker.Docker
) -> None:
    async with tiny_image(docker, f"tiny-{secrets.token_hex(4)}", tagged=1) as image:
        await docker.images.tag("denoland/deno:distroless", image.tags[1].repository, tag=image.tags[1].tag)
        await LocalPublisher(api).publish(replace(image, cached=True))
        assert (await docker.images.inspect(str(image.tags[1])))["Id"] == image.id


async def test_a_pushed_image_is_pinned_by_the_digest_that_the_registry_gives_it(
    api: DockerApi, docker: aiodocker.Docker, testbed: Testbed
) -> None:
    if testbed.registry is None:
        pytest.skip("no registry to push to")
    reported: list[str] = []
    async with tiny_image(docker, f"{testbed.registry}/tiny-{secrets.token_hex(4)}") as image:
        ref = await RegistryPublisher(api, report=reported.append).publish(image)
    repository = image.tags[0].repository
    name = repository.partition("/")[2]
    async with aiohttp.ClientSession(headers={"Accept": MANIFEST}) as session:
        for tag in image.tags:
            url = f"http://{testbed.registry}/v2/{name}/manifests/{tag.tag}"
            async with session.get(url) as manifest:
                assert manifest.headers["Docker-Content-Digest"] == ref.digest
                assert (await manifest.json(content_type=None))["config"]["digest"] == image.id
    assert (ref.repository, ref.tag) == (repository, "1-0")
    assert any(line.startswith(f"Pushing {repository}:1-0") for line in reported)


async def test_a_registry_that_nobody_listens_for_is_named(api: DockerApi, docker: aiodocker.Docker) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
    async with tiny_image(docker, f"{host}/tiny") as image:
        with pytest.raises(PushRefusedError, match=f"Docker can't reach the registry {host}") as refused:
            await RegistryPublisher(api).publish(image)
    assert "connection refused" in refused.value.message
    assert "port" in (refused.value.remedy or "")


@asynccontextmanager
async def registry(status: int, code: str) -> AsyncIterator[tuple[str, list[str | None]]]:
    """A registry that refuses what is pushed; yields its address, and the credentials that it is sent.

    With status 401 it refuses its root too, since that is how a registry asks for credentials.
    """
    seen: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        await request.read()
        if request.method == "GET" and status != 401:
            return web.json_response({})
        challenge = {"WWW-Authenticate": 'Basic realm="test"'} if status == 401 else {}
        errors = {"errors": [{"code": code, "message": f"{code.lower()} it is"}]}
        return web.json_response(errors, status=status, headers=challenge)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


async def test_a_registry_that_asks_who_pushes_leads_to_docker_login(
    api: DockerApi, docker: aiodocker.Docker
) -> None:
    async with registry(401, "UNAUTHORIZED") as (host, _), tiny_image(docker, f"{host}/tiny") as image:
        with pytest.raises(PushRefusedError, match="asks who pushes") as refused:
            await RegistryPublisher(api).publish(image)
    assert refused.value.remedy == f"run `docker login {host}`"


async def test_the_credentials_of_docker_login_reach_the_registry_and_no_message(
    api: DockerApi, docker: aiodocker.Docker, log_in: Callable[[str, str], None]
) -> None:
    async with registry(401, "UNAUTHORIZED") as (host, seen), tiny_image(docker, f"{host}/tiny") as image:
        log_in(host, "me:s3cret")
        with pytest.raises(PushRefusedError) as refused:
            await RegistryPublisher(api).publish(image)
    assert f"Basic {base64.b64encode(b'me:s3cret').decode()}" in seen
    assert "s3cret" not in f"{refused.value.message} {refused.value.remedy} {refused.value.fields}"


async def test_a_registry_that_denies_says_whose_rights_count(
    api: DockerApi, docker: aiodocker.Docker
) -> None:
    async with registry(403, "DENIED") as (host, _), tiny_image(docker, f"{host}/tiny") as image:
        with pytest.raises(PushRefusedError, match="does not let you push"):
            await RegistryPublisher(api).publish(image)


def ended_push(request: web.Request) -> Fault | None:
    """End a push as a Docker does that is shut down: in good order, without a digest."""
    if request.path.endswith("/push"):
        return web.Response(
            body=messages({"status": "Preparing", "id": "abc"}), content_type="application/json"
        )
    return None


async def test_a_push_that_ends_without_a_digest_is_no_success(
    testbed: Testbed, docker: aiodocker.Docker, tmp_path: Path
) -> None:
    async with (
        docker_proxy(testbed.docker_host, tmp_path, ended_push) as proxy,
        connect(proxy.endpoint) as api,
        tiny_image(docker, "127.0.0.1:1/tiny") as image,
    ):
        with pytest.raises(DockerError, match="without a digest") as failed:
            await RegistryPublisher(api).publish(image)
    assert failed.value.retryable
