"""Third-party imports, fetched by a real Docker from npm's registry, and from a server of the test's own."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from aiohttp import web

from pdwatch.adapters.dependencies import third_party_code
from pdwatch.adapters.docker.api import connect
from pdwatch.adapters.docker.builder import DockerBuilder
from pdwatch.adapters.docker.known import KnownDocker
from pdwatch.adapters.engine import engine_files
from pdwatch.core.dependencies import dependencies_reference, fetch_digest
from pdwatch.core.names import BASE_IMAGE
from pdwatch.errors import BuildFailedError, DependencyUnavailableError, SettingsError
from tests.adapters.docker_proxy import docker_proxy, no_buildkit
from tests.adapters.docker_workflow import (
    Workflow,
    contents,
    delete_images,
    files,
    layers,
    nameless,
    prune_build_cache,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import aiodocker

    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.core.model import BuiltImage
    from tests.testbed.client import Testbed

NETWORK = "host"
"""Which the testbed's Docker has in any case."""
NODE = """\
import odd from "npm:is-odd@3.0.1";
import { nanoid } from "id/non-secure";
export default (): unknown => ({ odd: odd(3), length: nanoid().length });
"""
CONFIG = '{"imports": {"id": "npm:nanoid@5.1.5"}, "nodeModulesDir": "auto"}'
MS_2_1_2 = "sha512-sGkPx+VjMtmA6MX27oA4FBFELFCZZ4S4XqeGOXCv68tT+jb3vk/RyaKWP0PTKyWtmLSM0b+adUTEvbs1PEaH2w=="
RUN = """\
const path = "/app/nodes/greet.ts";
const { default: run } = await import(`file://${path}`);
console.log(JSON.stringify(await run()));
"""


@pytest_asyncio.fixture
async def workflow(docker: aiodocker.Docker, tmp_path: Path) -> AsyncIterator[Workflow]:
    """A workflow that imports two packages, one of which imports a third."""
    workflow = Workflow.create(tmp_path / "flow", f"flow-{secrets.token_hex(4)}")
    workflow.save("nodes/greet.ts", f"// {workflow.name}\n{NODE}")
    workflow.save("deno.json", CONFIG)
    workflow.save("nodes/run.ts", RUN)
    await forget(docker, workflow)
    before = await dependency_images(docker)
    yield workflow
    await delete_images(docker, workflow.name)
    for tag in await dependency_images(docker) - before:
        await docker.images.delete(tag, force=True)


async def forget(docker: aiodocker.Docker, workflow: Workflow) -> None:
    """Delete the image of the workflow's imports, should an earlier run that was killed have left it."""
    code = third_party_code(await workflow.scan())
    base_id = (await docker.images.inspect(BASE_IMAGE))["Id"]
    digest = fetch_digest(code.fetch_files, base_id=base_id, left_out=code.trees)
    if (reference := dependencies_reference(digest)) in await dependency_images(docker):
        await docker.images.delete(reference, force=True)


async def dependency_images(docker: aiodocker.Docker) -> set[str]:
    filters = {"label": ["dev.pdwatch.dependencies"]}
    return {tag for image in await docker.images.list(filters=filters) for tag in image["RepoTags"] or []}


async def fetchers(docker: aiodocker.Docker) -> list[str]:
    """The containers that something is fetched in."""
    filters = {"name": ["pdwatch-fetch-"]}
    return [container.id for container in await docker.containers.list(all=True, filters=filters)]


async def build(
    api: DockerApi,
    workflow: Workflow,
    *,
    network: str | None = NETWORK,
    report: Callable[[str], None] = lambda _: None,
) -> BuiltImage:
    builder = DockerBuilder(api, KnownDocker(api), engine=engine_files(), network=network, report=report)
    return await builder.build(await workflow.request())


async def run(docker: aiodocker.Docker, image: str) -> object:
    """Run the node in the image as a pod does: no network, the image's Deno, its flags and its rights."""
    command = ["run", "--no-prompt", "--no-lock", "--cached-only", "--allow-read=/app"]
    container = await docker.containers.create(
        {
            "Image": image,
            "Entrypoint": ["/bin/deno"],
            "Cmd": [*command, "--config", "/app/deno.json", "/app/nodes/run.ts"],
            "HostConfig": {"NetworkMode": "none", "ReadonlyRootfs": True, "Tmpfs": {"/tmp": ""}},
        }
    )
    try:
        await container.start()
        ended = await container.wait()
        output = "".join(await container.log(stdout=True, stderr=True))
    finally:
        await container.delete(force=True)
    assert ended["StatusCode"] == 0, output
    return json.loads(output)


