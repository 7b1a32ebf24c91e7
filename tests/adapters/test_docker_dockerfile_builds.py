"""Builds from the Dockerfile that fail, are cancelled, or meet a Docker that can't do all of it."""

from __future__ import annotations

import asyncio
import io
import json
import re
import secrets
from typing import TYPE_CHECKING

import aiodocker
import pytest
import pytest_asyncio

from pdwatch.adapters.docker.api import connect
from pdwatch.errors import BuildFailedError
from tests.adapters.docker_proxy import docker_proxy, refusal
from tests.adapters.docker_workflow import Workflow, builder, delete_images, nameless

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp import web

    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.core.builders import BuilderName
    from tests.adapters.docker_proxy import Fault
    from tests.testbed.client import Testbed

BASE = "denoland/deno:distroless"


@pytest.fixture(params=["buildkit", "classic"])
def way(request: pytest.FixtureRequest) -> BuilderName:
    way: BuilderName = request.param
    return way


@pytest_asyncio.fixture
async def failing_base(docker: aiodocker.Docker, api: DockerApi) -> AsyncIterator[str]:
    """A base image that runs a command in each build on top of it, which fails."""
    script = "console.error('first line'); console.error('last line'); Deno.exit(3)"
    text = f"FROM {BASE}\nONBUILD RUN {json.dumps(['/bin/deno', 'eval', script])}\n"
    tag = f"failing-base:{secrets.token_hex(4)}"
    context = aiodocker.utils.mktar_from_dockerfile(io.BytesIO(text.encode()))
    await docker.images.build(fileobj=context, tag=tag, encoding="gzip")
    yield tag
    await docker.images.delete(tag)


async def test_a_failing_step_is_named(
    api: DockerApi, way: BuilderName, docker: aiodocker.Docker, workflow: Workflow, failing_base: str
) -> None:
    with pytest.raises(BuildFailedError) as failed:
        await builder(api, way=way).build(await workflow.request(base=failing_base))
    error = failed.value
    assert error.step
    assert error.message.startswith(f"the build of {workflow.name}:1-0-")
    assert error.step in error.message
    assert "/bin/deno" in error.message
    assert not error.retryable
    assert await nameless(docker, workflow.name) == []
    assert await docker.containers.list(all=True, filters={"ancestor": [failing_base]}) == []


async def test_a_failing_step_shows_what_it_printed(
    api: DockerApi, workflow: Workflow, failing_base: str
) -> None:
    with pytest.raises(BuildFailedError) as failed:
        await builder(api, way="classic").build(await workflow.request(base=failing_base))
    assert failed.value.output[-2:] == ("first line", "last line")
    assert str(failed.value.fields["output"]).endswith("first line\nlast line")


@pytest.mark.parametrize("step", ["FROM", "COPY .engine", "COPY .sources", "exporting|LABEL org"])
async def test_a_cancelled_build_leaves_nothing(
    api: DockerApi, way: BuilderName, docker: aiodocker.Docker, workflow: Workflow, step: str
) -> None:
    for number in range(200):  # so that there is something to cancel in each step
        workflow.save(f"lib/{number}.ts", f"export default {number};\n")

    def report(line: str) -> None:
        if re.search(step, line):
            building.cancel()

    building = asyncio.create_task(
        builder(api, report, way=way).build(await workflow.request()), name="build"
    )
    with pytest.raises(asyncio.CancelledError):
        await building
    for _ in range(2):
        assert await nameless(docker, workflow.name) == []
        assert (
            await docker.containers.list(
                all=True, filters={"label": [f"dev.pdwatch.workflow={workflow.name}"]}
            )
            == []
        )
        assert [tag for tag in await tags(docker) if workflow.name in tag] == []
        await Workflow.create(workflow.root.parent / "next", f"{workflow.name}-next").build(api, way=way)
        await delete_images(docker, f"{workflow.name}-next")


async def tags(docker: aiodocker.Docker) -> list[str]:
    return [tag for image in await docker.images.list() for tag in image["RepoTags"] or []]


def no_partial_archives(request: web.Request) -> Fault | None:
    """Refuse an archive that lacks layers, as Docker's containerd store does."""
    return refusal("unexpected EOF", status=500) if request.path.endswith("/load") else None


async def test_a_docker_that_loads_no_partial_archives_keeps_the_image_as_built(
    testbed: Testbed, docker: aiodocker.Docker, workflow: Workflow, tmp_path: Path
) -> None:
    async with (
        docker_proxy(testbed.docker_host, tmp_path, no_partial_archives) as proxy,
        connect(proxy.endpoint) as api,
    ):
        built = await workflow.build(api)
    image = await docker.images.inspect(built.id)
    assert image["RepoTags"] == [str(built.tags[0])]
    assert await nameless(docker, workflow.name) == []
