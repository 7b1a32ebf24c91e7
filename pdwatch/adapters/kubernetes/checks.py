"""Checks that a cluster can run workflows; each failure says what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pdwatch.adapters.kubernetes.cluster import require_runtime_class
from pdwatch.adapters.kubernetes.connection import METADATA_ONLY
from pdwatch.core.names import FIELD_MANAGER, MANAGED_SELECTOR, RUNTIME_CLASS
from pdwatch.core.rights import CLUSTER_RIGHTS, NAMESPACE_RIGHTS
from pdwatch.errors import ForbiddenError, NamespaceMissingError, PdwatchError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.core.rights import Right


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    INFO = "info"
    """Worth knowing, and nothing that keeps workflows from running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check's outcome; ``details`` are lines, such as each right that is missing."""

    name: str
    outcome: Outcome
    message: str
    remedy: str | None = None
    details: tuple[str, ...] = ()


async def check_api(api: Api) -> Check:
    """Check that the API server answers and knows us.

    Raises:
        ClusterUnavailableError: It does not answer.
        UnauthorizedError: It does not accept our credentials.
    """
    version = await api.request("GET", "/version")
    where = f" (context {api.context})" if api.context else ""
    return _passed("api", f"{api.server} answers{where}, Kubernetes {version.get('gitVersion', '?')}")


async def check_cluster(api: Api, *, namespace: str, create_namespace: bool) -> AsyncIterator[Check]:
    """Check everything that workflows need of a cluster that answers, one thing after another.

    Args:
        api: The connection.
        namespace: Where the workflows go.
        create_namespace: Whether to create it when it is missing.
    """
    yield await _checked("gvisor", _gvisor(api))
    yield await _checked("namespace", _namespace(api, namespace, create=create_namespace))
    yield await _checked("rights", _rights(api, namespace))
    yield await _checked("secrets", _secrets(api, namespace))


async def check_docker(ping: Callable[[], Awaitable[str]]) -> Check:
    """Check that Docker answers; ``ping`` says who did, or raises a :class:`PdwatchError`."""

    async def answers() -> Check:
        return _passed("docker", await ping())

    return await _checked("docker", answers())


def failed(name: str, error: PdwatchError) -> Check:
    """Return the outcome of a check that an error has ended."""
    return _failed(name, error.message, error.remedy)


async def _checked(name: str, check: Awaitable[Check]) -> Check:
    try:
        return await check
    except PdwatchError as error:
        return failed(name, error)


async def _gvisor(api: Api) -> Check:
    await require_runtime_class(api)
    return _passed("gvisor", f"RuntimeClass {RUNTIME_CLASS} exists")


async def _namespace(api: Api, namespace: str, *, create: bool) -> Check:
    try:
        found = await api.request("GET", f"/api/v1/namespaces/{namespace}")
    except NamespaceMissingError:
        if not create:
            raise
        await api.request(
            "POST",
            "/api/v1/namespaces",
            query={"fieldManager": FIELD_MANAGER},
            body={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        )
        return _passed("namespace", f"namespace {namespace} was missing and has been created")
    except ForbiddenError:
        return _info("namespace", f"whether namespace {namespace} exists is unknown: no right to look at it")
    if (found.get("status") or {}).get("phase") == "Terminating":
        remedy = "wait for its end and create it again, or choose another with --namespace"
        return _failed("namespace", f"namespace {namespace} is being deleted", remedy)
    return _passed("namespace", f"namespace {namespace} exists")


async def _rights(api: Api, namespace: str) -> Check:
    wanted = [(right, namespace) for right in NAMESPACE_RIGHTS] + [(right, "") for right in CLUSTER_RIGHTS]
    missing: list[str] = []
    for right, where in wanted:
        verbs = [verb for verb in right.verbs if not await _allowed(api, right, verb, where)]
        if verbs:
            scope = f" in namespace {where}" if where else ""
            missing.append(f"{', '.join(verbs)} {right}{scope}, needed to {right.why}")
    if not missing:
        return _passed("rights", "all rights that pdwatch needs are granted")
    return _failed(
        "rights",
        "rights that pdwatch needs are missing",
        "have an administrator bind the roles of config/rbac.yaml to this user",
        details=tuple(missing),
    )


async def _allowed(api: Api, right: Right, verb: str, namespace: str) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "verb": verb,
        "namespace": namespace,
    }
    review = await api.request(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        body={
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        },
    )
    return bool(review["status"]["allowed"])


async def _secrets(api: Api, namespace: str) -> Check:
    """Check the Secrets that deployed workflows mount; only their names are asked for."""
    try:
        deployments = await api.request(
            "GET",
            f"/apis/apps/v1/namespaces/{namespace}/deployments",
            query={"labelSelector": MANAGED_SELECTOR},
        )
        secrets = await api.request("GET", f"/api/v1/namespaces/{namespace}/secrets", accept=METADATA_ONLY)
    except ForbiddenError:
        return _info("secrets", "whether workflows lack Secrets is unknown: no right to list them")
    mounted = {
        volume["secret"]["secretName"]: volume["secret"].get("optional", False)
        for item in deployments["items"]
        for volume in item["spec"]["template"]["spec"].get("volumes") or ()
        if "secret" in volume
    }
    existing = {
        item["metadata"]["name"] for item in secrets["items"] or ()
    }  # null, not [], when there is none
    missing = sorted(mounted.keys() - existing)
    required = [name for name in missing if not mounted[name]]
    if required:
        return _failed(
            "secrets",
            f"pods wait for Secrets that do not exist: {', '.join(required)}",
            "create them, or deploy the workflows with --secrets",
        )
    if missing:
        return _info("secrets", f"optional Secrets that do not exist: {', '.join(missing)}")
    return _passed("secrets", f"no Secret that a workflow in namespace {namespace} mounts is missing")


def _passed(name: str, message: str) -> Check:
    return Check(name=name, outcome=Outcome.PASSED, message=message)


def _info(name: str, message: str) -> Check:
    return Check(name=name, outcome=Outcome.INFO, message=message)


def _failed(name: str, message: str, remedy: str | None, *, details: tuple[str, ...] = ()) -> Check:
    return Check(name=name, outcome=Outcome.FAILED, message=message, remedy=remedy, details=details)
