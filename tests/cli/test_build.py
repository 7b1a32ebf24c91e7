from __future__ import annotations

import asyncio
import json
import os
import pty
import secrets
import signal
import sys
from typing import TYPE_CHECKING

import aiodocker
import pytest
import pytest_asyncio

from tests.adapters.docker_workflow import WORKFLOW, Workflow, delete_images, nameless
from tests.cli.command import pdwatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.testbed.client import Testbed

NO_DOCKER = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """A workflow that is never built."""
    return Workflow.create(tmp_path / "hello", "hello").root


@pytest_asyncio.fixture
async def docker(testbed: Testbed) -> AsyncIterator[aiodocker.Docker]:
    async with aiodocker.Docker(url=testbed.docker_host) as docker:
        yield docker


@pytest_asyncio.fixture
async def workflow(docker: aiodocker.Docker, tmp_path: Path) -> AsyncIterator[Workflow]:
    """A workflow whose images are removed."""
    workflow = Workflow.create(tmp_path / "flow", f"flow-{secrets.token_hex(4)}")
    yield workflow
    await delete_images(docker, workflow.name)


class TestBuilding:
    async def test_the_first_line_is_the_reference_for_a_deployment(
        self, testbed: Testbed, workflow: Workflow
    ) -> None:
        ended = await pdwatch("build", workflow.root, environ=testbed.variables)
        digest = (await workflow.scan()).digest.removeprefix("sha256:")
        assert ended.status == 0, ended.err
        assert ended.out.splitlines()[0] == f"{workflow.name}:1-0-{digest[:12]}"
        assert f"tags      {workflow.name}:1-0-{digest[:12]}, {workflow.name}:1-0\n" in ended.out
        assert ended.err == "", "no progress where there is no terminal"

    async def test_json_has_the_documented_fields(
        self, testbed: Testbed, docker: aiodocker.Docker, workflow: Workflow
    ) -> None:
        ended = await pdwatch("build", workflow.root, "-o", "json", environ=testbed.variables)
        result = json.loads(ended.out)
        snapshot = await workflow.scan()
        reference = f"{workflow.name}:1-0-{snapshot.digest[7:19]}"
        assert {key: value for key, value in result.items() if not key.endswith("_ms")} == {
            "workflow": workflow.name,
            "version": "1.0",
            "source_digest": snapshot.digest,
            "reference": reference,
            "tags": [reference, f"{workflow.name}:1-0"],
            "image_id": (await docker.images.inspect(reference))["Id"],
            "builder": "layer",
            "pushed": False,
        }
        assert all(isinstance(result[key], int) for key in ("build_ms", "publish_ms"))

    async def test_a_pushed_image_is_named_by_digest(self, testbed: Testbed, workflow: Workflow) -> None:
        if testbed.registry is None:
            pytest.skip("no registry to push to")
        ended = await pdwatch(
            "build", workflow.root, "--registry", testbed.registry, "--push", environ=testbed.variables
        )
        assert ended.status == 0, ended.err
        assert ended.out.startswith(f"{testbed.registry}/{workflow.name}:1-0@sha256:")
        assert "pushed" in ended.out

    async def test_a_tag_is_taken_as_given(
        self, testbed: Testbed, docker: aiodocker.Docker, workflow: Workflow
    ) -> None:
        ended = await pdwatch("build", workflow.root, "--tag", "nightly", environ=testbed.variables)
        assert ended.out.splitlines()[0] == f"{workflow.name}:nightly"
        image = await docker.images.inspect(f"{workflow.name}:nightly")
        assert image["RepoTags"] == [f"{workflow.name}:nightly"]

    async def test_nothing_is_written_into_the_directory(self, testbed: Testbed, workflow: Workflow) -> None:
        before = sorted(workflow.root.rglob("*"))
        await pdwatch("build", workflow.root, environ=testbed.variables)
        assert sorted(workflow.root.rglob("*")) == before

    async def test_a_terminal_sees_the_steps(self, testbed: Testbed, workflow: Workflow) -> None:
        ours, theirs = pty.openpty()
        process = await in_terminal(testbed, workflow, stderr=theirs)
        os.close(theirs)
        assert await process.wait() == 0
        assert "Adding the sources" in read_all(ours)

    async def test_ctrl_c_leaves_nothing(
        self, testbed: Testbed, docker: aiodocker.Docker, workflow: Workflow
    ) -> None:
        ours, theirs = pty.openpty()
        process = await in_terminal(testbed, workflow, stderr=theirs)
        os.close(theirs)
        await asyncio.to_thread(os.read, ours, 1)  # the first step has begun
        process.send_signal(signal.SIGINT)
        await process.wait()
        os.close(ours)
        assert process.returncode
        assert await nameless(docker, workflow.name) == []


