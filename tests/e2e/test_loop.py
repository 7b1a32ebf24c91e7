"""The loop, whole: files on disk, a real ``pdwatch run``, and pods under gVisor that answer."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.daemon import running_daemon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.e2e.daemon import Daemon
    from tests.testbed import Testbed
    from tests.testbed.client import PodResponse

REPOSITORY = Path(__file__).parent.parent.parent

HELLO = """\
name: hello
version: "1.0"
triggers:
  - type: manual
nodes:
  greet: {path: ./nodes/greet.ts}
edges: []
"""


def greeting(text: str) -> str:
    return f"export default () => Promise.resolve({json.dumps(text)});\n"


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """Return a workflow directory whose only node says ``first``."""
    root = tmp_path / "workflows" / "hello"
    (root / "nodes").mkdir(parents=True)
    (root / "workflow.yaml").write_text(HELLO)
    (root / "nodes/greet.ts").write_text(greeting("first"))
    return root


@pytest.fixture
def environment(testbed: Testbed) -> Mapping[str, str]:
    return {"KUBECONFIG": str(testbed.kubeconfig), "DOCKER_HOST": testbed.docker_host}


@pytest.fixture
async def daemon(hello: Path, namespace: str, environment: Mapping[str, str]) -> AsyncIterator[Daemon]:
    """Return a daemon that has rolled out ``hello``."""
    async with running_daemon(
        hello.parent, f"--namespace={namespace}", environment=environment, log_level="debug"
    ) as daemon:
        await daemon.until("rollout.complete", workflow="hello")
        yield daemon


async def answer(testbed: Testbed, namespace: str, name: str = "hello") -> Any:
    """Return the outputs of one run in the workflow's pod."""
    return json.loads(await testbed.pod_http(namespace, name, "/run"))["outputs"]


async def deployment(testbed: Testbed, namespace: str, name: str = "hello") -> dict[str, Any]:
    found = json.loads(await testbed.kubectl("get", "deployment", name, "-n", namespace, "-o", "json"))
    assert isinstance(found, dict)
    return found


async def test_the_examples_are_rolled_out_and_run(
    tmp_path: Path, namespace: str, environment: Mapping[str, str], testbed: Testbed
):
    workflows = shutil.copytree(REPOSITORY / "examples", tmp_path / "examples")
    async with running_daemon(workflows, f"--namespace={namespace}", environment=environment) as daemon:
        for name in ("order-quote", "release-notes", "signed-webhook"):
            await daemon.until("rollout.complete", workflow=name)
        quote = await answer(testbed, namespace, "order-quote")
        notes = await answer(testbed, namespace, "release-notes")
    assert quote["quote"] == {"goods": 8760, "shipping": 850, "vat": 2210, "total": 11820}
    assert notes["render"]["markdown"].startswith("# Release notes\n\n## Added\n- **engine**: start")


async def test_a_webhook_takes_what_is_signed_with_the_local_secret_and_refuses_the_rest(
    tmp_path: Path, namespace: str, environment: Mapping[str, str], testbed: Testbed
):
    workflow = shutil.copytree(REPOSITORY / "examples/signed-webhook", tmp_path / "signed-webhook")
    (workflow / ".secrets.yaml").write_text("webhook: {key: local-key}\n")
    body = json.dumps({"items": ["a", "b", "c", "d"]}).encode()
    signature = f"sha256={hmac.new(b'local-key', body, 'sha256').hexdigest()}"

    async def deliver(signature: str) -> PodResponse:
        headers = {"Content-Type": "application/json", "X-Signature-256": signature}
        return await testbed.pod_request(
            namespace, "signed-webhook", "/hooks/deliveries", "POST", body, headers
        )

    async with running_daemon(
        workflow, "--secrets", f"--namespace={namespace}", environment=environment
    ) as daemon:
        await daemon.until("rollout.complete", workflow="signed-webhook")
        accepted, refused = await deliver(signature), await deliver(f"sha256={'00' * 32}")
    assert accepted.status == 200
    outputs = json.loads(accepted.body)["outputs"]
    assert outputs["summarize"] == {"count": 4, "shown": ["a", "b", "c"], "more": 1}
    assert refused.status == 500
    assert json.loads(refused.body)["errors"] == {"verify": "the signature is wrong"}


