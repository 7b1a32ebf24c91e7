from __future__ import annotations

import json
import os
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from pdwatch.core.rights import CLUSTER_RIGHTS, NAMESPACE_RIGHTS
from tests.adapters.kubeconfigs import exec_plugin, kubeconfig, service_account, with_user
from tests.adapters.scripted_server import answer, scripted_server
from tests.cli.command import pdwatch
from tests.rbac import CLUSTER_WIDE, RBAC, objects

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pdwatch.core.rights import Right
    from tests.testbed.client import Testbed


def outcomes(printed: str) -> dict[str, str]:
    return {each["name"]: each["outcome"] for each in json.loads(printed)["checks"]}


def details(printed: str, name: str) -> list[str]:
    (found,) = (each["details"] for each in json.loads(printed)["checks"] if each["name"] == name)
    return list(found)


async def test_a_cluster_that_can_run_workflows_passes_every_check(testbed: Testbed, namespace: str) -> None:
    ended = await pdwatch("cluster", "check", "-n", namespace, environ=testbed.variables)
    assert ended.status == 0, ended.out + ended.err
    assert [line.split()[:2] for line in ended.out.splitlines()] == [
        ["passed", name] for name in ("api", "gvisor", "namespace", "rights", "secrets", "docker")
    ]


async def test_a_missing_namespace_fails_with_the_remedy_and_fix_creates_it(testbed: Testbed) -> None:
    name = f"test-{secrets.token_hex(4)}"
    ended = await pdwatch("cluster", "check", "-n", name, environ=testbed.variables)
    assert ended.status == 1
    assert f"namespace {name} does not exist" in ended.out
    assert f"pdwatch cluster check -n {name} --fix" in ended.out
    try:
        ended = await pdwatch("cluster", "check", "-n", name, "--fix", environ=testbed.variables)
        assert ended.status == 0, ended.out
        assert f"namespace {name} was missing and has been created" in ended.out
        ended = await pdwatch("cluster", "check", "-n", name, "--fix", environ=testbed.variables)
        assert f"namespace {name} exists" in ended.out
    finally:
        await testbed.kubectl("delete", "namespace", name, "--wait=false")


async def test_a_user_without_any_right_is_told_each_that_is_missing(
    testbed: Testbed, namespace: str, tmp_path: Path
) -> None:
    user = await service_account(testbed, namespace, "default")
    environ = {**testbed.variables, "KUBECONFIG": str(with_user(testbed, tmp_path / "config", user))}
    ended = await pdwatch("cluster", "check", "-n", namespace, "-o", "json", environ=environ)
    assert ended.status == 1
    assert outcomes(ended.out) == {
        "api": "passed",
        "gvisor": "failed",
        "namespace": "info",
        "rights": "failed",
        "secrets": "info",
        "docker": "passed",
    }
    missing = details(ended.out, "rights")
    assert len(missing) == len(NAMESPACE_RIGHTS) + len(CLUSTER_RIGHTS)
    assert f"create, patch services in namespace {namespace}, needed to give workflows an address" in missing


async def test_the_rights_of_rbac_yaml_are_all_that_is_needed(testbed: Testbed, limited: Path) -> None:
    environ = {**testbed.variables, "KUBECONFIG": str(limited)}
    ended = await pdwatch("cluster", "check", "-o", "json", environ=environ)
    assert ended.status == 0, ended.out
    assert outcomes(ended.out)["rights"] == "passed"


async def test_only_the_verbs_that_are_missing_are_listed(
    testbed: Testbed, limited: Path, namespace: str
) -> None:
    patch = '[{"op": "replace", "path": "/rules/0/verbs", "value": ["get", "list"]}]'
    await testbed.kubectl("patch", "clusterrole", f"pdwatch-{namespace}", "--type=json", f"--patch={patch}")
    environ = {**testbed.variables, "KUBECONFIG": str(limited)}
    while not (missing := await missing_rights(environ)):
        pass  # the API server's authorizer learns of the change a moment later
    (line,) = missing
    assert line.startswith(f"create, patch, watch deployments.apps in namespace {namespace}, needed to ")


