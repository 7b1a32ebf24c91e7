"""Kubeconfig files for tests."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from tests.testbed.client import Testbed


def kubeconfig(path: Path, server: str, *, user: dict[str, Any] | None = None, **context: str) -> Path:
    """Write a kubeconfig of one context, ``here``, with a user whose entry is ``user``."""
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "it", "user": "me", **context}}],
                "clusters": [{"name": "it", "cluster": {"server": server}}],
                "users": [{"name": "me", "user": {"token": "a-token"} if user is None else user}],
            }
        )
    )
    return path


def exec_plugin(path: Path, script: str) -> dict[str, Any]:
    """Write an executable credential plugin; return the user entry that calls it.

    The script is sh; its count of calls so far, this one included, is ``$calls``.
    """
    path.write_text(
        f"#!/bin/sh\necho call >> {path}.calls\ncalls=$(wc -l < {path}.calls)\n{script}\n",
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(path)}}


def plugin_calls(path: Path) -> int:
    calls = path.with_name(f"{path.name}.calls")
    return len(calls.read_text().splitlines()) if calls.exists() else 0


def with_user(testbed: Testbed, path: Path, user: dict[str, Any], *, namespace: str | None = None) -> Path:
    """Write the testbed's kubeconfig with another user, and perhaps another namespace."""
    config = yaml.safe_load(testbed.kubeconfig.read_text())
    name = config["current-context"]
    (context,) = (each["context"] for each in config["contexts"] if each["name"] == name)
    context |= {"user": "somebody"} | ({"namespace": namespace} if namespace else {})
    config["contexts"] = [{"name": name, "context": context}]
    config["users"] = [{"name": "somebody", "user": user}]
    path.write_text(yaml.safe_dump(config))
    return path


async def service_account(testbed: Testbed, namespace: str, name: str) -> dict[str, Any]:
    """Return the user entry of a service account, with a token of its own."""
    token = await testbed.kubectl(
        "create",
        "--raw",
        f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
        "--filename=-",
        document='{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}',
    )
    return {"token": json.loads(token)["status"]["token"]}