async def test_a_saved_node_answers_from_a_new_pod_with_a_line_for_every_step(
    daemon: Daemon, hello: Path, namespace: str, testbed: Testbed
):
    assert await answer(testbed, namespace) == {"greet": "first"}
    mark = daemon.mark
    second = f"second in {namespace}"  # of which Docker has no image from an earlier run
    (hello / "nodes/greet.ts").write_text(greeting(second))
    built = await daemon.until("build.succeeded", since=mark, workflow="hello")
    assert built["builder"] == "layer"
    complete = await daemon.until("rollout.complete", since=mark, workflow="hello")
    assert await answer(testbed, namespace) == {"greet": second}

    aside = {"workflow.unchanged", "images.pruned"}
    steps = [event for event in daemon.events(since=mark) if event not in aside]
    assert [step for step in steps if step != "rollout.progressing"] == [
        "workflow.changed",
        "build.started",
        "build.succeeded",
        "deploy.applied",
        "rollout.complete",
    ]
    assert {
        "namespace",
        "source_digest",
        "generation",
        "image",
        "since_save_ms",
        "rollout_ms",
    } <= complete.keys()
    health = json.loads(await testbed.pod_http(namespace, "hello", "/health"))
    assert health["sourceDigest"] == complete["source_digest"]


async def test_an_invalid_workflow_is_reported_by_line_while_the_last_good_one_answers(
    daemon: Daemon, hello: Path, namespace: str, testbed: Testbed
):
    mark = daemon.mark
    (hello / "workflow.yaml").write_text(HELLO.replace("greet.ts", "great.ts"))
    line = await daemon.until("workflow.invalid", since=mark)
    assert (line["path"], line["line"]) == (str(hello / "workflow.yaml"), 6)
    assert "did you mean ./nodes/greet.ts?" in line["message"]
    assert await answer(testbed, namespace) == {"greet": "first"}
    assert "deploy.applied" not in daemon.events(since=mark)

    mark = daemon.mark
    (hello / "workflow.yaml").write_text(HELLO.replace('"1.0"', '"1.1"'))
    await daemon.until("rollout.complete", since=mark, workflow="hello")
    assert (await deployment(testbed, namespace))["metadata"]["labels"]["app.kubernetes.io/version"] == "1.1"


async def test_a_crashing_node_stalls_the_rollout_with_its_last_words_while_the_old_pod_serves(
    daemon: Daemon, hello: Path, namespace: str, testbed: Testbed
):
    mark = daemon.mark
    (hello / "nodes/greet.ts").write_text('throw new Error("cannot start: wrong moon phase");\n')
    stalled = await daemon.until("rollout.stalled", since=mark)
    assert "wrong moon phase" in stalled["output"]
    assert stalled["reason"]
    assert await answer(testbed, namespace) == {"greet": "first"}

    mark = daemon.mark
    (hello / "nodes/greet.ts").write_text(greeting("mended"))
    await daemon.until("rollout.complete", since=mark)
    assert await answer(testbed, namespace) == {"greet": "mended"}


async def test_a_daemon_killed_in_the_middle_of_a_build_converges_when_it_starts_again(
    daemon: Daemon, hello: Path, namespace: str, testbed: Testbed, environment: Mapping[str, str]
):
    mark = daemon.mark
    (hello / "nodes/greet.ts").write_text(greeting("second"))
    await daemon.until("build.started", since=mark)
    await daemon.stop(signal.SIGKILL)
    async with running_daemon(hello.parent, f"--namespace={namespace}", environment=environment) as again:
        complete = await again.until("rollout.complete", workflow="hello")
        while await answer(testbed, namespace) != {"greet": "second"}:
            # the first line tells of the old revision if the kill came before the apply
            complete = await again.until("rollout.complete", since=again.lines.index(complete) + 1)