async def test_packages_are_fetched_into_a_layer_that_a_save_leaves_alone(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    reported: list[str] = []
    first = await build(api, workflow, report=reported.append)
    assert await run(docker, first.id) == {"odd": True, "length": 21}
    assert any("Fetching third-party imports" in line and "is-odd" in line for line in reported)

    before = await layers(docker, first.id)
    workflow.save("nodes/greet.ts", NODE.replace("odd(3)", "odd(4)"))
    saved = await build(api, workflow, network="none")
    assert await run(docker, saved.id) == {"odd": False, "length": 21}
    after = await layers(docker, saved.id)
    assert after[:-1] == before[:-1]
    assert after[-1] != before[-1]
    assert await fetchers(docker) == []


async def test_the_same_imports_give_the_same_image_however_often_they_are_fetched(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    before = await dependency_images(docker)
    first = await build(api, workflow)
    (fetched,) = await dependency_images(docker) - before
    identity = (await docker.images.inspect(fetched))["Id"]
    await delete_images(docker, workflow.name)
    await docker.images.delete(fetched, force=True)
    await prune_build_cache(docker)

    assert await build(api, workflow) == first
    assert (await docker.images.inspect(fetched))["Id"] == identity
    for path, entry in (await files(docker, first.id)).items():
        assert (entry.uid, entry.gid, entry.mtime) == (0, 0, 0), path


async def test_the_classic_builder_makes_the_same_of_them(
    testbed: Testbed, api: DockerApi, docker: aiodocker.Docker, workflow: Workflow, tmp_path: Path
) -> None:
    async with (
        docker_proxy(testbed.docker_host, tmp_path, no_buildkit) as proxy,
        connect(proxy.endpoint) as classic,
    ):
        built = await build(classic, workflow)
        assert await run(docker, built.id) == {"odd": True, "length": 21}
        below = await layers(docker, built.id)
        assert set(below) <= set(await layers(docker, (await build(api, workflow)).id))


async def test_a_lock_file_decides_on_the_versions(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    workflow.save("nodes/greet.ts", 'import "npm:ms@2"; export default () => 1;')
    lock = {
        "version": "5",
        "specifiers": {"npm:ms@2": "2.1.2"},
        "npm": {"ms@2.1.2": {"integrity": MS_2_1_2}},
        "workspace": {"dependencies": ["npm:ms@2"]},
    }
    workflow.save("deno.lock", json.dumps(lock))
    built = await build(api, workflow)
    found = await contents(docker, built.id, "/app/node_modules/.deno/ms@2.1.2/node_modules/ms")
    assert json.loads(found["ms/package.json"])["version"] == "2.1.2"

    workflow.save("deno.lock", json.dumps(lock).replace(MS_2_1_2, "sha512-AAAA"))
    with pytest.raises(BuildFailedError, match="checksum did not match") as failed:
        await build(api, workflow)
    assert "deno.lock" in (failed.value.remedy or "")
    assert await fetchers(docker) == []


async def test_packages_of_package_json_are_fetched_by_their_names(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    workflow.save("package.json", '{"dependencies": {"odd": "npm:is-odd@3.0.1"}}')
    workflow.save("nodes/greet.ts", 'import odd from "odd"; export default (): unknown => odd(3);')
    assert await run(docker, (await build(api, workflow)).id) is True


def flat(root: Path) -> None:
    """Make npm's layout of Deno's: no links."""
    store = root / "node_modules/.deno"
    for package in ("is-odd@3.0.1", "is-number@6.0.0", "nanoid@5.1.5"):
        name = package.partition("@")[0]
        (root / "node_modules" / name).unlink(missing_ok=True)
        shutil.copytree(store / package / "node_modules" / name, root / "node_modules" / name, symlinks=True)
    for link in [path for path in root.glob("node_modules/**/*") if path.is_symlink()]:
        link.unlink()
    shutil.rmtree(store)


@pytest.mark.parametrize("arrange", [lambda _: None, flat], ids=["Deno's layout", "npm's flat layout"])
async def test_a_node_modules_in_the_directory_is_used_without_any_network(
    testbed: Testbed,
    api: DockerApi,
    docker: aiodocker.Docker,
    workflow: Workflow,
    arrange: Callable[[Path], None],
) -> None:
    install = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("deno"),
        "install",
        "--quiet",
        "--entrypoint",
        "nodes/greet.ts",
        cwd=workflow.root,
        env=testbed.environment,
    )
    assert await install.wait() == 0
    arrange(workflow.root)

    built = await build(api, workflow, network="none")
    assert await run(docker, built.id) == {"odd": True, "length": 21}

    before, images = await layers(docker, built.id), await dependency_images(docker)
    workflow.save("nodes/greet.ts", NODE.replace("odd(3)", "odd(4)"))
    saved = await build(api, workflow, network="none")
    assert await run(docker, saved.id) == {"odd": False, "length": 21}
    assert (await layers(docker, saved.id))[:-1] == before[:-1]
    assert await dependency_images(docker) == images


@asynccontextmanager
async def module_server(path: str, source: str) -> AsyncIterator[str]:
    """Serve one module on the loopback interface; yield its URL."""
    app = web.Application()
    answer = web.Response  # a response can't be sent twice

    async def serve(_: web.Request) -> web.Response:
        return answer(text=source, content_type="application/typescript")

    app.router.add_get(path, serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
    finally:
        await runner.cleanup()


async def test_modules_from_a_url_are_fetched_into_vendor_beside_the_users_own(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    workflow.save("vendor/own.txt", "mine")
    async with module_server("/mod.ts", "export const answer: number = 42;\n") as url:
        workflow.save("nodes/greet.ts", f'import {{ answer }} from "{url}"; export default () => answer;\n')
        built = await build(api, workflow)
    assert await run(docker, built.id) == 42
    assert (await contents(docker, built.id, "/app/vendor"))["vendor/own.txt"] == b"mine"


async def test_without_a_network_the_error_names_the_import_and_the_ways_out(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    workflow.save(
        "nodes/greet.ts", 'import "npm:left-pad@1.3.0"; import "jsr:@std/path@1"; export default 1;'
    )
    with pytest.raises(DependencyUnavailableError) as failed:
        await build(api, workflow, network="none")
    error = failed.value
    assert error.message.startswith("jsr:@std/path@1 (imported by nodes/greet.ts) can't be fetched: ")
    assert error.retryable
    assert '"nodeModulesDir": "auto", "vendor": true' in (error.remedy or "")
    assert "--build-network" in (error.remedy or "")
    assert await fetchers(docker) == []
    assert await nameless(docker, workflow.name) == []


@pytest.mark.parametrize(
    ("specifier", "reason"),
    [
        ("npm:pdwatch-no-such-package-4711", "does not exist"),
        ("npm:is-odd@99", "Could not find npm package 'is-odd' matching '99'"),
    ],
)
async def test_what_does_not_exist_is_named_and_not_tried_again(
    api: DockerApi, workflow: Workflow, specifier: str, reason: str
) -> None:
    workflow.save("nodes/greet.ts", f'import "{specifier}"; export default 1;')
    with pytest.raises(BuildFailedError) as failed:
        await build(api, workflow)
    assert failed.value.message.startswith(f"{specifier} (imported by nodes/greet.ts) can't be fetched: ")
    assert reason in failed.value.message
    assert not failed.value.retryable


async def test_a_network_that_docker_does_not_have_is_a_wrong_setting(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    with pytest.raises(SettingsError, match="'nonesuch'"):
        await build(api, workflow, network="nonesuch")
    assert await fetchers(docker) == []


async def test_a_build_cancelled_while_it_fetches_leaves_nothing(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    before = await dependency_images(docker)

    def report(line: str) -> None:
        if line.startswith("Fetching"):
            building.cancel()

    building = asyncio.create_task(build(api, workflow, report=report))
    with pytest.raises(asyncio.CancelledError):
        await building
    assert await fetchers(docker) == []
    assert await dependency_images(docker) == before
