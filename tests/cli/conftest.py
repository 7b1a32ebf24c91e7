"""A user who has exactly the rights of config/rbac.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest_asyncio
import yaml

from tests.adapters.kubeconfigs import service_account, with_user

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.testbed.client import Testbed

RBAC = Path(__file__).parents[2] / "config" / "rbac.yaml"


@pytest_asyncio.fixture
async def limited(testbed: Testbed, namespace: str, tmp_path: Path) -> AsyncIterator[Path]:
    """The kubeconfig of the service account of config/rbac.yaml, as if it were installed in ``namespace``."""
    objects = [_in_namespace(each, namespace) for each in yaml.safe_load_all(RBAC.read_text())]
    document = yaml.safe_dump_all(objects)
    await testbed.kubectl("apply", "--server-side", "--filename=-", document=document)
    user = await service_account(testbed, namespace, "pdwatch")
    yield with_user(testbed, tmp_path / "limited", user, namespace=namespace)
    await testbed.kubectl("delete", "--filename=-", "--wait=false", document=document)


def _in_namespace(manifest: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Move an object of rbac.yaml to ``namespace``; those of no namespace get names of their own."""
    if manifest["kind"].startswith("Cluster"):
        manifest["metadata"]["name"] += f"-{namespace}"
    else:
        manifest["metadata"]["namespace"] = namespace
    if "roleRef" in manifest:
        manifest["roleRef"]["name"] += f"-{namespace}"
    for subject in manifest.get("subjects", ()):
        subject["namespace"] = namespace
    return manifest
