"""The kubeconfig: how to reach the testbed's Kubernetes, as administrator or as someone without any rights."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from tests.testbed.components import ADMIN, DEVELOPER
from tests.testbed.network import LOOPBACK

if TYPE_CHECKING:
    from tests.testbed.instance import Instance

CLUSTER = "testbed"


def kubeconfig(instance: Instance, authority: bytes) -> dict[str, object]:
    """Return the kubeconfig as a document; its contexts are named after its users.

    ``admin`` may do everything, ``developer`` nothing until a test binds a role to the user of that name.

    Args:
        instance: Has the address and the tokens.
        authority: The certificate to trust, as PEM.
    """
    server = f"https://{LOOPBACK}:{instance.ports.apiserver}"
    trusted = base64.b64encode(authority).decode()
    tokens = {ADMIN: instance.admin_token, DEVELOPER: instance.developer_token}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CLUSTER, "cluster": {"server": server, "certificate-authority-data": trusted}}],
        "users": [{"name": user, "user": {"token": token}} for user, token in tokens.items()],
        "contexts": [{"name": user, "context": {"cluster": CLUSTER, "user": user}} for user in tokens],
        "current-context": ADMIN,
    }
