"""``pdwatch prune`` on a real Docker, with what real ReplicaSets name."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import aiodocker
import pytest

from pdwatch.adapters.docker.api import connect as docker_api
from pdwatch.adapters.docker.endpoint import Endpoint
from pdwatch.adapters.docker.publisher import LocalPublisher
from pdwatch.adapters.kubernetes.cluster import ApiCluster
from pdwatch.adapters.kubernetes.connection import connect
from pdwatch.core.retention import copied_from
from tests.adapters.docker_workflow import NODE, Workflow, delete_images, ingredients, prune_build_cache
from tests.adapters.workloads import workload
from tests.cli.command import pdwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pdwatch.core.model import ImageRef
    from tests.testbed.client import Testbed


@pytest.fixture
async def docker(testbed: Testbed) -> AsyncIterator[aiodocker.Docker]:
    async with aiodocker.Docker(url=testbed.docker_host) as docker:
        yield docker


@pytest.fixture
async def hello(tmp_path: Path, docker: aiodocker.Docker) -> AsyncIterator[Workflow]:
    workflow = Workflow.create(tmp_path / "hello", f"hello-{secrets.token_hex(4)}")
    yield workflow
    await delete_images(docker, workflow.name)


async def saved(testbed: Testbed, workflow: Workflow, count: int) -> list[ImageRef]:
    """Save and build that often; return what a Deployment would name, the oldest first."""
    async with docker_api(Endpoint(url=testbed.docker_host, origin="the testbed")) as api:
        references = []
        for number in range(count):
            workflow.save("nodes/greet.ts", f"{NODE}// {number}\n")
            references.append(await LocalPublisher(api).publish(await workflow.build(api)))
    return references


async def names(docker: aiodocker.Docker, workflow: Workflow) -> set[str]:
    """The references of a workflow's images."""
    label = {"label": [f"dev.pdwatch.workflow={workflow.name}"]}
    listed = await docker.images.list(filters=label)
    return {tag for image in listed for tag in image["RepoTags"] or ()}


async def test_the_newest_stay_and_what_a_replica_set_names(
    testbed: Testbed, namespace: str, docker: aiodocker.Docker, hello: Workflow
):
    references = await saved(testbed, hello, 5)
    async with connect(kubeconfig=testbed.kubeconfig) as api:
        await ApiCluster(api).apply(workload(namespace, name=hello.name, image=references[0], replicas=0))
    everything = await names(docker, hello)

    dry = await pdwatch("prune", hello.name, "--keep=2", "--dry-run", environ=testbed.variables)
    assert dry.status == 0, dry.err
    assert sorted(dry.out.splitlines()) == sorted(
        ["nothing was removed", *(f"would remove {ref}" for ref in references[1:3])]
    )
    assert await names(docker, hello) == everything

    await prune_build_cache(docker)  # which holds layers too, and frees them in its own time
    ended = await pdwatch("prune", hello.root, "--keep=2", "-o", "json", environ=testbed.variables)
    assert ended.status == 0, ended.err
    answer = json.loads(ended.out)
    assert answer["count"] == 2
    assert 0 < answer["bytes"] < 10_000, "only the layer with the sources is each image's own"
    assert await names(docker, hello) == {f"{hello.name}:1-0", *map(str, (references[0], *references[3:]))}

    again = await pdwatch("prune", hello.name, "--keep=2", environ=testbed.variables)
    assert again.out == "there is nothing to remove\n"


async def test_delivering_an_old_image_again_makes_it_the_newest(
    testbed: Testbed, docker: aiodocker.Docker, hello: Workflow
):
    references = await saved(testbed, hello, 3)
    await saved(testbed, hello, 1)
    await pdwatch("prune", hello.name, "--keep=1", environ=testbed.variables)
    assert str(references[0]) in await names(docker, hello)


async def test_an_image_with_somebody_elses_name_loses_only_pdwatchs(
    testbed: Testbed, docker: aiodocker.Docker, hello: Workflow
):
    (oldest,) = await saved(testbed, hello, 1)
    theirs = f"release-of-{hello.name}:mine"
    await docker.images.tag(str(oldest), repo=theirs.partition(":")[0], tag="mine")
    _, newest = await saved(testbed, hello, 2)
    try:
        ended = await pdwatch("prune", hello.name, "--keep=1", environ=testbed.variables)
        assert await names(docker, hello) == {f"{hello.name}:1-0", str(newest), theirs}
        assert ended.out == f"removed {oldest}\n0 images are gone, and 0 B with them\n"
    finally:
        await docker.images.delete(theirs)


