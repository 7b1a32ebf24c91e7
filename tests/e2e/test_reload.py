"""Settings that change under a daemon that runs: by SIGHUP and by a save, in the middle of a rollout."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.e2e.daemon import running_daemon

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.testbed import Testbed

WORKFLOW = """\
name: {name}
version: "1.0"
triggers: [{{type: manual}}]
nodes: {{greet: {{path: ./nodes/greet.ts}}}}
edges: []
"""


def make_workflow(root: Path, text: str = "first") -> Path:
    """Write a workflow that is called after its directory, and whose only node says ``text``."""
    (root / "nodes").mkdir(parents=True)
    (root / "workflow.yaml").write_text(WORKFLOW.format(name=root.name))
    say(root, text)
    return root


def say(root: Path, text: str) -> None:
    (root / "nodes/greet.ts").write_text(f"export default () => Promise.resolve({json.dumps(text)});\n")


def save(path: Path, settings: Mapping[str, Any]) -> Path:
    """Save settings as careful editors do: a new file, renamed to the old one's name."""
    new = path.with_suffix(".new")
    new.write_text(yaml.safe_dump(dict(settings)))
    new.rename(path)
    return path


@pytest.fixture
def environment(testbed: Testbed, tmp_path: Path) -> Mapping[str, str]:
    return {
        "KUBECONFIG": str(testbed.kubeconfig),
        "DOCKER_HOST": testbed.docker_host,
        "XDG_CONFIG_HOME": str(tmp_path),
    }


async def test_a_save_of_the_file_takes_effect_and_a_rollout_goes_on(
    tmp_path: Path, namespace: str, environment: Mapping[str, str], testbed: Testbed
):
    first = make_workflow(tmp_path / "one/hello")
    make_workflow(tmp_path / "two/late")
    settings = {"roots": [str(tmp_path / "one")], "namespace": namespace}
    (tmp_path / "pdwatch").mkdir()
    file = save(tmp_path / "pdwatch/pdwatch.yaml", settings)
    async with running_daemon(environment=environment, log_level=None) as daemon:
        await daemon.until("rollout.complete", workflow="hello")
        save(file, settings | {"log": {"level": "debug"}, "resync_s": 20})
        reloaded = await daemon.until("settings.reloaded", cause="save")
        assert reloaded["changed"] == "resync_s, log.level"
        await daemon.until("workflow.unchanged", workflow="hello", cause="settings")
        since = daemon.mark
        say(first, "second")
        applied = await daemon.until("deploy.applied", since=since, workflow="hello")
        roots = [str(tmp_path / "one"), {"path": str(tmp_path / "two"), "secrets": True}]
        save(file, settings | {"roots": roots, "builds": 1})
        reloaded = await daemon.until("settings.reloaded", since=since)
        assert reloaded["changed"] == "roots, builds, resync_s, log.level"
        complete = await daemon.until("rollout.complete", since=since, workflow="hello")
        assert complete["generation"] == applied["generation"]
        assert complete["rollout_ms"] > 0
        await daemon.until("rollout.complete", since=since, workflow="late")
        events = daemon.events(since=since, workflow="hello")
        assert events.count("deploy.applied") == 1
        assert "workflow.superseded" not in events
        since = daemon.mark
        save(file, settings | {"roots": [str(tmp_path / "two")]})
        await daemon.until("workflow.removed", since=since, workflow="hello")
        say(first, "third")
        say(tmp_path / "two/late", "second")
        await daemon.until("rollout.complete", since=since, workflow="late")
        assert "deploy.applied" not in daemon.events(since=since, workflow="hello")
        assert await daemon.stop() == 0
    assert json.loads(await testbed.pod_http(namespace, "hello", "/run"))["outputs"] == {"greet": "second"}


async def test_sighup_reloads_tells_what_has_to_wait_and_a_bad_file_leaves_the_old_settings(
    tmp_path: Path, namespace: str, environment: Mapping[str, str]
):
    hello = make_workflow(tmp_path / "workflows/hello")
    settings = {"roots": [str(hello.parent)], "namespace": namespace}
    file = save(tmp_path / "settings.yaml", settings)
    async with running_daemon(f"--config={file}", environment=environment) as daemon:
        await daemon.until("rollout.complete", workflow="hello")
        since = daemon.mark
        file.write_text("roots: [workflows]\nbuilds: many\nnamespce: dev\n")
        invalid = await daemon.until("settings.invalid", cause="save")
        assert invalid["message"] == f"{file}:2:1: builds: must be a whole number"
        assert invalid["problems"] == 2
        await daemon.until(
            "settings.invalid",
            message=f"{file}:3:1: namespce: is not a setting; did you mean namespace?",
        )
        save(file, settings | {"roots": ["~no-such-user/workflows"]})
        await daemon.until(
            "settings.invalid", message=f"{tmp_path}/~no-such-user/workflows is not a directory"
        )
        say(hello, "second")
        await daemon.until("rollout.complete", since=since, workflow="hello", namespace=namespace)
        since = daemon.mark
        save(file, settings | {"context": "another", "secrets": True})
        await daemon.until("settings.reloaded", since=since, changed="secrets", waiting="context")
        daemon.process.send_signal(signal.SIGHUP)
        reloaded = await daemon.until("settings.reloaded", since=since, cause="signal")
        assert "changed" not in reloaded
        assert reloaded["remedy"] == "start pdwatch again for context to take effect"


async def test_a_root_that_cannot_be_claimed_leaves_everything_as_it_was(
    tmp_path: Path, namespace: str, environment: Mapping[str, str]
):
    hello = make_workflow(tmp_path / "workflows/hello")
    settings = {"roots": [str(hello.parent)], "namespace": namespace}
    file = save(tmp_path / "settings.yaml", settings)
    async with running_daemon(f"--config={file}", environment=environment) as daemon:
        await daemon.until("rollout.complete", workflow="hello")
        save(file, settings | {"roots": [str(hello.parent), str(tmp_path / "nowhere")]})
        invalid = await daemon.until("settings.invalid")
        assert str(tmp_path / "nowhere") in invalid["message"]
        async with running_daemon(hello.parent, environment=environment) as other:
            assert await other.process.wait() == 5
        since = daemon.mark
        say(hello, "second")
        await daemon.until("rollout.complete", since=since, workflow="hello")


async def test_a_namespace_that_changes_moves_the_workflow_and_leaves_what_runs(
    tmp_path: Path, namespace: str, environment: Mapping[str, str], testbed: Testbed
):
    hello = make_workflow(tmp_path / "workflows/hello")
    settings = {"roots": [str(hello.parent)], "namespace": f"{namespace}-nowhere"}
    file = save(tmp_path / "settings.yaml", settings)
    async with running_daemon(f"--config={file}", environment=environment) as daemon:
        await daemon.until("deploy.failed", workflow="hello", error="NamespaceMissingError")
        save(file, settings | {"namespace": namespace})
        await daemon.until("workflow.removed", workflow="hello", namespace=f"{namespace}-nowhere")
        await daemon.until("rollout.complete", workflow="hello", namespace=namespace)