async def test_a_restart_with_nothing_changed_builds_and_applies_nothing(
    daemon: Daemon, hello: Path, namespace: str, environment: Mapping[str, str]
):
    assert await daemon.stop() == 0
    async with running_daemon(hello.parent, f"--namespace={namespace}", environment=environment) as again:
        await again.until("daemon.synced")
        await again.until("rollout.complete", workflow="hello")
        assert await again.stop() == 0
    assert not {"build.succeeded", "deploy.applied", "workflow.changed"} & set(again.events())


async def test_a_deleted_deployment_comes_back(daemon: Daemon, namespace: str, testbed: Testbed):
    mark = daemon.mark
    await testbed.kubectl("delete", "deployment", "hello", "-n", namespace)
    await daemon.until("deploy.deleted", since=mark)
    applied = await daemon.until("deploy.applied", since=mark)
    await daemon.until("rollout.complete", since=daemon.lines.index(applied))
    assert await answer(testbed, namespace) == {"greet": "first"}


async def test_of_two_saves_fifty_milliseconds_apart_the_second_is_what_runs(
    daemon: Daemon, hello: Path, namespace: str, testbed: Testbed
):
    mark = daemon.mark
    node = hello / "nodes/greet.ts"
    loop = asyncio.get_running_loop()
    node.write_text(greeting("second"))
    loop.call_later(0.05, node.write_text, greeting("third"))
    wanted = await daemon.until("workflow.changed", since=mark)
    complete = await daemon.until("rollout.complete", since=mark)
    while await answer(testbed, namespace) != {"greet": "third"}:
        wanted = await daemon.until("rollout.complete", since=daemon.lines.index(complete) + 1)
        complete = wanted
    digest = (await deployment(testbed, namespace))["metadata"]["annotations"]["pdwatch.dev/source-digest"]
    assert digest == complete["source_digest"]


async def test_a_touched_file_builds_and_applies_nothing(daemon: Daemon, hello: Path):
    mark = daemon.mark
    os.utime(hello / "nodes/greet.ts")
    await daemon.until("workflow.unchanged", since=mark, cause="save")
    assert set(daemon.events(since=mark, workflow="hello")) == {"workflow.unchanged"}


async def test_a_field_that_somebody_changes_is_reported_and_put_right(
    daemon: Daemon, namespace: str, testbed: Testbed
):
    mark = daemon.mark
    await testbed.kubectl("scale", "deployment", "hello", "--replicas=2", "-n", namespace)
    line = await daemon.until("deploy.drifted", since=mark)
    assert "spec.replicas" in line["fields"]
    await daemon.until("deploy.applied", since=mark, cause="drifted")
    assert (await deployment(testbed, namespace))["spec"]["replicas"] == 1


async def test_directories_that_come_and_go_are_followed(
    daemon: Daemon, hello: Path, namespace: str, testbed: Testbed
):
    mark = daemon.mark
    other = shutil.copytree(hello, hello.parent / "other")
    (other / "workflow.yaml").write_text(HELLO.replace("name: hello", "name: other"))
    await daemon.until("workflow.found", since=mark, directory=str(other))
    await daemon.until("rollout.complete", since=mark, workflow="other")
    assert await answer(testbed, namespace, "other") == {"greet": "first"}

    mark = daemon.mark
    shutil.rmtree(other)
    await daemon.until("workflow.removed", since=mark, directory=str(other))
    assert await answer(testbed, namespace, "other") == {"greet": "first"}