async def test_an_image_that_a_container_runs_stays(
    testbed: Testbed, docker: aiodocker.Docker, hello: Workflow
):
    oldest, _ = await saved(testbed, hello, 2)
    container = await docker.containers.create({"Image": str(oldest), "HostConfig": {"NetworkMode": "none"}})
    try:
        await pdwatch("prune", hello.name, "--keep=1", environ=testbed.variables)
        assert str(oldest) in await names(docker, hello)
    finally:
        await container.delete(force=True)


async def test_third_party_code_goes_with_the_last_image_that_was_made_with_it(
    testbed: Testbed, docker: aiodocker.Docker, hello: Workflow
):
    package = f"node_modules/{hello.name}/index.js"
    hello.save(package, "export const version = 1;\n")
    await saved(testbed, hello, 2)
    (first,) = await dependencies(docker, hello)
    hello.save(package, "export const version = 2;\n")
    await saved(testbed, hello, 1)
    assert len(await dependencies(docker, hello)) == 2

    await pdwatch("prune", hello.name, "--keep=2", environ=testbed.variables)
    assert first in await dependencies(docker, hello), "the second newest image was made with it"
    ended = await pdwatch("prune", hello.name, "--keep=1", environ=testbed.variables)
    (second,) = await dependencies(docker, hello)
    assert second != first
    assert f"removed {first}, which no image is made of\n" in ended.out
    with pytest.raises(aiodocker.DockerError):
        await docker.images.inspect(first)


async def test_what_no_image_is_made_of_is_named_where_everything_is_meant(
    testbed: Testbed, docker: aiodocker.Docker, hello: Workflow
):
    hello.save(f"node_modules/{hello.name}/index.js", "export const version = 1;\n")
    (image,) = await saved(testbed, hello, 1)
    made_of = await ingredients(docker, str(image))
    told = {f"would remove {name}, which no image is made of" for name in made_of}
    used = await pdwatch("prune", "--dry-run", environ=testbed.variables)
    assert told.isdisjoint(used.out.splitlines())
    await delete_images(docker, hello.name)
    try:
        unused = await pdwatch("prune", "--dry-run", environ=testbed.variables)
        assert told <= set(unused.out.splitlines())
    finally:
        for name in made_of:
            await docker.images.delete(name)


async def dependencies(docker: aiodocker.Docker, workflow: Workflow) -> set[str]:
    """The images of third-party code that a workflow's images were made with, and that are there."""
    label = {"label": [f"dev.pdwatch.workflow={workflow.name}"]}
    listed = await docker.images.list(filters=label)
    histories: list[Any] = [await docker.images.history(image["Id"]) for image in listed]
    steps = [(step["CreatedBy"], step["Size"]) for history in histories for step in history]
    return set(copied_from(steps))


async def test_a_misspelt_workflow_is_asked_after(testbed: Testbed, hello: Workflow):
    await saved(testbed, hello, 1)
    ended = await pdwatch("prune", f"{hello.name}x", environ=testbed.variables)
    assert ended.status == 4
    assert f"did you mean {hello.name}?" in ended.err


async def test_without_a_cluster_nothing_is_removed_since_nobody_says_what_is_in_use(
    testbed: Testbed, docker: aiodocker.Docker, hello: Workflow
):
    await saved(testbed, hello, 2)
    everything = await names(docker, hello)
    ended = await pdwatch(
        "prune", hello.name, "--keep=1", environ={**testbed.variables, "KUBECONFIG": "/nowhere/config"}
    )
    assert ended.status == 2
    assert await names(docker, hello) == everything


async def test_whoever_may_not_see_all_namespaces_is_told_which_one_counts(
    testbed: Testbed, namespace: str, docker: aiodocker.Docker, hello: Workflow, limited: Path
):
    oldest, middle, _ = await saved(testbed, hello, 3)
    async with connect(kubeconfig=testbed.kubeconfig) as api:
        await ApiCluster(api).apply(workload(namespace, name=hello.name, image=oldest, replicas=0))
    environ = {**testbed.variables, "KUBECONFIG": str(limited)}
    ended = await pdwatch("prune", hello.name, "--keep=1", "-n", namespace, environ=environ)
    assert ended.status == 0, ended.err
    assert f"only what namespace {namespace} still names is kept" in ended.err
    left = await names(docker, hello)
    assert str(oldest) in left
    assert str(middle) not in left
