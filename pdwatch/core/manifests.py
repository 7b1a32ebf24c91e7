"""The Kubernetes objects of a workflow, as pdwatch applies them (seed, decisions 3 and 4).

They satisfy the Pod Security Standard "restricted" and use nothing newer than Kubernetes 1.20.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from pdwatch.core.names import (
    DIGEST_ANNOTATION,
    FIELD_MANAGER,
    IMAGE_ANNOTATION,
    MANAGED_BY_LABEL,
    NAME_LABEL,
    PORT,
    RUNTIME_CLASS,
    USER_ID,
    VERSION_LABEL,
)
from pdwatch.core.quantity import canonical_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdwatch.core.model import ImageRef, Manifest, WorkflowSpec

PROGRESS_DEADLINE_S = 120
"""After which Kubernetes itself calls a rollout failed; its default, ten minutes, is an age between saves."""
KEPT_REVISIONS = 3
"""ReplicaSets kept for ``kubectl rollout undo``; every save makes one."""
GRACE_PERIOD_S = 30
_PORT_NAME = "http"


def manifests(spec: WorkflowSpec, *, digest: str, image: ImageRef, namespace: str) -> tuple[Manifest, ...]:
    """Return the workflow's objects, without its Secret, in the order in which they are applied.

    The Deployment is last, since the digest on it says that all of it is done.
    """
    return (
        service(spec, namespace=namespace),
        deployment(spec, digest=digest, image=image, namespace=namespace),
    )


def deployment(spec: WorkflowSpec, *, digest: str, image: ImageRef, namespace: str) -> Manifest:
    """Return the Deployment.

    Args:
        spec: The workflow.
        digest: The snapshot's source digest; every other one makes new pods, whatever the image is called.
        image: What the container runs: an immutable reference.
        namespace: Where it goes.
    """
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": spec.name,
            "namespace": namespace,
            "labels": _labels(spec),
            "annotations": {DIGEST_ANNOTATION: digest, IMAGE_ANNOTATION: str(image)},
        },
        "spec": {
            "replicas": spec.deployment.replicas,
            "selector": {"matchLabels": _selector(spec.name)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "progressDeadlineSeconds": PROGRESS_DEADLINE_S,
            "revisionHistoryLimit": KEPT_REVISIONS,
            "template": {
                "metadata": {"labels": _labels(spec), "annotations": {DIGEST_ANNOTATION: digest}},
                "spec": _pod(spec, str(image)),
            },
        },
    }


def service(spec: WorkflowSpec, *, namespace: str) -> Manifest:
    """Return the Service: a cluster-internal address on port 8080."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": spec.name, "namespace": namespace, "labels": _labels(spec)},
        "spec": {
            "type": "ClusterIP",
            "selector": _selector(spec.name),
            "ports": [{"name": _PORT_NAME, "port": PORT, "targetPort": _PORT_NAME, "protocol": "TCP"}],
        },
    }


def secret(name: str, *, namespace: str, values: Mapping[str, bytes]) -> Manifest:
    """Return the Secret that the pods of workflow ``name`` mount; ``values`` by file name."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": secret_name(name), "namespace": namespace, "labels": _selector(name)},
        "data": {key: b64encode(values[key]).decode() for key in sorted(values)},
    }


def secret_name(name: str) -> str:
    """Return the name of the Secret of workflow ``name`` (seed, decision 4)."""
    return f"{name}-secrets"


def _selector(name: str) -> dict[str, str]:
    """Return the labels that select the pods.

    A Deployment's selector can never be changed, so these hold for every version of the workflow and of
    pdwatch. The name alone would also take in pods of another tool's application of that name.
    """
    return {NAME_LABEL: name, MANAGED_BY_LABEL: FIELD_MANAGER}


def _labels(spec: WorkflowSpec) -> dict[str, str]:
    return {**_selector(spec.name), VERSION_LABEL: spec.version}


def _pod(spec: WorkflowSpec, image: str) -> Manifest:
    return {
        "runtimeClassName": RUNTIME_CLASS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_PERIOD_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(spec, image)],
        "volumes": [
            {"name": "secrets", "secret": {"secretName": secret_name(spec.name), "optional": True}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def _container(spec: WorkflowSpec, image: str) -> Manifest:
    return {
        "name": spec.name,
        "image": image,
        # References are immutable, and an image that is only in the nodes' own store must not be pulled.
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": _PORT_NAME, "containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {
            "httpGet": {"path": "/health", "port": _PORT_NAME, "scheme": "HTTP"},
            "periodSeconds": 1,
            # A node that computes keeps Deno's one thread from answering; that is not a reason to cut it off.
            "timeoutSeconds": 3,
            "failureThreshold": 3,
        },
        "resources": {
            "requests": _quantities(spec.deployment.resources.requests),
            "limits": _quantities(spec.deployment.resources.limits),
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [
            {"name": "secrets", "mountPath": "/app/secrets", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # in the container
        ],
    }


def _quantities(resources: Mapping[str, str]) -> dict[str, str]:
    return {name: canonical_quantity(resources[name]) for name in sorted(resources)}
