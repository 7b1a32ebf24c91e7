"""Images that go to Docker together, as a scripted Docker sees them and a real one has them afterwards."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from pdwatch.adapters.docker import joint_loads, layer_builds
from pdwatch.adapters.docker.api import RefusedError, connect
from pdwatch.adapters.docker.endpoint import Endpoint
from pdwatch.adapters.docker.joint_loads import TOGETHER, JointLoads, LayerImage
from pdwatch.adapters.docker.known import KnownDocker
from pdwatch.adapters.docker.load import load
from pdwatch.core.image import parse_reference
from pdwatch.core.image_config import ImageConfig
from pdwatch.core.model import Turn
from pdwatch.errors import DockerUnavailableError
from tests.adapters.docker_proxy import docker_proxy, messages
from tests.adapters.docker_workflow import NODE, Workflow, builder, delete_images, parents

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator
    from pathlib import Path

    import aiodocker

    from pdwatch.adapters.docker.api import DockerApi
    from tests.adapters.docker_proxy import Fault
    from tests.testbed.client import Testbed

_LOAD = "POST images/load?quiet=1"


@dataclass(slots=True)
class ScriptedDocker:
    """Takes archives, notes what is in them, and answers each when it is allowed to."""

    refuses: str | None = None
    """An archive with this image in it."""
    breaks: bool = False
    archives: list[list[str]] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def load(self, request: web.Request) -> web.Response:
        names = _names(await request.read())
        self.archives.append(names)
        self.came.set()
        await self.may_end.wait()
        if self.breaks:
            assert request.transport
            request.transport.abort()
        answers = (
            [{"error": "no such layer"}]
            if self.refuses in names
            else [{"stream": f"Loaded image: {name}\n"} for name in names]
        )
        return web.Response(body=messages(*answers), content_type="application/json")

    async def next_archive(self) -> None:
        self.came.clear()
        await self.came.wait()


def _names(archive: bytes) -> list[str]:
    """The images of an archive, each of which has its own layer and configuration there."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest
        images = json.load(manifest)
        for image in images:
            tar.getmember(image["Config"])
            tar.getmember(image["Layers"][-1])
    return [name for image in images for name in image["RepoTags"]]


@asynccontextmanager
async def loads(docker: ScriptedDocker, directory: Path) -> AsyncIterator[JointLoads]:
    async def version(_: web.Request) -> web.Response:
        return web.json_response({"ApiVersion": "1.41"})

    app = web.Application()
    app.router.add_get("/version", version)
    app.router.add_post("/v1.41/images/load", docker.load)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.UnixSite(runner, str(directory / "docker.sock")).start()
    try:
        async with connect(Endpoint(url=f"unix://{directory}/docker.sock", origin="the test")) as api:
            yield JointLoads(api)
    finally:
        await runner.cleanup()


def image(name: str) -> LayerImage:
    reference = parse_reference(f"{name}:1")
    assert reference
    config = ImageConfig(content=json.dumps({"of": name}).encode(), layers=("sha256:below", f"sha256:{name}"))
    return LayerImage(layer=name.encode(), config=config, reference=reference)


async def test_those_of_a_turn_go_together(tmp_path: Path) -> None:
    docker, turn = ScriptedDocker(), Turn(1, 3)
    docker.may_end.set()
    async with loads(docker, tmp_path) as joint:
        await asyncio.gather(*[joint.load(image(name), turn=turn) for name in "abc"])
    assert docker.archives == [["a:1", "b:1", "c:1"]]


async def test_those_that_come_while_one_is_on_its_way_go_next_and_no_more_at_once_than_is_good(
    tmp_path: Path,
) -> None:
    docker, turn = ScriptedDocker(), Turn(1, 1)
    later = [f"later{number}" for number in range(TOGETHER + 1)]
    async with loads(docker, tmp_path) as joint, asyncio.TaskGroup() as group:
        group.create_task(joint.load(image("first"), turn=turn))
        await docker.next_archive()
        for name in later:
            group.create_task(joint.load(image(name), turn=turn))
        await asyncio.sleep(0)
        docker.may_end.set()
    names = [f"{name}:1" for name in later]
    assert docker.archives == [["first:1"], names[:TOGETHER], names[TOGETHER:]]


async def test_one_that_needs_no_load_is_not_waited_for_for_long(tmp_path: Path) -> None:
    docker = ScriptedDocker()
    docker.may_end.set()
    async with loads(docker, tmp_path) as joint:
        await joint.load(image("a"), turn=Turn(1, 3))
    assert docker.archives == [["a:1"]]


