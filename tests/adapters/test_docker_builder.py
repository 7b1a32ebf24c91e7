from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pdwatch.adapters.engine import engine_files
from pdwatch.core.dockerfile import entrypoint
from pdwatch.core.image import parse_reference
from pdwatch.errors import (
    BaseImageError,
    DockerError,
    SourceChangedError,
)
from tests.adapters.docker_workflow import (
    NODE,
    Workflow,
    builder,
    contents,
    delete_images,
    files,
    layers,
    nameless,
    prune_build_cache,
)

if TYPE_CHECKING:
    import aiodocker

    from pdwatch.adapters.docker.api import DockerApi
    from pdwatch.core.builders import BuilderName
    from tests.testbed.client import Testbed

BASE = "denoland/deno:distroless"
CANARY = "c4n4ry-s3cret"


@pytest.fixture(params=["layer", "buildkit", "classic"])
def way(request: pytest.FixtureRequest) -> BuilderName:
    way: BuilderName = request.param
    return way


async def test_the_image_holds_what_is_shipped_and_nothing_else(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    workflow.save("prompts/a.txt", "é")
    workflow.save("lib/x.ts", "export const x = 1;\n")
    workflow.save("deno.json", '{"imports": {"x": "./lib/x.ts"}, /* why */}')
    workflow.save("deno.lock", '{"version": "5"}')
    workflow.save("vendor/v.ts", "v")
    workflow.save("tests/fixtures/a.json", "{}")
    workflow.save("README.md", "no")
    built = await workflow.build(api)
    found = await contents(docker, built.id)
    shipped = {
        path: (workflow.root / path).read_bytes()
        for path in (
            "workflow.yaml",
            "nodes/greet.ts",
            "lib/x.ts",
            "prompts/a.txt",
            "deno.lock",
            "vendor/v.ts",
        )
    }
    assert {path.removeprefix("app/"): content for path, content in found.items()} == {
        **shipped,
        **{f"engine/{path}": content for path, content in engine_files().items()},
        ".source-digest": (await workflow.scan()).digest.encode(),
        "workflow.json": found["app/workflow.json"],
        "deno.json": found["app/deno.json"],
    }
    assert json.loads(found["app/workflow.json"])["nodes"]["greet"]["path"] == "./nodes/greet.ts"
    assert json.loads(found["app/deno.json"])["imports"] == {
        "x": "./lib/x.ts",
        "pipedreamer": "./engine/mod.ts",
    }
    assert not [path for path in engine_files() if "test" in path]


async def test_every_file_is_roots_readable_and_of_no_time(
    api: DockerApi, way: BuilderName, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    (workflow.root / "nodes/greet.ts").chmod(0o600)
    built = await workflow.build(api, way=way)
    for path, entry in (await files(docker, built.id)).items():
        assert (entry.uid, entry.gid, entry.mtime) == (0, 0, 0), path
        assert entry.mode & 0o7777 == (0o755 if entry.isdir() else 0o644), path


async def test_the_image_says_how_to_run_it(
    api: DockerApi, way: BuilderName, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    snapshot = await workflow.scan()
    image = await docker.images.inspect((await workflow.build(api, way=way)).id)
    config = image["Config"]
    assert config["User"] == "65532:65532"
    assert config["WorkingDir"] == "/app"
    assert snapshot.spec
    assert config["Entrypoint"] == list(entrypoint(snapshot.spec))
    assert not config["Cmd"]
    assert list(config["ExposedPorts"]) == ["8080/tcp"]
    assert "DENO_NO_UPDATE_CHECK=1" in config["Env"]
    assert any(variable.startswith("PATH=") for variable in config["Env"]), "of the base image"
    assert config["Labels"] == {
        "org.opencontainers.image.title": workflow.name,
        "org.opencontainers.image.description": "Says hello.",
        "org.opencontainers.image.version": "1.0",
        "org.opencontainers.image.base.name": BASE,
        "dev.pdwatch.workflow": workflow.name,
        "dev.pdwatch.source-digest": snapshot.digest,
    }
    history: Any = await docker.images.history(image["Id"])
    assert [entry["CreatedBy"] for entry in reversed(history) if "COPY" in entry["CreatedBy"]] == [
        "COPY .engine/ /",
        "COPY .dependencies/ /",
        "COPY .sources/ /",
    ]


async def test_a_description_full_of_syntax_reaches_its_label(
    api: DockerApi, way: BuilderName, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    text = (workflow.root / "workflow.yaml").read_text()
    description = "\"quoted\" \\ $HOME ${PATH} 'single' # ✓ `x` \\"
    workflow.save("workflow.yaml", text.replace("Says hello.", json.dumps(f"{description}\nUSER root")))
    image = await docker.images.inspect((await workflow.build(api, way=way)).id)
    assert image["Config"]["Labels"]["org.opencontainers.image.description"] == f"{description} USER root"
    assert image["Config"]["User"] == "65532:65532"


async def test_the_same_sources_give_the_same_image(
    api: DockerApi, way: BuilderName, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    first = await workflow.build(api, way=way)
    assert await workflow.build(api, way=way) == first
    await delete_images(docker, workflow.name)
    await prune_build_cache(docker)
    workflow.save("nodes/greet.ts", NODE)
    assert await workflow.build(api, way=way) == first
    image = await docker.images.inspect(first.id)
    assert image["Created"] == "1970-01-01T00:00:00Z"
    assert image["RepoTags"] == [str(first.tags[0])], "a build that may yet be superseded moves no name"


async def test_a_save_costs_one_layer(api: DockerApi, docker: aiodocker.Docker, workflow: Workflow) -> None:
    before = await layers(docker, (await workflow.build(api)).id)
    workflow.save("nodes/greet.ts", NODE.replace("hello", "goodbye"))
    after = await layers(docker, (await workflow.build(api)).id)
    assert after[:-1] == before[:-1]
    assert after[-1] != before[-1]


async def test_dependencies_have_a_layer_of_their_own(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    before = await layers(docker, (await workflow.build(api)).id)
    workflow.save("deno.lock", '{"version": "5"}')
    after = await layers(docker, (await workflow.build(api)).id)
    changed = [old != new for old, new in zip(before, after, strict=True)]
    assert changed[-2:] == [True, True]
    assert not any(changed[:-2])


async def test_no_secret_reaches_an_image(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    for path in (".secrets.yaml", ".secrets/a", ".env", ".env.local", ".git/config", "nodes/.env"):
        workflow.save(path, f"token: {CANARY}\n")
    built = await workflow.build(api)
    found = await contents(docker, built.id)
    assert not [path for path, content in found.items() if CANARY.encode() in content]
    assert not [path for path in found if "secret" in path.rpartition("/")[2] and "engine/" not in path]
    assert CANARY not in json.dumps(await docker.images.inspect(built.id))


async def test_a_container_of_the_image_runs_and_tells_its_digest(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    built = await workflow.build(api)
    container = await docker.containers.run(
        {
            "Image": built.id,
            "HostConfig": {
                "NetworkMode": "none",
                "ReadonlyRootfs": True,
                "CapDrop": ["ALL"],
                "Tmpfs": {"/tmp": "mode=1777"},
            },
        }
    )
    try:
        async with asyncio.timeout(60):
            async for line in container.log(stdout=True, stderr=True, follow=True):
                if "listening" in line:
                    break
        assert json.loads(await fetch(container, "/health"))["sourceDigest"] == (await workflow.scan()).digest
        assert json.loads(await fetch(container, "/run"))["outputs"] == {"greet": "hello"}
    finally:
        await container.delete(force=True)


async def fetch(container: aiodocker.containers.DockerContainer, path: str) -> str:
    """Ask the engine from inside its container, which has no network but its own."""
    script = f"console.log(await (await fetch('http://127.0.0.1:8080{path}')).text())"
    execution = await container.exec(["/bin/deno", "eval", script], stdout=True, stderr=True)
    async with execution.start(detach=False) as stream:
        output = b""
        while message := await stream.read_out():
            output += message.data
    return output.decode()


async def test_an_image_is_found_only_for_the_snapshot_that_it_was_built_from(
    api: DockerApi, workflow: Workflow
) -> None:
    built = await workflow.build(api)
    snapshot = await workflow.scan()
    immutable, moving = built.tags
    found = await builder(api).find(immutable, snapshot)
    assert found == replace(built, tags=(immutable,), cached=True, builder=None)
    assert await builder(api).find(moving, replace(snapshot, digest="sha256:" + "00" * 32)) is None
    assert await builder(api).find(replace(moving, tag="other"), snapshot) is None


async def test_an_image_that_pdwatch_did_not_build_is_not_taken_for_one(
    api: DockerApi, workflow: Workflow
) -> None:
    base = parse_reference(BASE)
    assert base
    assert await builder(api).find(base, await workflow.scan()) is None


async def test_a_build_leaves_no_nameless_image(
    api: DockerApi, way: BuilderName, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    await workflow.build(api, way=way)
    workflow.save("nodes/greet.ts", "//\n")
    await workflow.build(api, way=way)
    assert await nameless(docker, workflow.name) == []


async def test_a_base_image_that_is_nowhere_is_named(api: DockerApi, workflow: Workflow) -> None:
    with pytest.raises(
        BaseImageError, match=r"the base image 127\.0\.0\.1:1/deno:none is not in Docker"
    ) as failed:
        await builder(api).build(await workflow.request(base="127.0.0.1:1/deno:none"))
    assert "connection refused" in failed.value.message
    assert "docker pull 127.0.0.1:1/deno:none" in (failed.value.remedy or "")


async def test_a_missing_base_image_is_pulled(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow, testbed: Testbed
) -> None:
    if testbed.registry is None:
        pytest.skip("no registry to pull from")
    name = f"{testbed.registry}/base-{secrets.token_hex(4)}"
    await docker.images.tag(BASE, name, tag="1")
    await docker.images.push(name, tag="1")
    await docker.images.delete(f"{name}:1")
    reported: list[str] = []
    try:
        built = await builder(api, reported.append).build(await workflow.request(base=f"{name}:1"))
    finally:
        await docker.images.delete(f"{name}:1", force=True)
    assert (await layers(docker, built.id))[:1] == (await layers(docker, BASE))[:1]
    assert any(line.startswith(f"Pulling {name}:1") for line in reported)


@pytest.mark.parametrize("change", ["gone", "grown", "another of the same size"])
async def test_a_file_that_changes_after_the_scan_ends_the_build(
    api: DockerApi, way: BuilderName, docker: aiodocker.Docker, workflow: Workflow, change: str
) -> None:
    request = await workflow.request()
    node = workflow.root / "nodes/greet.ts"
    match change:
        case "gone":
            node.unlink()
        case "grown":
            node.write_text(NODE + "//\n")
        case _:
            node.write_text(NODE.replace("hello", "salut"))
    with pytest.raises(SourceChangedError, match=r"greet\.ts changed"):
        await builder(api, way=way).build(request)
    assert await nameless(docker, workflow.name) == []


async def test_builds_side_by_side_do_not_disturb_each_other(
    api: DockerApi, docker: aiodocker.Docker, workflow: Workflow
) -> None:
    async with asyncio.TaskGroup() as group:
        builds = [group.create_task(workflow.build(api), name=f"build {number}") for number in range(3)]
    assert len({build.result() for build in builds}) == 1
    assert await nameless(docker, workflow.name) == []


async def test_a_stream_can_be_left_early(api: DockerApi) -> None:
    async with aclosing(api.messages("images/create", query={"fromImage": "127.0.0.1:1/a:b"})) as stream:
        with pytest.raises(DockerError):
            async for _ in stream:
                pass
    assert await api.request("GET", "version")
