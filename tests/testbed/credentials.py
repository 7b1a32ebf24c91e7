"""Who may reach the testbed's Kubernetes: one key pair for its daemons, tokens for its users."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from tests.testbed.network import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.testbed.instance import Instance

CERTIFICATE, KEY = "testbed.crt", "testbed.key"
"""A self-signed pair in the state directory. It serves, it shows kubelet that kube-apiserver is calling, and
it signs service account tokens."""

ADMIN, DEVELOPER = "admin", "developer"
_GROUPS = {ADMIN: "system:masters", DEVELOPER: "developers"}


def certificate_command() -> list[str]:
    """Return the command that makes the key pair in the working directory."""
    extensions = [
        f"subjectAltName=IP:{LOOPBACK},DNS:localhost",
        "keyUsage=critical,digitalSignature,keyCertSign",
    ]
    return [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"),
        *("-subj", "/CN=pdwatch-testbed", "-days", "3650", "-keyout", KEY, "-out", CERTIFICATE),
        *(option for extension in extensions for option in ("-addext", extension)),
    ]


def token_file(tokens: Mapping[str, str]) -> str:
    """Return kube-apiserver's file of tokens: token, user, user ID, groups."""
    return "".join(f'{token},{user},{user},"{_GROUPS[user]}"\n' for user, token in tokens.items())


def kubeconfig(instance: Instance, certificate: bytes) -> dict[str, object]:
    """Return the kubeconfig as a document; its contexts are named after its users.

    ``admin`` may do everything, ``developer`` nothing until a test binds a role to the user of that name.

    Args:
        instance: Has the address and the tokens.
        certificate: The certificate to trust, as PEM.
    """
    server = f"https://{LOOPBACK}:{instance.ports.apiserver}"
    trusted = base64.b64encode(certificate).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "testbed", "cluster": {"server": server, "certificate-authority-data": trusted}}
        ],
        "users": [{"name": user, "user": {"token": token}} for user, token in instance.tokens.items()],
        "contexts": [
            {"name": user, "context": {"cluster": "testbed", "user": user}} for user in instance.tokens
        ],
        "current-context": ADMIN,
    }