async def test_turns_do_not_wait_for_each_other(tmp_path: Path) -> None:
    docker = ScriptedDocker()
    async with loads(docker, tmp_path) as joint, asyncio.TaskGroup() as group:
        for number, name in enumerate("ab"):
            group.create_task(joint.load(image(name), turn=Turn(number, 1)))
            await docker.next_archive()
        assert docker.archives == [["a:1"], ["b:1"]], "and none has ended"
        docker.may_end.set()


async def test_when_docker_refuses_an_archive_each_image_gets_its_own_answer(tmp_path: Path) -> None:
    docker, turn = ScriptedDocker(refuses="b:1"), Turn(1, 3)
    docker.may_end.set()
    async with loads(docker, tmp_path) as joint:
        first, second, third = await asyncio.gather(
            *[joint.load(image(name), turn=turn) for name in "abc"], return_exceptions=True
        )
    assert (first, third) == (None, None)
    assert isinstance(second, RefusedError)
    assert docker.archives == [["a:1", "b:1", "c:1"], ["a:1"], ["b:1"], ["c:1"]]


async def test_when_the_connection_breaks_all_are_told(tmp_path: Path) -> None:
    docker, turn = ScriptedDocker(breaks=True), Turn(1, 2)
    docker.may_end.set()
    async with loads(docker, tmp_path) as joint:
        answers = await asyncio.gather(
            *[joint.load(image(name), turn=turn) for name in "ab"], return_exceptions=True
        )
    assert all(isinstance(answer, DockerUnavailableError) for answer in answers)
    assert len(docker.archives) == 1


async def test_a_load_whose_first_is_cancelled_goes_on_for_the_others(tmp_path: Path) -> None:
    docker, turn = ScriptedDocker(), Turn(1, 2)
    async with loads(docker, tmp_path) as joint:
        first, second = [asyncio.create_task(joint.load(image(name), turn=turn)) for name in "ab"]
        await docker.next_archive()
        first.cancel()
        await asyncio.sleep(0)
        assert not first.done(), "Docker has the archive, and goes on with it"
        docker.may_end.set()
        await second
        with pytest.raises(asyncio.CancelledError):
            await first
    assert docker.archives == [["a:1", "b:1"]]


async def test_one_that_is_cancelled_while_it_waits_is_not_loaded(tmp_path: Path) -> None:
    docker, turn = ScriptedDocker(), Turn(1, 1)
    async with loads(docker, tmp_path) as joint, asyncio.TaskGroup() as group:
        group.create_task(joint.load(image("first"), turn=turn))
        await docker.next_archive()
        cancelled = group.create_task(joint.load(image("cancelled"), turn=turn))
        group.create_task(joint.load(image("last"), turn=turn))
        await asyncio.sleep(0)
        cancelled.cancel()
        docker.may_end.set()
    assert docker.archives == [["first:1"], ["last:1"]]


