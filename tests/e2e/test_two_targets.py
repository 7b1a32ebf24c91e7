"""One ``pdwatch run`` with a root on this machine and one in the cluster, and roots that move between."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.cli.command import pdwatch
from tests.e2e.daemon import running_daemon
from tests.e2e.dev import Dev, gone
from tests.e2e.test_reload import make_workflow, save, say
from tests.test_daemon import nowhere

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.e2e.daemon import Daemon
    from tests.testbed import Testbed

ACTED = ("workflow.changed", "build.succeeded", "deploy.applied")


@pytest.fixture
def environment(testbed: Testbed, tmp_path: Path) -> Mapping[str, str]:
    return {"KUBECONFIG": str(testbed.kubeconfig), "DOCKER_HOST": testbed.docker_host, "XDG_RUNTIME_DIR": ""}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return make_workflow(tmp_path / "here/hello", "here, first")


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return make_workflow(tmp_path / "there/hello", "there, first")


def settings_for(tmp_path: Path, namespace: str, **targets: str | None) -> dict[str, Any]:
    """Return settings with a root for each directory; None leaves its target to the default."""
    roots = [
        {"path": str(tmp_path / directory), **({"target": target} if target else {})}
        for directory, target in targets.items()
    ]
    return {"roots": roots, "namespace": namespace, "http": {"socket": str(tmp_path / "socket")}}


async def said_here(daemon: Daemon) -> str:
    """Return what the workflow on this machine says."""
    url = (await daemon.until("endpoint.opened"))["url"]
    async with aiohttp.ClientSession() as session, session.get(f"{url}/run") as response:
        said: str = (await response.json())["outputs"]["greet"]
        return said


async def said_there(testbed: Testbed, namespace: str) -> str:
    """Return what the workflow in the cluster says."""
    said: str = json.loads(await testbed.pod_http(namespace, "hello", "/run"))["outputs"]["greet"]
    return said


async def test_the_same_name_runs_here_and_there_each_is_saved_by_itself_and_then_they_change_places(
    tmp_path: Path, namespace: str, environment: Mapping[str, str], testbed: Testbed, here: Path, there: Path
):
    settings = settings_for(tmp_path, namespace, here="local", there=None)
    file = save(tmp_path / "settings.yaml", settings)
    async with running_daemon(f"--config={file}", environment=environment) as daemon:
        first = {
            target: await daemon.until("rollout.complete", workflow="hello", target=target)
            for target in ("local", "kubernetes")
        }
        assert {line["namespace"] for line in first.values()} == {namespace}
        for root, target in ((here, "local"), (there, "kubernetes")):
            since = daemon.mark
            say(root, f"{root.parent.name}, second")
            await daemon.until("rollout.complete", since=since, target=target)
            acted = [line for line in daemon.lines[since:] if line["event"] in ACTED]
            assert [(line["event"], line["target"]) for line in acted] == [(each, target) for each in ACTED]
        assert await said_here(daemon) == "here, second"
        assert await said_there(testbed, namespace) == "there, second"

        ended = await pdwatch("status", "--socket", tmp_path / "socket", "-o", "json")
        rows = {row["target"]: row for row in json.loads(ended.out)}
        assert rows["local"]["directory"] == str(here)
        assert rows["local"]["url"].startswith("http://127.0.0.1:")
        assert (rows["kubernetes"]["directory"], rows["kubernetes"]["url"]) == (str(there), None)
        assert {row["answer"] for row in rows.values()} == {"yes"}
        for target in ("local", "kubernetes"):
            socket = ["--socket", tmp_path / "socket"] if target == "local" else []
            flags = ["-n", namespace, "--target", target, *socket, "-o", "json"]
            found = json.loads((await pdwatch("status", "hello", *flags, environ=environment)).out)
            assert (found["target"], found["url"], found["ready"]) == (target, rows[target]["url"], True)

        since = daemon.mark
        save(file, settings_for(tmp_path, namespace, here=None, there="local"))
        assert (await daemon.until("settings.reloaded", since=since))["changed"] == "roots"
        for target, root in (("local", here), ("kubernetes", there)):
            removed = await daemon.until("workflow.removed", since=since, target=target)
            assert removed["directory"] == str(root)
        for target in ("local", "kubernetes"):
            applied = await daemon.until("deploy.applied", since=since, target=target)
            digest = applied["source_digest"]
            await daemon.until("rollout.complete", since=since, target=target, source_digest=digest)
        assert await said_here(daemon) == "there, second"
        assert await said_there(testbed, namespace) == "here, second"
        assert await daemon.stop() == 0


async def test_a_root_that_moves_leaves_what_ran_where_it_was(
    tmp_path: Path, namespace: str, environment: Mapping[str, str], testbed: Testbed, there: Path
):
    file = save(tmp_path / "settings.yaml", settings_for(tmp_path, namespace, there=None))
    async with running_daemon(f"--config={file}", environment=environment) as daemon:
        await daemon.until("rollout.complete", target="kubernetes")
        save(file, {**settings_for(tmp_path, namespace, there=None), "target": "local"})
        assert (await daemon.until("settings.reloaded"))["changed"] == "target"
        complete = await daemon.until("rollout.complete", target="local")
        assert complete["namespace"] == namespace
        say(there, "second")
        await daemon.until("rollout.complete", since=daemon.lines.index(complete) + 1, target="local")
        assert await said_here(daemon) == "second"
        assert await said_there(testbed, namespace) == "there, first"


async def test_without_a_kubeconfig_what_runs_here_goes_on_and_the_rest_follows_once_there_is_one(
    tmp_path: Path, namespace: str, environment: Mapping[str, str], here: Path, there: Path
):
    kubeconfig = tmp_path / "kubeconfig"
    file = save(tmp_path / "settings.yaml", settings_for(tmp_path, namespace, here="local", there=None))
    without = {**environment, "KUBECONFIG": str(kubeconfig)}
    async with running_daemon(f"--config={file}", environment=without) as daemon:
        unavailable = await daemon.until("target.unavailable", target="kubernetes")
        assert "there is no kubeconfig" in unavailable["message"]
        await daemon.until("daemon.synced")
        since = daemon.mark
        say(here, "second")
        await daemon.until("rollout.complete", since=since, target="local")
        ended = await pdwatch("status", "--socket", tmp_path / "socket", "-o", "json")
        (waiting,) = [row for row in json.loads(ended.out) if row["directory"] == str(there)]
        assert (waiting["standing"], waiting["why"]) == ("failing", unavailable["message"])
        health = await pdwatch("health", "--ready", "--socket", tmp_path / "socket")
        assert health.status == 1
        assert health.out.startswith("healthy, not ready: nothing is heard of target kubernetes")

        kubeconfig.symlink_to(environment["KUBECONFIG"])
        daemon.process.send_signal(signal.SIGHUP)
        await daemon.until("target.recovered", target="kubernetes")
        await daemon.until("rollout.complete", target="kubernetes")
        assert (await pdwatch("health", "--ready", "--socket", tmp_path / "socket")).status == 0


async def test_a_reload_that_newly_needs_a_cluster_opens_it_or_is_refused_with_the_reason(
    tmp_path: Path, namespace: str, environment: Mapping[str, str], here: Path, there: Path
):
    settings = settings_for(tmp_path, namespace, here="local")
    file = save(tmp_path / "settings.yaml", settings)
    both = settings_for(tmp_path, namespace, here="local", there=None)
    async with running_daemon(f"--config={file}", environment=environment) as daemon:
        await daemon.until("rollout.complete", target="local")
        save(file, {**both, "context": "nowhere"})
        invalid = await daemon.until("settings.invalid")
        assert "there is no context nowhere" in invalid["message"]
        assert "admin" in invalid["remedy"]
        since = daemon.mark
        say(here, "second")
        await daemon.until("rollout.complete", since=since, target="local")
        save(file, both)
        reloaded = await daemon.until("settings.reloaded")
        assert (reloaded["changed"], reloaded.get("waiting")) == ("roots", None)
        await daemon.until("rollout.complete", target="kubernetes")
        await daemon.until("cluster.pinned")


async def test_a_cluster_that_is_down_holds_up_neither_what_runs_here_nor_a_reload(
    tmp_path: Path, here: Path, there: Path
):
    file = save(tmp_path / "settings.yaml", settings_for(tmp_path, "dev", here="local", there=None))
    async with running_daemon(f"--config={file}", environment=nowhere(tmp_path)) as daemon:
        await daemon.until("watch.disconnected", resource="deployments")
        await daemon.until("rollout.complete", target="local")
        since = daemon.mark
        say(here, "second")
        await daemon.until("rollout.complete", since=since, target="local")
        assert "daemon.synced" not in daemon.events()
        save(file, settings_for(tmp_path, "dev", here="local"))
        await daemon.until("settings.reloaded")
        await daemon.until("workflow.removed", directory=str(there))
        await daemon.until("daemon.synced")
        assert await daemon.stop() == 0


async def test_when_the_last_root_leaves_this_machine_its_engine_ends_and_the_next_one_starts_it_again(
    tmp_path: Path, namespace: str, environment: Mapping[str, str], here: Path, there: Path
):
    (here / ".secrets.yaml").write_text("tracker: {token: canary}\n")
    both = settings_for(tmp_path, namespace, here="local", there=None)
    file = save(tmp_path / "settings.yaml", both)
    async with running_daemon(f"--config={file}", environment=environment) as daemon:
        dev = Dev(daemon=daemon, url=(await daemon.until("endpoint.opened"))["url"])
        await daemon.until("rollout.complete", target="local")
        (engine,) = dev.engines()
        ended = os.pidfd_open(engine)
        save(file, settings_for(tmp_path, namespace, there=None))
        await daemon.until("target.closed", target="local")
        await gone(ended)
        os.close(ended)
        with pytest.raises(aiohttp.ClientConnectionError):
            await dev.run()
        since = daemon.mark
        save(file, both)
        await daemon.until("secrets.applied", since=since, target="local")
        await daemon.until("rollout.complete", since=since, target="local")
        assert await dev.run() == {"greet": "here, first"}
        assert await daemon.stop() == 0
