"""Deployments as pdwatch applies them, whose pods run a line of JavaScript instead of the engine."""

from __future__ import annotations

from typing import Any

from pdwatch.core.manifests import deployment
from pdwatch.core.model import DeploymentOptions, ImageRef, Resources, WorkflowSpec

SERVE = 'Deno.serve({port: 8080}, () => new Response("ok"))'
CRASH = 'console.error("about to fail"); Deno.exit(3)'
NEVER_HEALTHY = 'Deno.serve({port: 8080}, () => new Response("no", {status: 503}))'
BASE = ImageRef(repository="denoland/deno", tag="distroless")
MISSING = ImageRef(repository="127.0.0.1:1/missing", tag="1-0")


def workload(
    namespace: str,
    script: str = SERVE,
    *,
    name: str = "hello",
    digest: str = "sha256:" + "1" * 64,
    image: ImageRef = BASE,
    replicas: int = 1,
    cpu: str = "10m",
    **pod: Any,
) -> dict[str, Any]:
    """Return a Deployment; ``pod`` replaces fields of its pod template's spec."""
    spec = WorkflowSpec(
        name=name,
        version="1.0",
        triggers=(),
        nodes=(),
        deployment=DeploymentOptions(
            replicas=replicas, resources=Resources(requests={"cpu": cpu}, limits={"memory": "256Mi"})
        ),
    )
    manifest = deployment(spec, digest=digest, image=image, namespace=namespace)
    pod_spec = manifest["spec"]["template"]["spec"]
    pod_spec["containers"][0]["command"] = ["/bin/deno", "eval", script]
    pod_spec.update({"terminationGracePeriodSeconds": 1, **pod})
    return manifest
