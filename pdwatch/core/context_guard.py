"""Whether pdwatch may write to a cluster: one that looks local or is allowed, and no other than before.

A kubeconfig is switched in a second and a tunnel leads elsewhere in another; a save must not follow them. See
docs/adr/0015-context-guard.md.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

LOCAL_CONTEXTS = (
    "colima",
    "colima-*",
    "docker-desktop",
    "docker-for-desktop",
    "k3d-*",
    "kind-*",
    "microk8s",
    "minikube",
    "orbstack",
    "rancher-desktop",
)
"""What the tools for clusters on one's own machine call their contexts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextRefused:
    """pdwatch must not write there: why, and what somebody can do about it."""

    message: str
    remedy: str


def context_refusal(context: str | None, server: str, allowed: Sequence[str]) -> ContextRefused | None:
    """Decide whether a context may be written to; None means yes.

    Args:
        context: The kubeconfig's context; None inside a pod, whose service account is meant for this cluster.
        server: The API server's URL.
        allowed: Shell patterns of contexts that somebody has allowed.
    """
    if context is None or is_loopback(server):
        return None
    if any(fnmatchcase(context, pattern) for pattern in (*LOCAL_CONTEXTS, *allowed)):
        return None
    return ContextRefused(
        message=f"context {context} ({server}) does not look local, and is not allowed",
        remedy=f"if it is the right one, put `allow_contexts: [{context}]` into the settings or add "
        f"--allow-context={context}; else choose another with --context",
    )


def is_loopback(server: str) -> bool:
    """Tell whether a URL leads to this machine by its very address."""
    host = urlsplit(server).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterIdentity:
    """What tells one cluster from another.

    ``uid`` is that of namespace ``kube-system``, which lives as long as the cluster; None when it may not be
    read. ``server`` and ``authority``, the hash of the certificates that the server is trusted by, then have
    to do; ``authority`` is None when the system's own are.
    """

    uid: str | None
    server: str
    authority: str | None


def same_cluster(pinned: ClusterIdentity, seen: ClusterIdentity) -> bool:
    """Tell whether a cluster is the one that was pinned: by its UID, or by who vouches if it had none."""
    if pinned.uid is not None:
        return seen.uid == pinned.uid
    return (seen.server, seen.authority) == (pinned.server, pinned.authority)