async def in_terminal(testbed: Testbed, workflow: Workflow, *, stderr: int) -> asyncio.subprocess.Process:
    """A build whose stderr is a terminal, and which heeds Ctrl-C even if whoever runs the tests does not."""
    return await asyncio.create_subprocess_exec(
        *("env", "--default-signal=INT", sys.executable, "-m", "pdwatch", "build", workflow.root),
        env={**os.environ, **testbed.variables, "COLUMNS": "80", "TERM": "xterm"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=stderr,
    )


def read_all(terminal: int) -> str:
    """What was written to a terminal that its writers have closed."""
    text = b""
    while True:
        try:
            part = os.read(terminal, 1 << 16)
        except OSError:  # EIO: Linux's end of file for terminals
            os.close(terminal)
            return text.decode()
        text += part


class TestWithoutDocker:
    async def test_the_dockerfile_is_printed(self, hello: Path) -> None:
        ended = await pdwatch("build", hello, "--print-dockerfile", environ=NO_DOCKER)
        assert ended.status == 0
        assert ended.out.startswith("FROM denoland/deno:distroless\n")
        assert "dev.pdwatch.build" not in ended.out

    async def test_the_socket_that_was_tried_is_named(self, hello: Path) -> None:
        ended = await pdwatch("build", hello, environ=NO_DOCKER)
        assert ended.status == 3
        assert ended.out == ""
        assert ended.err.splitlines() == [
            "error: there is no Docker socket at unix:///nowhere/docker.sock (from DOCKER_HOST)",
            "  → start Docker (`sudo systemctl start docker`), or set DOCKER_HOST to where it listens",
        ]

    async def test_problems_are_shown_as_validate_shows_them(self, hello: Path) -> None:
        (hello / "nodes/greet.ts").unlink()
        (hello / "workflow.yaml").write_text(WORKFLOW.format(name="hello") + "extra: 1\n")
        built = await pdwatch("build", hello, environ=NO_DOCKER)
        validated = await pdwatch("validate", hello)
        assert (built.status, built.out) == (1, "")
        assert built.err.count("workflow.yaml:") == 2
        assert built.err in validated.err

    @pytest.mark.parametrize(
        ("flags", "says"),
        [
            pytest.param(["--push"], "add --registry", id="push without a registry"),
            pytest.param(["--push", "--tag", "nightly"], "add --registry", id="push of a tag alone"),
            pytest.param(["--registry", "https://ghcr.io"], "leave out the scheme: ghcr.io", id="a URL"),
            pytest.param(["--registry", "GHCR"], "no image repository", id="no registry"),
            pytest.param(["--tag", "a b"], "no image tag", id="no tag"),
            pytest.param(["--tag", "Me/x:1"], "no image reference", id="no reference"),
            pytest.param(["-o", "yaml"], "'text', 'json'", id="an unknown format"),
        ],
    )
    async def test_a_wrong_flag_is_refused_with_advice(
        self, hello: Path, flags: list[str], says: str
    ) -> None:
        ended = await pdwatch("build", hello, *flags, environ=NO_DOCKER)
        assert ended.status == 2
        assert says in ended.err

    async def test_a_directory_without_a_workflow_is_not_found(self, tmp_path: Path) -> None:
        ended = await pdwatch("build", tmp_path, environ=NO_DOCKER)
        assert ended.status == 4
        assert "workflow.yaml" in ended.err

    async def test_a_broken_deno_json_is_named_with_its_place(self, testbed: Testbed, hello: Path) -> None:
        (hello / "deno.json").write_text("{\n  imports: {}\n}\n")
        ended = await pdwatch("build", hello, environ=testbed.variables)
        assert ended.status == 1
        assert f"{hello}/deno.json:2:3: is not JSON" in ended.err
