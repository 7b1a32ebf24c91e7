from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.docker.api import RefusedError, connect
from pdwatch.adapters.docker.prune import DockerImageStore
from pdwatch.adapters.docker.publisher import LocalPublisher
from pdwatch.core.retention import Removal, orphaned, surplus
from tests.adapters.docker_proxy import docker_proxy, refusal
from tests.adapters.docker_workflow import NODE, delete_images, ingredients, parents, stored

if TYPE_CHECKING:
    from pathlib import Path

    import aiodocker
    from aiohttp import web

    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.core.retention import Ingredient
    from tests.adapters.docker_workflow import Workflow
    from tests.testbed.client import Testbed


async def test_a_parent_image_stays_while_an_image_is_made_of_it_and_goes_with_the_last(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    workflow.save("deno.lock", json.dumps({"version": "5", "workspace": {"of": workflow.name}}))
    store, before = DockerImageStore(api), await parents(docker)
    for number in range(2):
        workflow.save("nodes/greet.ts", f"{NODE}// {number}\n")
        await workflow.build(api, way="layer")
    (parent,) = await parents(docker) - before

    async def keep(count: int) -> None:
        images = await stored(store, workflow.name)
        removals = surplus(images, in_use=(), keep=count, now=datetime.now(UTC))
        gone = await store.remove(removals)
        assert gone.count
        await store.remove_ingredients(orphaned(await store.unused(), gone.made_of))

    await keep(1)
    assert parent in await parents(docker)
    await keep(0)
    assert parent not in await parents(docker)


async def test_what_a_build_left_that_never_came_to_its_image_is_found_unless_it_is_used_again(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    store = DockerImageStore(api)
    workflow.save(f"node_modules/{workflow.name}/index.js", "export const version = 1;\n")
    built = await workflow.build(api, way="layer")
    made_of = await ingredients(docker, built.id)

    async def unused() -> list[Ingredient]:
        return [each for each in await store.unused() if made_of.intersection(each.references)]

    assert await unused() == []
    await delete_images(docker, workflow.name)  # as if the build had ended before
    left = await unused()
    assert {each.references for each in left} == {(name,) for name in made_of}
    await workflow.build(api, way="layer")
    assert await unused() == []
    await delete_images(docker, workflow.name)
    assert (await store.remove_ingredients(left)).count == len(made_of) == 2
    assert made_of.isdisjoint(tag for image in await docker.images.list() for tag in image["RepoTags"] or ())


async def test_an_image_that_is_published_again_while_images_are_pruned_stays(
    api: DockerApi, workflow: Workflow
) -> None:
    store, publisher = DockerImageStore(api), LocalPublisher(api)
    first = await workflow.build(api)
    await publisher.publish(first)
    workflow.save("nodes/greet.ts", f"{NODE}// later\n")
    second = await workflow.build(api)
    images = await stored(store, workflow.name)
    removals = surplus(images, in_use=(), keep=0, now=datetime.now(UTC), grace=timedelta(0))
    await publisher.publish(first)
    assert {each.image.id for each in removals} == {first.id, second.id}
    assert (await store.remove(removals)).count == 1
    assert {image.id for image in await stored(store, workflow.name)} == {first.id}


async def test_images_that_stay_are_not_asked_for_again_each_time_that_others_go(
    testbed: Testbed, workflow: Workflow, tmp_path: Path
) -> None:
    async with (
        docker_proxy(testbed.docker_host, tmp_path, lambda _: None) as proxy,
        connect(proxy.endpoint) as api,
    ):
        store, asked = DockerImageStore(api), []
        stays = await workflow.build(api)
        for number in range(2):
            workflow.save("nodes/greet.ts", f"{NODE}// {number}\n")
            goes = await workflow.build(api)
            removals = [
                Removal(image=image, references=image.references)
                for image in await stored(store, workflow.name)
                if image.id == goes.id
            ]
            before = len(proxy.requests)
            assert (await store.remove(removals)).count
            await store.unused()
            asked.append(proxy.requests[before:].count(f"GET images/{stays.id}/json"))
    assert asked == [1, 0]


@pytest.mark.parametrize("what", ["json", "history"])
async def test_a_look_that_was_ended_early_is_gone_on_with_and_not_begun_anew(
    testbed: Testbed, workflow: Workflow, tmp_path: Path, what: str
) -> None:
    built: list[str] = []
    asked: list[str] = []

    def fault(request: web.Request) -> web.Response | None:
        path = request.path
        if not any(path.endswith(f"/images/{each}/{what}") for each in built):
            return None
        asked.append(path)
        return refusal("Docker is busy", status=500) if len(asked) == len(built) else None

    workflow.save(f"node_modules/{workflow.name}/index.js", "export const version = 1;\n")
    async with (
        docker_proxy(testbed.docker_host, tmp_path, fault) as proxy,
        connect(proxy.endpoint) as api,
    ):
        images = []
        for number in range(2):
            workflow.save("nodes/greet.ts", f"{NODE}// {number}\n")
            images.append((await workflow.build(api)).id)
        built += images
        store = DockerImageStore(api)
        with pytest.raises(RefusedError):
            await store.unused()
        first, second = asked
        asked.append("Docker answers again")
        await store.unused()
    assert asked == [first, second, "Docker answers again", second]
