from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pdwatch.adapters.kubernetes.cluster import APPLY_PATCH, ApiCluster
from pdwatch.adapters.kubernetes.connection import connect
from pdwatch.core.drift import drift
from pdwatch.core.manifests import manifests, secret
from pdwatch.core.model import DeploymentOptions, ImageRef, Resources, WorkflowSpec
from pdwatch.errors import (
    ApplyConflictError,
    ApplyRejectedError,
    ClusterUnavailableError,
    ForbiddenError,
    GvisorMissingError,
    NamespaceMissingError,
    UnauthorizedError,
)
from tests.adapters.api_proxy import api_proxy, kubeconfig_through
from tests.adapters.kubeconfigs import kubeconfig, service_account, with_user
from tests.adapters.scripted_server import KUBE_SYSTEM, answer, scripted_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.core.model import Manifest
    from tests.testbed.client import Testbed

IMAGE = ImageRef(repository="hello", tag="1-0-abababababab")
DIGEST = "sha256:" + "ab" * 32


def hello(namespace: str, **options: Any) -> tuple[Manifest, Manifest]:
    """The Deployment and the Service of a workflow; without pods, which these tests don't need."""
    spec = WorkflowSpec(
        name="hello",
        version="1.0",
        triggers=(),
        nodes=(),
        deployment=DeploymentOptions(**{"replicas": 0, **options}),
    )
    service, deployment = manifests(spec, digest=DIGEST, image=IMAGE, namespace=namespace)
    return deployment, service


@pytest.fixture
async def api(testbed: Testbed) -> AsyncIterator[Api]:
    async with connect(kubeconfig=testbed.kubeconfig) as api:
        yield api


@pytest.fixture
def cluster(api: Api) -> ApiCluster:
    return ApiCluster(api)


async def test_what_is_applied_is_what_the_api_server_returns_then_and_later(
    api: Api, cluster: ApiCluster, namespace: str
) -> None:
    deployment, service = hello(namespace)
    for manifest in (deployment, service):
        assert drift(manifest, await cluster.apply(manifest)) == ()
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    assert drift(deployment, await api.request("GET", f"{path}/hello")) == ()
    assert drift(deployment, (await api.request("GET", path))["items"][0]) == ()
    assert drift(service, await api.request("GET", f"/api/v1/namespaces/{namespace}/services/hello")) == ()


async def test_applying_the_same_again_changes_nothing(cluster: ApiCluster, namespace: str) -> None:
    deployment, service = hello(namespace)
    once = await cluster.apply(service)
    again = await cluster.apply(service)
    assert again["metadata"]["resourceVersion"] == once["metadata"]["resourceVersion"]
    await cluster.apply(deployment)
    # Its resourceVersion moves with its status, which others write.
    assert (await cluster.apply(deployment))["metadata"]["generation"] == 1


AMOUNTS = [
    *("500m", "0.5", ".5", "1.", "1000m", "1.5", "1e3", "10e2", "15e-1", "1E", "1500", "100000k", "99999m"),
    *(
        "64Mi",
        "1024Mi",
        "0.25Gi",
        "1.5Gi",
        "0.1Gi",
        "1Ki",
        "0.5Ki",
        "1023Ki",
        "1048576Ki",
        "64M",
        "1n",
        "0.1n",
    ),
]


