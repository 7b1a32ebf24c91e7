"""Without any one right of config/rbac.yaml: what the check says, and what whoever needs the right says."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pdwatch.adapters.kubernetes.checks import Outcome, check_cluster
from pdwatch.adapters.kubernetes.connection import connect
from pdwatch.adapters.kubernetes.pods import ApiPodLogs, pod_events
from pdwatch.core.rights import CLUSTER_RIGHTS, NAMESPACE_RIGHTS
from pdwatch.errors import ForbiddenError
from tests.adapters.kubeconfigs import with_user
from tests.cli.command import pdwatch
from tests.e2e.daemon import running_daemon
from tests.rbac import RBAC, objects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.core.rights import Right
    from tests.testbed.client import Testbed

LEARNS_S = 30
"""How long the API server may take to learn of a role; a bound, not an expectation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One verb on one resource."""

    right: Right
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.right}"

    @property
    def user(self) -> str:
        """The service account that has every right but this."""
        resource = str(self.right).replace("/", ".")
        return f"no-{self.verb}-{resource}"


RIGHTS = (*NAMESPACE_RIGHTS, *CLUSTER_RIGHTS)
PAIRS = {
    str(pair): pair for right in RIGHTS for verb in right.verbs if (pair := Pair(right=right, verb=verb))
}


def without(pair: Pair, rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rules less one verb on one resource."""
    kept = []
    for rule in rules:
        concerned = (rule["apiGroups"], rule["resources"]) == ([pair.right.group], [pair.right.resource])
        verbs = [verb for verb in rule["verbs"] if not (concerned and verb == pair.verb)]
        kept += [rule | {"verbs": verbs}] if verbs else []
    return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """A namespace with a service account for each right, which has all the others."""

    testbed: Testbed
    namespace: str

    def kubectl(self, *arguments: str, document: str | None = None) -> str:
        return subprocess.run(
            ["kubectl", *arguments],
            input=document,
            env=self.testbed.environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def manifests(self) -> str:
        namespaced, cluster = (each["rules"] for each in objects(RBAC) if each["kind"] == "ClusterRole")
        found: list[dict[str, Any]] = [
            {"apiVersion": "v1", "kind": "Namespace", **self._named(self.namespace)}
        ]
        for pair in PAIRS.values():
            found.append({"apiVersion": "v1", "kind": "ServiceAccount", **self._named(pair.user)})
            found.append(self._rbac("Role", pair.user, rules=without(pair, namespaced)))
            found.append(self._binding("Role", pair.user, [pair.user]))
        everywhere = f"least-privilege-{self.namespace}"
        lucky = [pair.user for pair in PAIRS.values() if pair.right not in CLUSTER_RIGHTS]
        found.append(self._rbac("ClusterRole", everywhere, rules=cluster))
        found.append(self._binding("ClusterRole", everywhere, lucky))
        return yaml.safe_dump_all(found)

    def kubeconfig(self, pair: Pair, directory: Path) -> Path:
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{pair.user}/token"
        request = '{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}'
        token = json.loads(self.kubectl("create", "--raw", path, "--filename=-", document=request))
        user = {"token": token["status"]["token"]}
        return with_user(self.testbed, directory / "limited", user, namespace=self.namespace)

    def _named(self, name: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": self.namespace}}

    def _rbac(self, kind: str, name: str, **fields: Any) -> dict[str, Any]:
        return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, **self._named(name), **fields}

    def _binding(self, kind: str, name: str, users: list[str]) -> dict[str, Any]:
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
        subjects = [{"kind": "ServiceAccount", "name": user, "namespace": self.namespace} for user in users]
        return self._rbac(f"{kind}Binding", name, roleRef=role, subjects=subjects)


@pytest.fixture(scope="module")
def users(testbed: Testbed) -> Iterator[Users]:
    users = Users(testbed=testbed, namespace=f"test-{secrets.token_hex(4)}")
    document = users.manifests()
    users.kubectl("apply", "--server-side", "--filename=-", document=document)
    yield users
    users.kubectl("delete", "--filename=-", "--wait=false", document=document)


@pytest.fixture
async def kubeconfig(users: Users, pair: Pair, tmp_path: Path) -> Path:
    """The kubeconfig of the user who lacks ``pair``, once the API server knows of all the other rights."""
    path = users.kubeconfig(pair, tmp_path)
    async with asyncio.timeout(LEARNS_S):
        while len(await lacking(path, users.namespace)) > 1:
            pass
    return path


async def lacking(kubeconfig: Path, namespace: str) -> tuple[str, ...]:
    """Return what the check of rights says is missing."""
    async with connect(kubeconfig=kubeconfig) as api:
        checks = [each async for each in check_cluster(api, namespace=namespace, create_namespace=False)]
    (rights,) = (each for each in checks if each.name == "rights")
    if rights.outcome is Outcome.FAILED:
        assert "config/rbac.yaml" in str(rights.remedy)
    return rights.details


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS.keys())
async def test_the_check_names_the_right_that_is_missing(pair: Pair, kubeconfig: Path, users: Users):
    where = "" if pair.right in CLUSTER_RIGHTS else f" in namespace {users.namespace}"
    expected = f"{pair.verb} {pair.right}{where}, needed to {pair.right.why}"
    assert await lacking(kubeconfig, users.namespace) == (expected,)