async def missing_rights(environ: dict[str, str]) -> list[str]:
    return details((await pdwatch("cluster", "check", "-o", "json", environ=environ)).out, "rights")


def rules(rights: Iterable[Right]) -> list[dict[str, Any]]:
    return [
        {"apiGroups": [right.group], "resources": [right.resource], "verbs": list(right.verbs)}
        for right in rights
    ]


def test_rbac_yaml_grants_what_the_check_asks_for_and_nothing_more() -> None:
    granted = {
        each["metadata"]["name"]: each["rules"] for each in objects(RBAC) if each["kind"] == "ClusterRole"
    }
    assert granted == {"pdwatch": rules(NAMESPACE_RIGHTS), "pdwatch-runtimeclasses": rules(CLUSTER_RIGHTS)}


def test_the_cluster_wide_variant_binds_the_same_role_to_the_same_subject() -> None:
    bindings = {each["kind"]: each for each in objects(RBAC) if each["kind"] == "RoleBinding"}
    (everywhere,) = objects(CLUSTER_WIDE)
    assert everywhere["kind"] == "ClusterRoleBinding"
    for field in ("roleRef", "subjects"):
        assert everywhere[field] == bindings["RoleBinding"][field]


@pytest.mark.parametrize(
    ("optional", "outcome", "said"),
    [
        pytest.param(True, "info", "optional Secrets that do not exist: hello-secrets", id="optional"),
        pytest.param(
            False, "failed", "pods wait for Secrets that do not exist: hello-secrets", id="required"
        ),
    ],
)
async def test_a_secret_that_a_workflow_mounts_and_that_is_missing_is_named(
    testbed: Testbed, namespace: str, *, optional: bool, outcome: str, said: str
) -> None:
    await testbed.kubectl("apply", "--filename=-", document=deployment(namespace, optional=optional))
    ended = await pdwatch("cluster", "check", "-n", namespace, "-o", "json", environ=testbed.variables)
    assert outcomes(ended.out)["secrets"] == outcome
    assert said in ended.out
    await testbed.kubectl(
        "create", "secret", "generic", "hello-secrets", "--from-literal=a=canary", "-n", namespace
    )
    ended = await pdwatch("cluster", "check", "-n", namespace, "-o", "json", environ=testbed.variables)
    assert outcomes(ended.out)["secrets"] == "passed"


def deployment(namespace: str, *, optional: bool) -> str:
    """A Deployment without pods, as pdwatch makes it, or as a person has changed it."""
    from pdwatch.core.manifests import deployment as manifest
    from pdwatch.core.model import DeploymentOptions, ImageRef, WorkflowSpec

    spec = WorkflowSpec(
        name="hello", version="1.0", triggers=(), nodes=(), deployment=DeploymentOptions(replicas=0)
    )
    found = manifest(spec, digest="sha256:1", image=ImageRef(repository="a", tag="b"), namespace=namespace)
    found["spec"]["template"]["spec"]["volumes"][0]["secret"]["optional"] = optional
    return json.dumps(found)


async def test_a_namespace_that_is_being_deleted_is_no_place_for_workflows(
    testbed: Testbed, namespace: str
) -> None:
    held = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "namespace": namespace}}
    held["metadata"]["finalizers"] = ["pdwatch.dev/test"]  # type: ignore[index]
    await testbed.kubectl("create", "--filename=-", document=json.dumps(held))
    await testbed.kubectl("delete", "namespace", namespace, "--wait=false")
    ended = await pdwatch("cluster", "check", "-n", namespace, environ=testbed.variables)
    assert ended.status == 1
    assert f"namespace {namespace} is being deleted" in ended.out
    patch = '{"metadata": {"finalizers": null}}'
    await testbed.kubectl("patch", "configmap", "held", "-n", namespace, "--type=merge", f"--patch={patch}")


