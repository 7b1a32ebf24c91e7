"""Kubeconfig files for tests."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path


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
