"""The image of the layer builder is the Dockerfile's, and a Docker that can't do it loses nothing by that."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from pdwatch.adapters.docker.api import connect
from pdwatch.adapters.docker.known import KnownDocker
from pdwatch.adapters.docker.publisher import RegistryPublisher
from pdwatch.adapters.engine import engine_files
from pdwatch.core.image import image_references
from pdwatch.core.image_config import EMPTY_LAYER
from pdwatch.core.model import BuildRequest
from pdwatch.core.parent_image import PARENT_REPOSITORY
from pdwatch.errors import (
    BuilderMissingError,
    DiskFullError,
    DockerError,
    DockerUnavailableError,
    SourceChangedError,
)
from tests.adapters.docker_proxy import docker_proxy, messages, no_buildkit, refusal
from tests.adapters.docker_workflow import (
    NODE,
    Workflow,
    builder,
    contents,
    delete_images,
    files,
    layers,
    nameless,
    parents,
    prune_build_cache,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import aiodocker

    from pdwatch.adapters.docker.api import DockerApi
    from tests.adapters.docker_proxy import Fault
    from tests.testbed.client import Testbed


async def saved_image(docker: aiodocker.Docker, image: str) -> tuple[bytes, list[bytes]]:
    """The configuration of an image and the archives of its layers, byte by byte (``docker save``)."""
    async with docker._query(f"images/{image}/get") as response:
        stream = io.BytesIO(await response.read())

    def content(name: str) -> bytes:
        file = tar.extractfile(name)
        assert file
        return file.read()

    with tarfile.open(fileobj=stream) as tar:
        (manifest,) = json.loads(content("manifest.json"))
        return content(manifest["Config"]), [content(layer) for layer in manifest["Layers"]]


def with_difficult_names(workflow: Workflow) -> None:
    """Give a workflow the files that archives and sorting trip over."""
    workflow.save("prompts/é/größer.txt", "é")
    workflow.save(f"prompts/{'é' * 60}/{'k' * 91}/b.txt", "longer than a header's field, and not ASCII")
    for length in (94, 95, 96):
        workflow.save(f"lib/{'j' * length}/m.ts", "around the longest name that fits")
    workflow.save(f"lib/{'a' * 90}/{'b' * 60}.ts", "can be split in two")
    workflow.save(f"lib/{'a' * 90}/{'b' * 120}.ts", "can't")
    for path in ("lib/y/a.ts", "lib/y-b.ts", "lib/y.z/a.ts", "lib/empty.ts"):
        workflow.save(path, "" if "empty" in path else path)
    workflow.save("deno.lock", '{"version": "5"}')


async def test_the_layer_builder_and_buildkit_make_the_same_image_byte_by_byte(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    with_difficult_names(workflow)
    layered = await workflow.build(api, way="layer")
    config, archives = await saved_image(docker, layered.id)
    await delete_images(docker, workflow.name)
    await prune_build_cache(docker)
    built = await workflow.build(api, way="buildkit")
    assert built.id == layered.id, "an equal ID is an equal configuration, with equal digests of all layers"
    assert await saved_image(docker, built.id) == (config, archives)


async def test_the_classic_builder_makes_the_same_but_for_the_empty_layer_of_workdir(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    with_difficult_names(workflow)
    layered, classic = [
        await saved_image(docker, (await workflow.build(api, way=way)).id) for way in ("layer", "classic")
    ]
    configs: list[dict[str, Any]] = [json.loads(config) for config, _ in (layered, classic)]
    without_empty = [layer for layer in layered[1] if any(layer)]
    assert without_empty == classic[1]
    for config in configs:
        diff_ids = config["rootfs"]["diff_ids"]
        config["rootfs"]["diff_ids"] = [each for each in diff_ids if each != EMPTY_LAYER]
        for step in config["history"]:
            if step["created_by"] == "WORKDIR /app":
                step.pop("empty_layer", None)
    assert configs[0] == configs[1]


async def test_layers_that_others_have_built_of_the_same_files_are_not_taken_over(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    context = io.BytesIO()
    dockerfile = {"Dockerfile": b"FROM denoland/deno:distroless\nCOPY .engine/ /\n"}
    engine = {f".engine/app/engine/{path}": content for path, content in engine_files().items()}
    with tarfile.open(fileobj=context, mode="w") as tar:
        for path, content in {**dockerfile, **engine}.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mtime = len(content), 1_000_000_000
            tar.addfile(entry, io.BytesIO(content))
    name = f"{workflow.name}:others"
    await prune_build_cache(docker)
    async with aclosing(
        api.messages("build", query={"version": "2", "t": name}, body=context.getvalue())
    ) as built:
        async for _ in built:
            pass
    with_own_parent(workflow)
    image = await workflow.build(api, way="layer")
    assert {entry.mtime for entry in (await files(docker, image.id)).values()} == {0}


def with_own_parent(workflow: Workflow) -> None:
    """Give a workflow a parent image that no other has."""
    workflow.save("deno.lock", json.dumps({"version": "5", "workspace": {"of": workflow.name}}))


async def test_a_file_that_is_removed_is_in_no_layer(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    workflow.save("lib/old.ts", "export const old = 1;\n")
    await workflow.build(api, way="layer")
    (workflow.root / "lib/old.ts").unlink()
    _, archives = await saved_image(docker, (await workflow.build(api, way="layer")).id)
    assert not any(b"old.ts" in archive for archive in archives)


async def test_an_image_that_was_pushed_comes_back_as_it_was(
    testbed: Testbed, api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    if testbed.registry is None:
        pytest.skip("no registry to push to")
    snapshot = await workflow.scan()
    assert snapshot.spec
    tags = image_references(snapshot.spec, snapshot.digest, registry=testbed.registry)
    built = await builder(api, way="layer").build(BuildRequest(snapshot=snapshot, tags=tags))
    before = await saved_image(docker, built.id)
    pushed = await RegistryPublisher(api).publish(built)
    await delete_images(docker, workflow.name)
    await docker.images.pull(f"{pushed.repository}@{pushed.digest}")
    assert await saved_image(docker, built.id) == before
    await docker.images.delete(built.id, force=True)


async def test_a_parent_image_that_was_pruned_is_built_again(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    workflow.save("deno.lock", json.dumps({"version": "5", "workspace": {"of": workflow.name}}))
    before = await parents(docker)
    built = await workflow.build(api, way="layer")
    (parent,) = await parents(docker) - before
    await delete_images(docker, workflow.name)
    await docker.images.delete(parent)
    assert await workflow.build(api, way="layer") == built
    assert parent in await parents(docker)
    await docker.images.delete(parent)


async def test_workflows_share_a_parent_image_and_build_it_once(
    testbed: Testbed, docker: aiodocker.Docker, workflow: Workflow, tmp_path: Path
) -> None:
    lock = json.dumps({"version": "5", "workspace": {"of": workflow.name}})
    workflows = [
        workflow,
        *(Workflow.create(tmp_path / name, f"{workflow.name}-{name}") for name in ("b", "c")),
    ]
    before = await parents(docker)
    async with (
        docker_proxy(testbed.docker_host, tmp_path, lambda _: None) as proxy,
        connect(proxy.endpoint) as api,
    ):
        shared = builder(api)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(shared.run(), name="run")
            for each in workflows:
                each.save("deno.lock", lock)
            builds = [
                group.create_task(shared.build(await each.request()), name=each.name) for each in workflows
            ]
            await asyncio.wait(builds)
            running.cancel()
    assert len([request for request in proxy.requests if request.startswith("POST build")]) == 1
    for each in workflows:
        await delete_images(docker, each.name)
    for parent in await parents(docker) - before:
        await docker.images.delete(parent)


async def test_a_parent_image_is_built_on_when_the_save_that_began_it_is_superseded(
    testbed: Testbed, docker: aiodocker.Docker, workflow: Workflow, tmp_path: Path
) -> None:
    with_own_parent(workflow)
    before = await parents(docker)
    begun, goes_on = asyncio.Event(), asyncio.Event()

    def held(request: web.Request) -> Fault | None:
        if not request.path.endswith("/build"):
            return None
        begun.set()
        return goes_on

    async with (
        docker_proxy(testbed.docker_host, tmp_path, held) as proxy,
        connect(proxy.endpoint) as api,
        asyncio.TaskGroup() as group,
    ):
        saves = builder(api, way="layer")
        running = group.create_task(saves.run(), name="run")
        superseded = group.create_task(saves.build(await workflow.request()), name="build")
        await begun.wait()
        superseded.cancel()
        await asyncio.wait({superseded})
        workflow.save("nodes/greet.ts", f"{NODE}// saved meanwhile\n")
        goes_on.set()
        image = await saves.build(await workflow.request())
        running.cancel()
    assert len([request for request in proxy.requests if request.startswith("POST build")]) == 1
    assert b"// saved meanwhile" in (await contents(docker, image.id))["app/nodes/greet.ts"]
    assert await nameless(docker, workflow.name) == []
    for parent in await parents(docker) - before:
        await docker.images.delete(parent, force=True)


@pytest.mark.parametrize("change", ["gone", "another of the same size"])
async def test_a_file_that_changes_while_the_layer_is_sent_ends_the_load(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow, change: str
) -> None:
    await workflow.build(api, way="layer")
    workflow.save("nodes/greet.ts", NODE.replace("hello", "hullo"))
    request = await workflow.request()
    node = workflow.root / "nodes/greet.ts"
    node.unlink() if change == "gone" else node.write_text(NODE.replace("hello", "salut"))
    with pytest.raises(SourceChangedError, match=r"greet\.ts changed"):
        await builder(api, way="layer").build(request)
    assert await nameless(docker, workflow.name) == []


def loads(answer: Callable[[], Fault]) -> Callable[[web.Request], Fault | None]:
    """Answer every load so."""
    return lambda request: answer() if request.path.endswith("/images/load") else None


def refusing(message: str, status: int = 500) -> Callable[[web.Request], Fault | None]:
    """Answer every load with an error."""
    return loads(lambda: refusal(message, status=status))


def saying(*values: object) -> Callable[[web.Request], Fault | None]:
    """Answer every load with a stream, at first as if all were well."""
    return loads(lambda: web.Response(body=messages(*values), content_type="application/json"))


REFUSALS = {
    "the containerd store": refusing("unexpected EOF"),
    "Podman": refusing("payload does not match any of the supported image formats"),
    "no such endpoint": refusing("page not found", 404),
    "an error after the answer has begun": saying({"errorDetail": {"message": "invalid diffID"}}),
    "an answer that says nothing": saying(),
}


@pytest.mark.parametrize("kind", REFUSALS)
async def test_where_no_layer_can_be_added_buildkit_builds_and_later_builds_do_not_ask_again(
    testbed: Testbed, docker: aiodocker.Docker, workflow: Workflow, tmp_path: Path, kind: str
) -> None:
    async with (
        docker_proxy(testbed.docker_host, tmp_path, REFUSALS[kind]) as proxy,
        connect(proxy.endpoint) as api,
    ):
        shared = builder(api)
        await shared.build(await workflow.request())
        workflow.save("nodes/greet.ts", f"{NODE}//\n")
        before = len(proxy.requests)
        built = await shared.build(await workflow.request())
        again = [request for request in proxy.requests[before:] if PARENT_REPOSITORY in request]
    assert again == []
    assert built.builder == "buildkit"
    assert "app/nodes/greet.ts" in await contents(docker, built.id)
    assert await nameless(docker, workflow.name) == []


async def test_a_load_that_fails_once_in_a_docker_that_has_loaded_layers_is_no_reason_to_give_them_up(
    testbed: Testbed, workflow: Workflow, tmp_path: Path
) -> None:
    failing = False

    def fails(request: web.Request) -> Fault | None:
        return refusing("docker-untar: signal: killed")(request) if failing else None

    async with docker_proxy(testbed.docker_host, tmp_path, fails) as proxy, connect(proxy.endpoint) as api:
        known = KnownDocker(api)
        auto, layer = builder(api, known=known), builder(api, known=known, way="layer")
        ways = []
        for number, fails_now in enumerate((False, True, False)):
            failing = fails_now
            workflow.save("nodes/greet.ts", f"{NODE}// {number}\n")
            ways.append((await auto.build(await workflow.request())).builder)
        failing = True
        with pytest.raises(DockerError, match=f"did not load {workflow.name}:1-0-.*: docker-untar") as failed:
            await layer.build(await workflow.request())
    assert ways == ["layer", "buildkit", "layer"]
    assert failed.value.retryable


async def test_a_docker_without_buildkit_makes_the_parent_image_with_the_classic_builder(
    testbed: Testbed, docker: aiodocker.Docker, workflow: Workflow, tmp_path: Path
) -> None:
    workflow.save("deno.lock", json.dumps({"version": "5", "workspace": {"of": workflow.name}}))
    before = await parents(docker)
    async with (
        docker_proxy(testbed.docker_host, tmp_path, no_buildkit) as proxy,
        connect(proxy.endpoint) as api,
    ):
        built = await workflow.build(api)
        classic = await workflow.build(api, way="classic")
    assert built.id == classic.id
    assert (built.builder, classic.builder) == ("layer", "classic")
    for parent in await parents(docker) - before:
        await docker.images.delete(parent)


@pytest.mark.parametrize("way", ["layer", "buildkit"])
async def test_a_builder_that_was_asked_for_and_is_not_there_is_an_error(
    testbed: Testbed, workflow: Workflow, tmp_path: Path, way: Any
) -> None:
    def neither(request: web.Request) -> Fault | None:
        return no_buildkit(request) or refusing("unexpected EOF")(request)

    async with docker_proxy(testbed.docker_host, tmp_path, neither) as proxy, connect(proxy.endpoint) as api:
        with pytest.raises(BuilderMissingError, match=f"can't build with {way}: ") as failed:
            await workflow.build(api, way=way)
    assert not failed.value.retryable
    assert "auto" in (failed.value.remedy or "")


async def test_a_disk_that_is_full_is_no_reason_to_try_another_builder(
    testbed: Testbed, workflow: Workflow, tmp_path: Path
) -> None:
    full = saying(
        {
            "errorDetail": {"message": "write /layer.tar: no space left on device"},
            "error": "no space left on device",
        }
    )
    async with docker_proxy(testbed.docker_host, tmp_path, full) as proxy, connect(proxy.endpoint) as api:
        with pytest.raises(DiskFullError, match=rf"the build of ({workflow.name}|{PARENT_REPOSITORY}):"):
            await workflow.build(api)


async def test_a_load_that_breaks_off_leaves_nothing_and_can_be_tried_again(
    testbed: Testbed, api: DockerApi, docker: aiodocker.Docker, workflow: Workflow, tmp_path: Path
) -> None:
    await workflow.build(api, way="layer")
    workflow.save("nodes/greet.ts", f"{NODE}//\n")
    async with (
        docker_proxy(testbed.docker_host, tmp_path, loads(lambda: b"")) as proxy,
        connect(proxy.endpoint) as cut,
    ):
        with pytest.raises(DockerUnavailableError):
            await workflow.build(cut, way="layer")
    assert await nameless(docker, workflow.name) == []
    built = await workflow.build(api, way="layer")
    assert len(await layers(docker, built.id)) > 1
