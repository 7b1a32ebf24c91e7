"""The roles of config/, as if they were installed in a namespace of a test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

CONFIG = Path(__file__).parents[1] / "config"
RBAC, CLUSTER_WIDE = CONFIG / "rbac.yaml", CONFIG / "rbac-cluster-wide.yaml"


def objects(file: Path) -> list[dict[str, Any]]:
    """Return the objects of a file."""
    return list(yaml.safe_load_all(file.read_text()))


def installed(file: Path, namespace: str) -> str:
    """Return the file as it is installed in ``namespace``, for kubectl."""
    return yaml.safe_dump_all(in_namespace(each, namespace) for each in objects(file))


def in_namespace(manifest: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Move an object to ``namespace``; those of no namespace get names of their own."""
    if manifest["kind"].startswith("Cluster"):
        manifest["metadata"]["name"] += f"-{namespace}"
    else:
        manifest["metadata"]["namespace"] = namespace
    if "roleRef" in manifest:
        manifest["roleRef"]["name"] += f"-{namespace}"
    for subject in manifest.get("subjects", ()):
        subject["namespace"] = namespace
    return manifest
