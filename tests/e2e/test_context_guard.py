"""Saves go to no context that neither looks local nor is allowed, and to no other cluster than before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.adapters.api_proxy import IDENTITY, api_proxy, kubeconfig_through
from tests.cli.command import pdwatch
from tests.e2e.daemon import running_daemon
from tests.e2e.test_reload import make_workflow, save, say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from tests.adapters.api_proxy import ApiProxy
    from tests.testbed import Testbed

FAR = "0.0.0.0"
"""Leads to this machine, though no one can tell by its looks."""


@pytest.fixture
async def proxy(testbed: Testbed) -> AsyncIterator[ApiProxy]:
    async with api_proxy(testbed) as proxy:
        yield proxy


def environment(testbed: Testbed, kubeconfig: Path) -> Mapping[str, str]:
    return {
        "KUBECONFIG": str(kubeconfig),
        "DOCKER_HOST": testbed.docker_host,
        "XDG_CONFIG_HOME": "/nonexistent",
    }


def writes(proxy: ApiProxy) -> list[str]:
    return [request for request in proxy.requests if not request.startswith("GET")]


async def test_a_context_that_does_not_look_local_is_held_until_the_settings_allow_it(
    tmp_path: Path, namespace: str, testbed: Testbed, proxy: ApiProxy
):
    hello = make_workflow(tmp_path / "workflows/hello")
    far = kubeconfig_through(testbed, tmp_path / "kubeconfig", proxy, host=FAR)
    context = yaml.safe_load(far.read_text())["current-context"]
    settings = {"roots": [str(hello.parent)], "namespace": namespace}
    file = save(tmp_path / "settings.yaml", settings)
    async with running_daemon(f"--config={file}", environment=environment(testbed, far)) as daemon:
        held = await daemon.until("workflow.held", workflow="hello", reason="context-not-allowed")
        assert f"context {context} (http://{FAR}:{proxy.port}) does not look local" in held["message"]
        assert f"allow_contexts: [{context}]" in held["remedy"]
        await daemon.until("daemon.synced")
        assert writes(proxy) == []
        assert "build.succeeded" not in daemon.events()
        save(file, settings | {"allow_contexts": [context]})
        await daemon.until("settings.reloaded", changed="allow_contexts")
        await daemon.until("rollout.complete", workflow="hello")


async def test_deploy_is_held_too_and_told_how_to_go_on(
    tmp_path: Path, namespace: str, testbed: Testbed, proxy: ApiProxy
):
    hello = make_workflow(tmp_path / "hello")
    far = kubeconfig_through(testbed, tmp_path / "kubeconfig", proxy, host=FAR)
    context = yaml.safe_load(far.read_text())["current-context"]
    environ = environment(testbed, far)
    refused = await pdwatch("deploy", hello, "-n", namespace, environ=environ)
    assert refused.status == 5
    assert "does not look local" in refused.err
    assert f"--allow-context={context}" in refused.err
    assert writes(proxy) == []
    allowed = await pdwatch("deploy", hello, "-n", namespace, f"--allow-context={context}", environ=environ)
    assert allowed.status == 0, allowed.err
    by_settings = {**environ, "PDWATCH_ALLOW_CONTEXTS": context, "PDWATCH_NAMESPACE": namespace}
    assert (await pdwatch("deploy", hello, environ=by_settings)).status == 0


async def test_another_cluster_behind_the_same_address_gets_no_save_until_the_first_is_back(
    tmp_path: Path, namespace: str, testbed: Testbed, proxy: ApiProxy
):
    hello = make_workflow(tmp_path / "workflows/hello")
    environ = environment(testbed, kubeconfig_through(testbed, tmp_path / "kubeconfig", proxy))
    async with running_daemon(hello.parent, f"--namespace={namespace}", environment=environ) as daemon:
        await daemon.until("rollout.complete", workflow="hello")
        pinned = await daemon.until("cluster.pinned")
        proxy.lead_elsewhere("another")
        await daemon.until("watch.disconnected", resource="deployments")
        before = writes(proxy)
        since = daemon.mark
        say(hello, "second")
        held = await daemon.until("workflow.held", since=since, workflow="hello", reason="cluster-changed")
        assert pinned["uid"] in held["message"]
        assert "start pdwatch again" in held["remedy"]
        assert writes(proxy) == before
        proxy.lead_elsewhere(None)
        await daemon.until("rollout.complete", since=since, workflow="hello")


async def test_the_cluster_is_identified_by_connections_and_not_by_saves(
    tmp_path: Path, namespace: str, testbed: Testbed, proxy: ApiProxy
):
    hello = make_workflow(tmp_path / "workflows/hello")
    environ = environment(testbed, kubeconfig_through(testbed, tmp_path / "kubeconfig", proxy))
    async with running_daemon(hello.parent, f"--namespace={namespace}", environment=environ) as daemon:
        await daemon.until("rollout.complete", workflow="hello")
        before = proxy.requests.count(f"GET {IDENTITY}")
        assert before > 0
        for text in ("second", "third"):
            since = daemon.mark
            say(hello, text)
            await daemon.until("deploy.applied", since=since, workflow="hello")
        assert proxy.requests.count(f"GET {IDENTITY}") == before