async def test_without_docker_the_check_says_where_it_looked(testbed: Testbed, namespace: str) -> None:
    environ = {**testbed.variables, "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    ended = await pdwatch("cluster", "check", "-n", namespace, "-o", "json", environ=environ)
    assert ended.status == 1
    assert outcomes(ended.out)["docker"] == "failed"
    assert "unix:///nowhere/docker.sock" in ended.out


@pytest.mark.parametrize("output", ["text", "json"])
async def test_an_api_server_that_can_t_be_reached_ends_the_checks(tmp_path: Path, output: str) -> None:
    environ = {"KUBECONFIG": str(kubeconfig(tmp_path / "config", "https://127.0.0.1:1"))}
    ended = await pdwatch("cluster", "check", "-o", output, environ=environ)
    assert ended.status == 3
    assert "https://127.0.0.1:1 can't be reached: Connection refused" in ended.out
    assert "docker" not in ended.out


async def test_an_api_server_that_refuses_the_credentials_ends_the_checks(tmp_path: Path) -> None:
    async with scripted_server([answer(401, {"message": "Unauthorized"})] * 2) as server:
        environ = {"KUBECONFIG": str(kubeconfig(tmp_path / "config", server.url))}
        ended = await pdwatch("cluster", "check", "-o", "json", environ=environ)
    assert ended.status == 1
    assert outcomes(ended.out) == {"api": "failed"}


async def test_a_cluster_without_gvisor_fails_with_the_remedy(tmp_path: Path) -> None:
    """The testbed must keep its RuntimeClass, so a script answers as an API server without one does."""
    allowed, nothing = answer(201, {"status": {"allowed": True}}), answer(200, {"items": []})
    reviews = [allowed] * sum(len(right.verbs) for right in (*NAMESPACE_RIGHTS, *CLUSTER_RIGHTS))
    script = [
        answer(200, {}),
        answer(404, {"message": "not found"}),
        answer(200, {}),
        *reviews,
        nothing,
        nothing,
    ]
    async with scripted_server(script) as server:
        environ = {"KUBECONFIG": str(kubeconfig(tmp_path / "config", server.url))}
        ended = await pdwatch("cluster", "check", "-o", "json", environ=environ)
    assert ended.status == 1
    assert outcomes(ended.out)["gvisor"] == "failed"
    assert "https://gvisor.dev" in ended.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--context", "elsewhere"], "there is no context elsewhere", id="context"),
        pytest.param(["-n", "Not_A_Name"], "can't be a namespace", id="namespace"),
        pytest.param(["-o", "xml"], "'xml' is not one of", id="output"),
        pytest.param(["--mend"], "No such option", id="unknown flag"),
    ],
)
async def test_wrong_flags_are_refused(tmp_path: Path, arguments: list[str], said: str) -> None:
    environ = {"KUBECONFIG": str(kubeconfig(tmp_path / "config", "https://it"))}
    ended = await pdwatch("cluster", "check", *arguments, environ=environ)
    assert ended.status == 2
    assert said in ended.err


async def test_a_credential_plugin_that_fails_is_an_error_and_no_noise(tmp_path: Path) -> None:
    user = exec_plugin(tmp_path / "plugin", "echo log in first >&2; exit 1")
    environ = {"KUBECONFIG": str(kubeconfig(tmp_path / "config", "https://it", user=user))}
    ended = await pdwatch("cluster", "check", environ=environ)
    assert ended.status == 1
    error, remedy = ended.err.splitlines()
    assert error.startswith(f"error: {tmp_path}/config: the credential plugin {tmp_path}/plugin failed: ")
    assert error.endswith("it ends with exit code 1: log in first")
    assert remedy.startswith("  → run it by hand")


async def test_without_a_kubeconfig_it_says_where_it_looked(tmp_path: Path) -> None:
    environ = {name: "" for name in os.environ if name == "KUBECONFIG"} | {"HOME": str(tmp_path)}
    ended = await pdwatch("cluster", "check", environ=environ)
    assert ended.status == 2
    assert f"{tmp_path}/.kube/config" in ended.err