def workflow(root: Path, name: str) -> Path:
    """A workflow that asks for no pods, with a secret."""
    (root / "nodes").mkdir(parents=True)
    (root / "nodes/greet.ts").write_text("export default () => 'hello';\n")
    (root / ".secrets.yaml").write_text("github: {token: canary}\n")
    (root / "workflow.yaml").write_text(
        f'name: {name}\nversion: "1.0"\ntriggers: [{{type: manual}}]\n'
        "nodes: {greet: {path: ./nodes/greet.ts}}\nedges: []\ndeployment: {replicas: 0}\n"
    )
    return root


def denial(pair: Pair) -> tuple[str, str]:
    """Return what the API server and pdwatch say."""
    resource = pair.right.resource
    return f'cannot {pair.verb} resource "{resource}"', f"grant {pair.verb} on {resource}; config/rbac.yaml"


def pairs(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("pair", [PAIRS[name] for name in names], ids=names)


@pairs(
    "create deployments.apps",
    "patch deployments.apps",
    "create services",
    "patch services",
    "create secrets",
    "patch secrets",
    "get runtimeclasses.node.k8s.io",
)
async def test_deploy_says_which_right_it_lacks(
    pair: Pair, kubeconfig: Path, testbed: Testbed, tmp_path: Path
):
    root = workflow(tmp_path / "hello", f"hello-{secrets.token_hex(4)}")
    environ = {**testbed.variables, "KUBECONFIG": str(kubeconfig)}
    ended = await pdwatch("deploy", root, "--secrets", "--no-build", environ=environ)
    assert ended.status == 1
    said, remedy = denial(pair)
    assert said in ended.err
    assert remedy in ended.err


@pytest.mark.parametrize(
    ("pair", "command"),
    [
        pytest.param(PAIRS[name], command, id=f"{command} without {name}")
        for name, command in (
            ("get deployments.apps", "status"),
            ("list pods", "status"),
            ("list replicasets.apps", "rollback"),
            ("delete deployments.apps", "undeploy"),
            ("delete services", "undeploy"),
            ("delete secrets", "undeploy"),
        )
    ],
)
async def test_a_command_on_what_is_deployed_says_which_right_it_lacks(
    pair: Pair, command: str, kubeconfig: Path, testbed: Testbed, users: Users, tmp_path: Path
):
    name = f"hello-{secrets.token_hex(4)}"
    root = workflow(tmp_path / "hello", name)
    deployed = ("deploy", root, "--secrets", "--no-build", "-n", users.namespace)
    assert (await pdwatch(*deployed, environ=testbed.variables)).status == 0
    ended = await pdwatch(command, name, environ={**testbed.variables, "KUBECONFIG": str(kubeconfig)})
    assert ended.status == 1
    said, remedy = denial(pair)
    assert said in ended.err
    assert remedy in ended.err


@pairs("list deployments.apps", "watch deployments.apps", "list pods", "watch pods")
async def test_the_daemon_s_watch_says_which_right_it_lacks(
    pair: Pair, kubeconfig: Path, environment: Mapping[str, str], tmp_path: Path
):
    root = workflow(tmp_path / "hello", f"hello-{secrets.token_hex(4)}")
    async with running_daemon(root, environment=environment) as daemon:
        line = await daemon.until(
            "watch.disconnected", reason="forbidden", resource=pair.right.resource.partition("/")[0]
        )
    said, remedy = denial(pair)
    assert said in line["message"]
    assert line["remedy"].startswith(remedy)


@pairs("patch deployments.apps", "create services")
async def test_the_daemon_s_apply_says_which_right_it_lacks_and_is_tried_again(
    pair: Pair, environment: Mapping[str, str], tmp_path: Path
):
    root = workflow(tmp_path / "hello", f"hello-{secrets.token_hex(4)}")
    async with running_daemon(root, environment=environment) as daemon:
        line = await daemon.until("deploy.failed")
    said, remedy = denial(pair)
    assert said in line["message"]
    assert line["remedy"].startswith(remedy)
    assert line["retry_in_s"] > 0


@pytest.fixture
def environment(testbed: Testbed, kubeconfig: Path) -> Mapping[str, str]:
    return {"KUBECONFIG": str(kubeconfig), "DOCKER_HOST": testbed.docker_host}


@pairs("get pods", "get pods/log", "list events")
async def test_what_explains_a_pod_says_which_right_it_lacks(
    pair: Pair, kubeconfig: Path, users: Users, testbed: Testbed
):
    pod = f"crashing-{secrets.token_hex(4)}"
    await testbed.kubectl("apply", "--server-side", "--filename=-", document=a_pod(pod, users.namespace))
    async with connect(kubeconfig=kubeconfig) as api:
        with pytest.raises(ForbiddenError) as caught:
            await explained(api, users.namespace, pod)
    said, remedy = denial(pair)
    assert said in caught.value.message
    assert str(caught.value.remedy).startswith(remedy)


async def explained(api: Api, namespace: str, pod: str) -> None:
    """Ask for everything that explains a pod; only a pod that has a container has a log to ask for."""
    await pod_events(api, namespace, pod)
    while True:
        await ApiPodLogs(api).last_lines(namespace, pod)


def a_pod(name: str, namespace: str) -> str:
    """A pod whose only container ends at once."""
    container = {"name": "it", "image": "testbed/pause:1", "command": ["/nothing"]}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"containers": [container], "automountServiceAccountToken": False},
        }
    )
