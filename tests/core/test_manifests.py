from __future__ import annotations

import base64
import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.manifests import deployment, manifests, secret, service
from pdwatch.core.model import DeploymentOptions, ImageRef, Resources, WorkflowSpec
from pdwatch.core.names import DIGEST_ANNOTATION, IMAGE_ANNOTATION

DIGEST = "sha256:" + "ab" * 32
IMAGE = ImageRef(repository="reg:5000/hello", tag="1-0", digest="sha256:" + "cd" * 32)
SPEC = WorkflowSpec(name="hello", version="1.0", triggers=(), nodes=())


def hello() -> dict[str, object]:
    return deployment(SPEC, digest=DIGEST, image=IMAGE, namespace="dev")


def test_the_deployment_is_the_one_that_the_seed_describes() -> None:
    labels = {
        "app.kubernetes.io/name": "hello",
        "app.kubernetes.io/managed-by": "pdwatch",
        "app.kubernetes.io/version": "1.0",
    }
    assert hello() == yaml.safe_load(
        f"""
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          name: hello
          namespace: dev
          labels: {json.dumps(labels)}
          annotations:
            pdwatch.dev/source-digest: {DIGEST}
            pdwatch.dev/image: reg:5000/hello:1-0@{IMAGE.digest}
        spec:
          replicas: 1
          selector:
            matchLabels:
              app.kubernetes.io/name: hello
              app.kubernetes.io/managed-by: pdwatch
          strategy:
            type: RollingUpdate
            rollingUpdate: {{maxSurge: 1, maxUnavailable: 0}}
          progressDeadlineSeconds: 120
          revisionHistoryLimit: 3
          template:
            metadata:
              labels: {json.dumps(labels)}
              annotations: {{pdwatch.dev/source-digest: {DIGEST}}}
            spec:
              runtimeClassName: gvisor
              automountServiceAccountToken: false
              enableServiceLinks: false
              terminationGracePeriodSeconds: 30
              securityContext:
                runAsNonRoot: true
                runAsUser: 65532
                runAsGroup: 65532
                seccompProfile: {{type: RuntimeDefault}}
              containers:
              - name: hello
                image: reg:5000/hello:1-0@{IMAGE.digest}
                imagePullPolicy: IfNotPresent
                ports:
                - {{name: http, containerPort: 8080, protocol: TCP}}
                readinessProbe:
                  httpGet: {{path: /health, port: http, scheme: HTTP}}
                  periodSeconds: 1
                  timeoutSeconds: 3
                  failureThreshold: 3
                resources:
                  requests: {{memory: 64Mi, cpu: 100m}}
                  limits: {{memory: 256Mi, cpu: 500m}}
                securityContext:
                  allowPrivilegeEscalation: false
                  capabilities: {{drop: [ALL]}}
                  readOnlyRootFilesystem: true
                volumeMounts:
                - {{name: secrets, mountPath: /app/secrets, readOnly: true}}
                - {{name: tmp, mountPath: /tmp}}
              volumes:
              - name: secrets
                secret: {{secretName: hello-secrets, optional: true}}
              - name: tmp
                emptyDir: {{}}
        """
    )


def test_the_service_is_an_address_inside_the_cluster_for_the_deployment_s_pods() -> None:
    found = service(SPEC, namespace="dev")
    assert found["spec"] == {
        "type": "ClusterIP",
        "selector": deployment(SPEC, digest=DIGEST, image=IMAGE, namespace="dev")["spec"]["selector"][
            "matchLabels"
        ],
        "ports": [{"name": "http", "port": 8080, "targetPort": "http", "protocol": "TCP"}],
    }


def test_the_secret_has_the_name_that_the_pods_mount_and_its_values_in_base64() -> None:
    found = secret("hello", namespace="dev", values={"z": b"\xff", "a.json": b"{}"})
    assert found["metadata"]["name"] == "hello-secrets"
    assert list(found["data"]) == ["a.json", "z"]
    assert {key: base64.b64decode(value) for key, value in found["data"].items()} == {
        "a.json": b"{}",
        "z": b"\xff",
    }


def test_the_objects_come_in_the_order_in_which_they_are_applied() -> None:
    kinds = [each["kind"] for each in manifests(SPEC, digest=DIGEST, image=IMAGE, namespace="dev")]
    assert kinds == ["Service", "Deployment"]


def test_workflow_yaml_sets_replicas_and_resources() -> None:
    options = DeploymentOptions(
        replicas=3, resources=Resources(requests={"cpu": "0.25"}, limits={"memory": "1024Mi"})
    )
    spec = WorkflowSpec(name="hello", version="1.0", triggers=(), nodes=(), deployment=options)
    found = deployment(spec, digest=DIGEST, image=IMAGE, namespace="dev")["spec"]
    assert found["replicas"] == 3
    assert found["template"]["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "250m"},
        "limits": {"memory": "1Gi"},
    }


@pytest.mark.parametrize("field", ["metadata", "template"])
def test_other_sources_make_new_pods_whatever_the_image_is_called(field: str) -> None:
    one, other = (
        deployment(SPEC, digest=digest, image=IMAGE, namespace="dev") for digest in ("sha256:1", "sha256:2")
    )
    if field == "template":
        one, other = one["spec"]["template"], other["spec"]["template"]
    assert one["metadata"]["annotations"][DIGEST_ANNOTATION] == "sha256:1"
    assert other["metadata"]["annotations"][DIGEST_ANNOTATION] == "sha256:2"


@given(
    name=st.from_regex(r"[a-z]([a-z0-9-]{0,60}[a-z0-9])?", fullmatch=True),
    version=st.sampled_from(["1.0", "1.10", "2.0.3"]),
    replicas=st.integers(0, 10),
)
def test_the_selector_depends_on_the_name_alone_and_selects_the_pods(
    name: str, version: str, replicas: int
) -> None:
    spec = WorkflowSpec(
        name=name, version=version, triggers=(), nodes=(), deployment=DeploymentOptions(replicas=replicas)
    )
    found = deployment(spec, digest=DIGEST, image=IMAGE, namespace="dev")["spec"]
    selector = found["selector"]["matchLabels"]
    assert selector == {"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "pdwatch"}
    assert selector.items() <= found["template"]["metadata"]["labels"].items()


def test_the_same_input_gives_the_same_bytes() -> None:
    scrambled = Resources(
        limits={"cpu": "500m", "memory": "256Mi"}, requests={"cpu": "100m", "memory": "64Mi"}
    )
    spec = WorkflowSpec(
        name="hello", version="1.0", triggers=(), nodes=(), deployment=DeploymentOptions(resources=scrambled)
    )
    again = deployment(spec, digest=DIGEST, image=IMAGE, namespace="dev")
    assert json.dumps(again) == json.dumps(hello())


def test_the_deployment_names_the_image_that_it_was_applied_with() -> None:
    local = ImageRef(repository="hello", tag="1-0-abababababab")
    found = deployment(SPEC, digest=DIGEST, image=local, namespace="dev")
    assert found["metadata"]["annotations"][IMAGE_ANNOTATION] == "hello:1-0-abababababab"
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "hello:1-0-abababababab"
