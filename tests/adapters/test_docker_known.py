"""How few requests a save costs, and that no change in Docker goes unseen for it."""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from pdwatch.adapters.docker.api import connect
from pdwatch.adapters.docker.builder import DockerBuilder
from pdwatch.adapters.docker.known import KnownDocker
from pdwatch.adapters.docker.publisher import LocalPublisher
from pdwatch.adapters.engine import engine_files
from pdwatch.core.dependencies import DEPENDENCIES_REPOSITORY
from pdwatch.core.names import IMAGE_WORKFLOW_LABEL
from pdwatch.core.parent_image import PARENT_REPOSITORY
from pdwatch.errors import DockerError
from pdwatch.pipeline import image_for
from tests.adapters.docker_proxy import SILENCE, docker_proxy, refusal
from tests.adapters.docker_workflow import (
    NODE,
    Workflow,
    contents,
    delete_images,
    prune_build_cache,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    import aiodocker
    from aiohttp import web

    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.core.model import BuiltImage
    from tests.adapters.docker_proxy import DockerProxy, Fault
    from tests.testbed.client import Testbed

BASE = "denoland/deno:distroless"


@dataclass(frozen=True, slots=True)
class Following:
    """A builder that follows Docker's events through a proxy."""

    proxy: DockerProxy
    known: KnownDocker
    builder: DockerBuilder
    publisher: LocalPublisher
    task: asyncio.Task[None]

    async def listening(self, image: str = BASE) -> None:
        """Return once an image is asked for no more."""
        async with asyncio.timeout(60):
            while True:
                before = len(self.proxy.requests)
                assert await self.known.inspect(image)
                if len(self.proxy.requests) == before:
                    return

    async def until_asked_again(self, image: str = BASE) -> None:
        """Return once an image is no longer taken for known."""
        async with asyncio.timeout(60):
            before = len(self.proxy.requests)
            while len(self.proxy.requests) == before:
                await asyncio.sleep(0)  # lets the events in
                await self.known.inspect(image)


@asynccontextmanager
async def following(
    testbed: Testbed, directory: Path, fault: Callable[[web.Request], Fault | None] = lambda _: None
) -> AsyncIterator[Following]:
    async with docker_proxy(testbed.docker_host, directory, fault) as proxy, connect(proxy.endpoint) as api:
        known = KnownDocker(api)
        builder = DockerBuilder(api, known, engine=engine_files())
        task = asyncio.create_task(known.follow(), name="follow")
        try:
            follows = Following(proxy, known, builder, LocalPublisher(api), task)
            await follows.listening()
            yield follows
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def hear_only(monkeypatch: pytest.MonkeyPatch, **filters: str) -> None:
    """Keep out the events of images that others make at the same time."""
    events = {"type": ["image"], **{key: [value] for key, value in filters.items()}}
    monkeypatch.setattr("pdwatch.adapters.docker.known._FILTERS", json.dumps(events))


@pytest_asyncio.fixture
async def base(docker: aiodocker.Docker) -> AsyncIterator[str]:
    """A base image of the test's own."""
    name = f"base-{secrets.token_hex(4)}:1"
    await docker.images.tag(BASE, name.partition(":")[0], tag="1")
    yield name
    await docker.images.delete(name, force=True)


async def layers_of(docker: aiodocker.Docker, image: BuiltImage) -> list[str]:
    found: list[str] = (await docker.images.inspect(image.id))["RootFS"]["Layers"]
    return found


async def test_a_save_costs_one_load_besides_a_look_and_a_name(
    testbed: Testbed, workflow: Workflow, tmp_path: Path
) -> None:
    async with following(testbed, tmp_path) as follows:
        for number in range(20):  # somebody else's images, made at the same time, lead to further looks
            workflow.save("nodes/greet.ts", f"{NODE}// {number}\n")
            snapshot = await workflow.scan()
            before = len(follows.proxy.requests)
            image = await image_for(
                snapshot,
                builder=follows.builder,
                publisher=follows.publisher,
                reuse=True,
                clock=asyncio.get_running_loop().time,
            )
            asked = follows.proxy.requests[before:]
            if number and len(asked) <= 3:
                break
    assert asked == [
        f"GET images/{image.ref}/json",
        "POST images/load?quiet=1",
        f"POST images/{image.id}/tag?repo={workflow.name}&tag=1-0",
    ]


async def test_without_events_images_are_asked_for_each_time(
    testbed: Testbed, workflow: Workflow, tmp_path: Path
) -> None:
    async with (
        docker_proxy(testbed.docker_host, tmp_path, lambda _: None) as proxy,
        connect(proxy.endpoint) as api,
    ):
        builder = DockerBuilder(api, KnownDocker(api), engine=engine_files())
        for number in range(2):
            workflow.save("nodes/greet.ts", f"{NODE}// {number}\n")
            before = len(proxy.requests)
            await builder.build(await workflow.request())
    looks = [request.partition(":")[0] for request in proxy.requests[before:]]
    assert looks == [
        "GET images/denoland/deno",
        f"GET images/{PARENT_REPOSITORY}",
        "POST images/load?quiet=1",
    ]


async def test_another_base_image_under_the_same_name_is_noticed(
    testbed: Testbed, docker: aiodocker.Docker, workflow: Workflow, tmp_path: Path, base: str
) -> None:
    async with following(testbed, tmp_path) as follows:
        before = await follows.builder.build(await workflow.request(base=base))
        await follows.listening(base)
        other = await docker.images.inspect(before.id)
        await docker.images.tag(other["Id"], base.partition(":")[0], tag="1")
        await follows.until_asked_again(base)
        workflow.save("nodes/greet.ts", f"{NODE}//\n")
        after = await follows.builder.build(await workflow.request(base=base))
    assert (await layers_of(docker, after))[: len(other["RootFS"]["Layers"])] == other["RootFS"]["Layers"]


async def test_another_base_image_is_noticed_though_docker_began_to_answer_before_it_listened(
    testbed: Testbed,
    api: DockerApi,
    docker: aiodocker.Docker,
    workflow: Workflow,
    tmp_path: Path,
    base: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hear_only(monkeypatch, image=base.partition(":")[0])
    other, listens = await workflow.build(api), asyncio.Event()

    def late(request: web.Request) -> Fault | None:
        return listens if request.path.endswith("/events") else None

    async with following(testbed, tmp_path, late) as follows:
        await follows.listening(base)
        await docker.images.tag(other.id, base.partition(":")[0], tag="1")
        listens.set()
        await follows.until_asked_again(base)
        found = await follows.known.inspect(base)
    assert found
    assert found["Id"] == other.id


async def test_a_parent_image_that_vanishes_unseen_is_built_again(
    testbed: Testbed, docker: aiodocker.Docker, workflow: Workflow, tmp_path: Path
) -> None:
    def mute(request: web.Request) -> Fault | None:
        return SILENCE if request.path.endswith("/events") else None

    workflow.save("deno.lock", json.dumps({"version": "5", "workspace": {"of": workflow.name}}))
    async with following(testbed, tmp_path, mute) as follows:
        built = await follows.builder.build(await workflow.request())
        (parent,) = follows.proxy.looked_at(PARENT_REPOSITORY)
        await follows.listening(parent)
        await delete_images(docker, workflow.name)
        await docker.images.delete(parent)
        await prune_build_cache(docker)  # it holds the layers too
        before = len(follows.proxy.requests)
        assert await follows.builder.build(await workflow.request()) == built
    assert follows.proxy.requests[before] == "POST images/load?quiet=1", "it was taken for known"
    await docker.images.delete(parent)


async def test_third_party_code_that_vanishes_unseen_is_a_reason_to_try_again(
    testbed: Testbed, docker: aiodocker.Docker, workflow: Workflow, tmp_path: Path
) -> None:
    def mute(request: web.Request) -> Fault | None:
        return SILENCE if request.path.endswith("/events") else None

    workflow.save("vendor/mine.ts", f"// {workflow.name}\n")
    async with following(testbed, tmp_path, mute) as follows:
        await follows.builder.build(await workflow.request())
        (code,) = follows.proxy.looked_at(DEPENDENCIES_REPOSITORY)
        await follows.listening(code)
        await docker.images.delete(code)
        workflow.save("deno.lock", json.dumps({"version": "5"}))
        with pytest.raises(DockerError, match=f"{code} was removed while {workflow.name}:1-0-") as failed:
            await follows.builder.build(await workflow.request())
        assert failed.value.retryable
        built = await follows.builder.build(await workflow.request())
    assert "app/vendor/mine.ts" in await contents(docker, built.id)
    await delete_images(docker, workflow.name)
    for image in {*follows.proxy.looked_at(PARENT_REPOSITORY), code}:
        await docker.images.delete(image)


async def test_a_docker_that_keeps_its_events_to_itself_is_not_asked_again_what_it_can_do(
    testbed: Testbed, tmp_path: Path
) -> None:
    refused_twice = asyncio.Event()
    refusals = []

    def refuses(request: web.Request) -> Fault | None:
        if not request.path.endswith("/events"):
            return None
        refusals.append(request)
        if len(refusals) > 1:
            refused_twice.set()
        return refusal("not allowed by the socket's proxy", status=403)

    async with docker_proxy(testbed.docker_host, tmp_path, refuses) as proxy, connect(proxy.endpoint) as api:
        known = KnownDocker(api)
        known.refused.add("layer")
        task = asyncio.create_task(known.follow(), name="follow")
        async with asyncio.timeout(60):
            await refused_twice.wait()
        assert known.refused == {"layer"}
        before = len(proxy.requests)
        for _ in range(2):
            assert await known.inspect(BASE)
        assert [each for each in proxy.requests[before:] if "events" not in each] == [
            f"GET images/{BASE}/json"
        ] * 2
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_docker_that_has_no_events_for_long_is_not_asked_again_what_it_can_do(
    testbed: Testbed, tmp_path: Path
) -> None:
    heard_again, listened = asyncio.Event(), []

    def silent(request: web.Request) -> Fault | None:
        if not request.path.endswith("/events"):
            return None
        listened.append(request)
        if len(listened) > 1:
            heard_again.set()
        return SILENCE

    async with (
        docker_proxy(testbed.docker_host, tmp_path, silent) as proxy,
        connect(proxy.endpoint, inactivity_timeout_s=0.5) as api,
    ):
        known = KnownDocker(api)
        known.refused.add("layer")
        task = asyncio.create_task(known.follow(), name="follow")
        async with asyncio.timeout(60):
            await heard_again.wait()
        assert known.refused == {"layer"}
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_when_docker_comes_back_it_is_asked_what_it_can_do(
    testbed: Testbed, workflow: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear_only(monkeypatch, label=f"{IMAGE_WORKFLOW_LABEL}={workflow.name}")
    broken = asyncio.Event()

    def breaks(request: web.Request) -> Fault | None:
        return b"" if request.path.endswith("/events") and not broken.is_set() else None

    async with following(testbed, tmp_path, breaks) as follows:
        follows.known.refused.add("layer")
        await follows.builder.build(await workflow.request())  # its events break the stream
        broken.set()
        async with asyncio.timeout(60):
            while follows.known.refused:  # noqa: ASYNC110  # what is waited for has no event
                await asyncio.sleep(0)
        await follows.listening()
        before = len(follows.proxy.requests)
        workflow.save("nodes/greet.ts", f"{NODE}//\n")
        await follows.builder.build(await workflow.request())
    assert not [request for request in follows.proxy.requests[before:] if request.startswith("POST build")]