async def test_a_secret_reaches_the_workflow_and_nothing_else(
    hello: Path, namespace: str, environment: Mapping[str, str], testbed: Testbed
):
    canary = "canary-6f1d1c0b"
    (hello / ".secrets.yaml").write_text(f"bird: {{token: {canary}}}\n")
    (hello / "nodes/greet.ts").write_text(
        "export default (ctx: any) => { ctx.log.info('secrets', ctx.secrets);"
        " return Promise.resolve(ctx.secrets.bird.token.length); }\n"
    )
    async with running_daemon(
        hello.parent, "--secrets", f"--namespace={namespace}", environment=environment, log_level="debug"
    ) as daemon:
        complete = await daemon.until("rollout.complete", workflow="hello")
        assert await answer(testbed, namespace) == {"greet": len(canary)}

        mark = daemon.mark
        (hello / ".secrets.yaml").write_text(f"bird: {{token: {canary}\nother: [{canary}\n")
        await daemon.until("reconcile.failed", since=mark)
        assert await daemon.stop() == 0

    assert canary not in "".join(daemon.raw)
    assert canary not in json.dumps(await deployment(testbed, namespace))
    assert canary not in await testbed.kubectl("logs", "-n", namespace, "deployment/hello")
    assert canary.encode() not in await saved_image(testbed, complete["image"])


async def saved_image(testbed: Testbed, reference: str) -> bytes:
    """Return the workflow's own layers and config as ``docker save`` writes them."""
    process = await asyncio.create_subprocess_exec(
        *("docker", "save", reference), env=testbed.environment, stdout=asyncio.subprocess.PIPE
    )
    archive, _ = await process.communicate()
    assert process.returncode == 0
    assert b"greet.ts" in archive
    return archive


async def test_the_pod_is_confined(daemon: Daemon, namespace: str, testbed: Testbed):
    pods = json.loads(
        await testbed.kubectl(
            "get", "pods", "-n", namespace, "-l", "app.kubernetes.io/name=hello", "-o", "json"
        )
    )
    pod = pods["items"][0]
    assert pod["spec"]["runtimeClassName"] == "gvisor"
    probe = (
        "const read = (path) => Deno.readTextFileSync(path);"
        " console.log(JSON.stringify("
        "{uid: Deno.uid(), kernel: read('/proc/version'), mounts: read('/proc/mounts')}))"
    )
    seen = json.loads(
        await testbed.kubectl(
            "exec", "-n", namespace, pod["metadata"]["name"], "--", "/bin/deno", "eval", probe
        )
    )
    assert seen["uid"] == 65532
    assert seen["kernel"].startswith("Linux version 4.4.0")  # gVisor's, whatever the host runs
    options = {line.split()[1]: line.split()[3].split(",")[0] for line in seen["mounts"].splitlines()}
    assert (options["/"], options["/app/secrets"], options["/tmp"]) == ("ro", "ro", "rw")


async def test_a_second_daemon_on_the_same_directory_says_who_holds_it(
    daemon: Daemon, hello: Path, namespace: str, environment: Mapping[str, str]
):
    async with running_daemon(hello, f"--namespace={namespace}", environment=environment) as second:
        assert await second.process.wait() == 5
    assert f"process {daemon.process.pid}" in "".join(second.raw)


async def test_without_gvisor_the_daemon_holds_and_says_what_to_do_until_it_is_there(
    hello: Path, namespace: str, environment: Mapping[str, str], testbed: Testbed, tmp_path: Path
):
    runtime_class = tmp_path / "gvisor.json"
    found = json.loads(await testbed.kubectl("get", "runtimeclass", "gvisor", "-o", "json"))
    found["metadata"] = {"name": "gvisor"}
    runtime_class.write_text(json.dumps(found))
    await testbed.kubectl("delete", "runtimeclass", "gvisor")
    try:
        async with running_daemon(
            hello.parent, f"--namespace={namespace}", environment=environment
        ) as daemon:
            held = await daemon.until("workflow.held", reason="gvisor-missing")
            assert held["remedy"]
            assert "deploy.applied" not in daemon.events()
            await testbed.kubectl("apply", "-f", str(runtime_class))
            await daemon.until("rollout.complete", workflow="hello")
    finally:
        await testbed.kubectl("apply", "-f", str(runtime_class))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
async def test_a_signal_ends_the_daemon_cleanly(daemon: Daemon, number: signal.Signals):
    assert await daemon.stop(number) == 0
    line = await daemon.until("daemon.stopping")
    assert line["signal"] == number.name
    assert daemon.events()[-1] == "daemon.stopped"
