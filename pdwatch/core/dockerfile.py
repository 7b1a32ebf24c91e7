"""The Dockerfile of a workflow's image: what changes least comes first, so that a save costs one small layer.

There is no RUN in it, since the base image has no shell (seed, decision 1). Each COPY takes a whole tree to
``/``: a directory that COPY takes along keeps the modification time it has in the build context, while one
that it makes for its destination gets the time of the build, and no two layers would be the same.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pdwatch.core.names import IMAGE_DIGEST_LABEL, IMAGE_WORKFLOW_LABEL, PORT, USER_ID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdwatch.core.model import WorkflowSpec

DOCKERFILE = "Dockerfile.pipedreamer"
ENGINE_TREE = ".engine"
DEPENDENCIES_TREE = ".dependencies"
SOURCES_TREE = ".sources"

_LISTENING_HOST = "0.0.0.0"  # noqa: S104  # as in the engine's main.ts
_ENVIRONMENT = {
    "DENO_DIR": "/tmp/deno",  # noqa: S108  # the pod's own /tmp; without it Deno caches nothing and starts later
    "DENO_NO_UPDATE_CHECK": "1",
    "NO_COLOR": "1",  # Deno colours its messages even where no terminal reads them
}


def dockerfile(
    spec: WorkflowSpec,
    *,
    base: str,
    digest: str,
    dependencies: Sequence[str] = (),
    extra_labels: Mapping[str, str] | None = None,
) -> str:
    """Return the Dockerfile's text.

    Args:
        spec: The workflow.
        base: The base image's reference.
        digest: The snapshot's ``sha256:<64 hex>``.
        dependencies: The images that hold third-party code, each at the place that it has in the image.
        extra_labels: Put first, so that the image of every step has them.
    """
    return _text(
        *_below_the_sources(base, dependencies, extra_labels),
        f"ENTRYPOINT {json.dumps(entrypoint(spec))}",
        f"COPY {SOURCES_TREE}/ /",
        f"LABEL {_pairs(labels(spec, base=base, digest=digest))}",
    )


def parent_dockerfile(
    *,
    base: str,
    dependencies: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    extra_labels: Mapping[str, str] | None = None,
) -> str:
    """Return the part of the Dockerfile that the sources of a workflow have no part in.

    Args:
        base: See :func:`dockerfile`,
        dependencies: and there,
        labels: Put last.
        extra_labels: Put first.
    """
    last = [f"LABEL {_pairs(labels)}"] if labels else []
    return _text(*_below_the_sources(base, dependencies, extra_labels), *last)


def _below_the_sources(
    base: str, dependencies: Sequence[str], extra_labels: Mapping[str, str] | None
) -> Sequence[str]:
    environment = " ".join(f"{name}={value}" for name, value in _ENVIRONMENT.items())
    return [
        f"FROM {base}",
        *([f"LABEL {_pairs(extra_labels)}"] if extra_labels else []),
        f"ENV {environment}",
        f"USER {USER_ID}:{USER_ID}",
        f"EXPOSE {PORT}",
        f"COPY {ENGINE_TREE}/ /",
        # Once /app is there, WORKDIR makes no directory, and so nothing that differs from build to build.
        "WORKDIR /app",
        *(f"COPY --from={image} / /" for image in dependencies),
        f"COPY {DEPENDENCIES_TREE}/ /",
    ]


def _text(*lines: str) -> str:
    return "\n".join([*lines, ""])


def entrypoint(spec: WorkflowSpec) -> Sequence[str]:
    """Return the command that starts the engine, with no more rights than it needs.

    ``--cached-only`` because a pod downloads nothing: what a workflow imports is in its image. ``--no-lock``
    because Deno would write a ``deno.lock`` that is not quite current, and ends where it may not.
    ``--no-code-cache`` because V8's cache is of use to the next start only, which is another pod's
    (docs/adr/0025-ready-sooner.md). What the network flag allows is in docs/adr/0011-engine-permissions.md.
    """
    cron = ["--unstable-cron"] if any(trigger.type == "cron" for trigger in spec.triggers) else []
    return [
        *("/tini", "--", "/bin/deno", "run"),
        *(
            "--no-prompt",
            "--no-lock",
            "--cached-only",
            "--no-code-cache",
            _allow_net(spec),
            "--allow-read=/app",
            "--allow-write=/tmp",
        ),
        *cron,
        *("--config", "/app/deno.json"),
        *("/app/engine/main.ts", "--workflow", "/app/workflow.yaml", "--port", str(PORT)),
    ]


def _allow_net(spec: WorkflowSpec) -> str:
    """Narrow the network to what the nodes declare, once every node does: it is one process for all."""
    declared = [node.net for node in spec.nodes if node.net is not None]
    if len(declared) < len(spec.nodes):
        return "--allow-net"
    hosts = sorted({host for net in declared for host in net})
    return f"--allow-net={','.join([f'{_LISTENING_HOST}:{PORT}', *hosts])}"


def labels(spec: WorkflowSpec, *, base: str, digest: str) -> Mapping[str, str]:
    """Return the image's labels: OCI's annotation keys where there is one, else pdwatch's own.

    A Dockerfile can't hold a line break in a value, so that it is a space here.
    """
    description = {"org.opencontainers.image.description": spec.description} if spec.description else {}
    values = {
        "org.opencontainers.image.title": spec.name,
        **description,
        "org.opencontainers.image.version": spec.version,
        "org.opencontainers.image.base.name": base,
        IMAGE_WORKFLOW_LABEL: spec.name,
        IMAGE_DIGEST_LABEL: digest,
    }
    return {key: _one_line(value) for key, value in values.items()}


def _pairs(labels: Mapping[str, str]) -> str:
    return " ".join(f"{key}={_quoted(value)}" for key, value in labels.items())


def _one_line(value: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in value)
    return " ".join(printable.split())


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'