async def test_no_amount_that_a_workflow_may_ask_for_looks_like_drift(api: Api, namespace: str) -> None:
    """A dry run has the API server answer as if it stored the object."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/hello"
    query = {"fieldManager": "pdwatch", "dryRun": "All"}
    for amount in AMOUNTS:
        resources = Resources(requests={"memory": amount, "cpu": amount}, limits={"memory": amount})
        deployment, _ = hello(namespace, resources=resources)
        found = await api.request("PATCH", path, query=query, body=deployment, content_type=APPLY_PATCH)
        assert drift(deployment, found) == ()
        (wanted,), (returned,) = (
            each["spec"]["template"]["spec"]["containers"] for each in (deployment, found)
        )
        assert returned["resources"] == wanted["resources"]


@pytest.mark.parametrize(
    ("command", "paths"),
    [
        pytest.param("scale deployment hello --replicas=2", ["spec.replicas"], id="scale"),
        pytest.param(
            "set image deployment/hello hello=nginx",
            ['spec.template.spec.containers[name="hello"].image'],
            id="set image",
        ),
        pytest.param(
            "label deployment hello app.kubernetes.io/version=9 --overwrite",
            ["metadata.labels.app.kubernetes.io/version"],
            id="label",
        ),
        pytest.param(
            "annotate deployment hello pdwatch.dev/image-",
            ["metadata.annotations.pdwatch.dev/image"],
            id="annotate",
        ),
        pytest.param("label deployment hello team=red", [], id="a label of somebody's own"),
        pytest.param(
            "set resources deployment hello --limits=cpu=0.5,memory=262144Ki", [], id="the same amounts"
        ),
        pytest.param(
            "set resources deployment hello --limits=cpu=2",
            ['spec.template.spec.containers[name="hello"].resources.limits.cpu'],
            id="other amounts",
        ),
    ],
)
async def test_a_change_by_kubectl_is_named_and_put_right_by_force(
    api: Api, cluster: ApiCluster, namespace: str, testbed: Testbed, command: str, paths: list[str]
) -> None:
    deployment, _ = hello(namespace)
    await cluster.apply(deployment)
    await testbed.kubectl(*command.split(), "-n", namespace)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/hello"
    assert [change.path for change in drift(deployment, await api.request("GET", path))] == paths
    assert drift(deployment, await cluster.apply(deployment, force=True)) == ()


async def test_a_field_that_another_manager_owns_is_a_conflict_that_names_both(
    cluster: ApiCluster, namespace: str, testbed: Testbed
) -> None:
    deployment, _ = hello(namespace)
    await cluster.apply(deployment)
    await testbed.kubectl("set", "image", "deployment/hello", "hello=nginx", "-n", namespace)
    with pytest.raises(ApplyConflictError) as caught:
        await cluster.apply(deployment)
    assert f"deployments/hello in namespace {namespace}: kubectl" in caught.value.message
    assert caught.value.fields["managers"]
    assert caught.value.fields["fields"] == 'spec.template.spec.containers[name="hello"].image'
    assert "--force-conflicts" in str(caught.value.remedy)


async def test_a_deployment_that_was_not_pdwatch_s_is_not_taken_over(
    cluster: ApiCluster, namespace: str, testbed: Testbed
) -> None:
    await testbed.kubectl("create", "deployment", "hello", "--image=nginx", "--replicas=0", "-n", namespace)
    deployment, _ = hello(namespace)
    with pytest.raises(ApplyConflictError, match="kubectl"):
        await cluster.apply(deployment)


async def test_an_immutable_field_is_named_with_the_way_out(
    cluster: ApiCluster, namespace: str, testbed: Testbed
) -> None:
    await testbed.kubectl("create", "deployment", "hello", "--image=nginx", "--replicas=0", "-n", namespace)
    deployment, _ = hello(namespace)
    with pytest.raises(ApplyRejectedError, match=r"spec\.selector") as caught:
        await cluster.apply(deployment, force=True)
    assert f"delete deployments/hello in namespace {namespace}" in str(caught.value.remedy)


async def test_an_invalid_manifest_is_rejected_with_every_field(cluster: ApiCluster, namespace: str) -> None:
    deployment, _ = hello(namespace, replicas=-1)
    deployment["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = "Sometimes"
    with pytest.raises(ApplyRejectedError) as caught:
        await cluster.apply(deployment)
    assert "spec.replicas" in caught.value.message
    assert "spec.template.spec.containers[0].imagePullPolicy" in caught.value.message
    assert not caught.value.retryable


async def test_a_missing_namespace_is_an_error_that_says_how_to_create_it(cluster: ApiCluster) -> None:
    deployment, _ = hello("no-such-namespace")
    with pytest.raises(NamespaceMissingError, match="namespace no-such-namespace does not exist") as caught:
        await cluster.apply(deployment)
    assert "pdwatch cluster check -n no-such-namespace --fix" in str(caught.value.remedy)
    assert caught.value.retryable


async def test_a_quota_is_an_error_in_the_server_s_words(
    cluster: ApiCluster, namespace: str, testbed: Testbed
) -> None:
    await testbed.kubectl("create", "quota", "few", "--hard=count/deployments.apps=20", "-n", namespace)

    async def deploy_many() -> None:
        for number in range(1000):  # the API server heeds a new quota a moment later
            deployment, _ = hello(namespace)
            deployment["metadata"]["name"] = f"hello-{number}"
            await cluster.apply(deployment)

    with pytest.raises(ForbiddenError, match="quota") as caught:
        await deploy_many()
    assert "quota" in str(caught.value.remedy)


async def test_a_user_without_rights_is_told_which_one_is_missing(
    namespace: str, testbed: Testbed, tmp_path: Path
) -> None:
    user = await service_account(testbed, namespace, "default")
    async with connect(kubeconfig=with_user(testbed, tmp_path / "config", user)) as api:
        deployment, _ = hello(namespace)
        with pytest.raises(ForbiddenError, match=':default" cannot patch resource "deployments"') as caught:
            await ApiCluster(api).apply(deployment)
    assert "grant patch on deployments" in str(caught.value.remedy)


async def test_a_wrong_token_is_not_accepted_and_not_shown(testbed: Testbed, tmp_path: Path) -> None:
    path = with_user(testbed, tmp_path / "config", {"token": "canary-token"})
    async with connect(kubeconfig=path) as api:
        with pytest.raises(UnauthorizedError, match="does not accept") as caught:
            await ApiCluster(api).require_gvisor()
    assert "canary-token" not in f"{caught.value.message} {caught.value.remedy} {caught.value.fields}"


async def test_a_certificate_of_an_unknown_authority_is_not_trusted(testbed: Testbed, tmp_path: Path) -> None:
    config = yaml.safe_load(testbed.kubeconfig.read_text())
    for each in config["clusters"]:
        each["cluster"].pop("certificate-authority-data")
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    async with connect(kubeconfig=tmp_path / "config") as api:
        with pytest.raises(ClusterUnavailableError, match="certificate that can't be trusted") as caught:
            await ApiCluster(api).require_gvisor()
    assert "certificate-authority" in str(caught.value.remedy)


async def test_a_secret_s_values_arrive_and_are_in_no_error(
    api: Api, cluster: ApiCluster, namespace: str
) -> None:
    await cluster.apply(secret("hello", namespace=namespace, values={"github.json": b"\x00\xff"}))
    found = await api.request("GET", f"/api/v1/namespaces/{namespace}/secrets/hello-secrets")
    assert found["data"] == {"github.json": "AP8="}
    with pytest.raises(ApplyRejectedError) as caught:
        await cluster.apply(secret("hello", namespace=namespace, values={"no key": b"canary-value"}))
    assert "canary" not in caught.value.message
    assert "Y2FuYXJ5" not in caught.value.message


async def test_gvisor_is_found_on_the_testbed(cluster: ApiCluster) -> None:
    await cluster.require_gvisor()


async def test_a_cluster_without_gvisor_holds_with_the_remedy(tmp_path: Path) -> None:
    """The testbed must keep its RuntimeClass, so a script answers as an API server without one does."""
    missing = {"message": 'runtimeclasses.node.k8s.io "gvisor" not found', "reason": "NotFound", "code": 404}
    async with (
        scripted_server([KUBE_SYSTEM, answer(404, missing)]) as server,
        connect(kubeconfig=kubeconfig(tmp_path / "config", server.url)) as api,
    ):
        with pytest.raises(GvisorMissingError, match="no RuntimeClass gvisor") as caught:
            await ApiCluster(api).require_gvisor()
    assert "https://gvisor.dev" in str(caught.value.remedy)
    assert caught.value.exit_code == 5


async def test_gvisor_that_was_found_is_looked_for_again_only_when_there_is_a_doubt(
    testbed: Testbed, tmp_path: Path
) -> None:
    async with (
        api_proxy(testbed) as proxy,
        connect(kubeconfig=kubeconfig_through(testbed, tmp_path / "config", proxy)) as api,
    ):
        cluster = ApiCluster(api)

        async def asked() -> int:
            proxy.requests.clear()
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(cluster.require_gvisor())
            return sum("runtimeclasses" in request for request in proxy.requests)

        assert await asked() == 1, "all at once ask once"
        assert await asked() == 0
        cluster.doubt()  # as after a rollout that has stalled
        assert await asked() == 1
        api.guard.doubt()  # as after a connection that broke
        assert await asked() == 1
        assert await asked() == 0


@pytest.mark.parametrize(
    "before",
    [
        pytest.param([], id="which cluster it is"),
        pytest.param([KUBE_SYSTEM], id="whether there is gVisor"),
    ],
)
async def test_what_an_api_server_fails_to_answer_is_told_to_all_who_wait_and_asked_again_by_the_next(
    tmp_path: Path, before: list[bytes]
) -> None:
    unavailable = answer(503, {"kind": "Status", "message": "etcd is down"})
    script = [*before, unavailable, *([] if before else [KUBE_SYSTEM]), answer(200, {})]
    async with (
        scripted_server(script) as server,
        connect(kubeconfig=kubeconfig(tmp_path / "config", server=server.url)) as api,
    ):
        cluster = ApiCluster(api)
        failed = await asyncio.gather(*(cluster.require_gvisor() for _ in "abcde"), return_exceptions=True)
        assert [str(each) for each in failed] == [str(failed[0])] * 5
        assert isinstance(failed[0], ClusterUnavailableError)
        assert len(server.requests) == len(before) + 1
        await cluster.require_gvisor()


async def test_a_pod_of_the_deployment_satisfies_the_restricted_pod_security_standard(
    cluster: ApiCluster, namespace: str
) -> None:
    """What https://kubernetes.io/docs/concepts/security/pod-security-standards/ asks of "restricted"."""
    deployment, _ = hello(namespace)
    pod = (await cluster.apply(deployment))["spec"]["template"]["spec"]
    context, container = pod["securityContext"], pod["containers"][0]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & {key for key, value in pod.items() if value}
    assert {kind for volume in pod["volumes"] for kind in volume} - {"name"} <= {"secret", "emptyDir"}
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert json.dumps(pod).count("privileged") == 0