async def test_a_load_that_hangs_does_not_hold_up_whoever_is_cancelled_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdwatch.adapters.docker.load._HANDED_OVER_S", 0.01)
    docker = ScriptedDocker()
    async with loads(docker, tmp_path) as joint:
        hangs = asyncio.create_task(joint.load(image("a"), turn=None))
        await docker.next_archive()
        hangs.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hangs


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the first of a turn wait for the others however slow the machine is."""
    monkeypatch.setattr(joint_loads, "GATHER_S", 30)


async def test_images_made_in_one_go_are_those_that_are_made_one_by_one(
    testbed: Testbed,
    docker: aiodocker.Docker,
    workflow: Workflow,
    tmp_path: Path,
    patient: None,
) -> None:
    workflows = [Workflow.create(tmp_path / f"w{number}", f"{workflow.name}-{number}") for number in range(3)]
    try:
        async with (
            docker_proxy(testbed.docker_host, tmp_path, lambda _: None) as proxy,
            connect(proxy.endpoint) as api,
        ):
            one_by_one = [(await each.build(api, way="layer")).id for each in workflows]
            for each in workflows:
                await delete_images(docker, each.name)
            known = KnownDocker(api)
            builds = builder(api, way="layer", known=known)
            assert builds.builds_per_turn == 1, "nobody knows yet whether Docker can do it"
            await builds.build(await workflow.request())
            assert builds.builds_per_turn == TOGETHER
            before = len(proxy.requests)
            made = await asyncio.gather(
                *[builds.build(await each.request(turn=Turn(1, 3))) for each in workflows]
            )
        assert [each.id for each in made] == one_by_one
        assert proxy.requests[before:].count(_LOAD) == 1
        for built in made:
            assert (await docker.images.inspect(str(built.tags[0])))["Id"] == built.id
    finally:
        for each in workflows:
            await delete_images(docker, each.name)


@pytest.mark.parametrize("way", ["buildkit", "classic"])
async def test_builds_from_a_dockerfile_share_no_turn(api: DockerApi, way: str) -> None:
    known = KnownDocker(api)
    known.loads_layers = True
    assert builder(api, way=way, known=known).builds_per_turn == 1  # type: ignore[arg-type]


async def test_builds_of_a_turn_make_the_third_party_code_that_they_share_once(
    testbed: Testbed,
    docker: aiodocker.Docker,
    workflow: Workflow,
    tmp_path: Path,
    patient: None,
) -> None:
    workflows = [Workflow.create(tmp_path / f"w{number}", f"{workflow.name}-{number}") for number in range(2)]
    for each in workflows:
        each.save(f"node_modules/{workflow.name}/index.js", "export const version = 1;\n")
    try:
        async with (
            docker_proxy(testbed.docker_host, tmp_path, lambda _: None) as proxy,
            connect(proxy.endpoint) as api,
        ):
            builds = builder(api)
            await builds.build(await workflow.request())
            before = len(proxy.requests)
            async with asyncio.TaskGroup() as group:
                running = group.create_task(builds.run())
                turn = Turn(1, 2)
                made = [group.create_task(builds.build(await each.request(turn=turn))) for each in workflows]
                await asyncio.wait(made)
                running.cancel()
        loads_of = {"the code": 1, "the parent image": 1, "the images": 1}
        assert proxy.requests[before:].count(_LOAD) == sum(loads_of.values())
    finally:
        for each in workflows:
            await delete_images(docker, each.name)


async def test_builds_of_a_turn_load_their_large_layers_one_after_the_other(
    docker: aiodocker.Docker,
    api: DockerApi,
    workflow: Workflow,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workflows = [Workflow.create(tmp_path / f"w{number}", f"{workflow.name}-{number}") for number in range(2)]
    for each in workflows:
        each.save("prompts/large.txt", "x" * (2 << 20))
    ready, both_ready, most, under_way = 0, asyncio.Event(), 0, 0

    def report(step: str) -> None:
        nonlocal ready
        ready += step.startswith("Adding the sources")
        if ready == len(workflows):
            both_ready.set()

    async def counted(api: DockerApi, archive: Generator[bytes, None, None]) -> None:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        await both_ready.wait()
        await load(api, archive)
        under_way -= 1

    try:
        known = KnownDocker(api)
        await builder(api, known=known).build(await workflow.request())
        monkeypatch.setattr(layer_builds, "load", counted)
        builds = builder(api, report, known=known)
        turn = Turn(1, 2)
        await asyncio.gather(*[builds.build(await each.request(turn=turn)) for each in workflows])
        assert (ready, most) == (2, 1)
    finally:
        for each in workflows:
            await delete_images(docker, each.name)


async def test_a_save_waits_for_no_build_of_a_turn_that_is_not_its_own(
    testbed: Testbed, docker: aiodocker.Docker, workflow: Workflow, tmp_path: Path
) -> None:
    slow, saved = [Workflow.create(tmp_path / f"w{each}", f"{workflow.name}-{each}") for each in range(2)]
    for each in (slow, saved):
        each.save("deno.lock", json.dumps({"version": "5", "workspace": {"of": each.name}}))
    before, looked_at = await parents(docker), set[str]()
    held, in_line, goes_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def fault(request: web.Request) -> Fault | None:
        if "/images/pdwatch-parent:" in request.path:
            looked_at.add(request.path)
            if len(looked_at) == 2:
                in_line.set()
        if held.is_set() or not request.path.endswith("/build"):
            return None
        held.set()
        return goes_on

    try:
        async with (
            docker_proxy(testbed.docker_host, tmp_path, fault) as proxy,
            connect(proxy.endpoint) as api,
            asyncio.TaskGroup() as group,
        ):
            builds, turn = builder(api, way="layer"), Turn(1, 2)
            running = group.create_task(builds.run())
            first = group.create_task(builds.build(await slow.request(turn=turn)))
            await held.wait()
            second = group.create_task(builds.build(await saved.request(turn=turn)))
            await in_line.wait()
            saved.save("nodes/greet.ts", f"{NODE}// saved meanwhile\n")
            async with asyncio.timeout(60):
                await builds.build(await saved.request(turn=Turn(2, 1)))
            assert not first.done()
            second.cancel()
            goes_on.set()
            await asyncio.wait({first})
            running.cancel()
    finally:
        for each in (slow, saved):
            await delete_images(docker, each.name)
        for parent in await parents(docker) - before:
            await docker.images.delete(parent, force=True)
