"""Finds the cluster and the credentials: kubeconfig files, or the service account of the pod around us."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pdwatch.adapters.kubernetes.library import library
from pdwatch.errors import SettingsError, UnauthorizedError
from pdwatch.paths import expanded, home, may_be_there

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SERVICE_ACCOUNT_REREAD = timedelta(minutes=1)
"""How long a pod's token is used before its file is read again, as client-go does it."""
CREDENTIAL = "kubeconfig"
"""The name of the credential in systemd.exec(5)'s sense: ``LoadCredential=kubeconfig:…``."""
PLUGIN_TIMEOUT_S = 60.0
"""Long enough for somebody to confirm a login in a browser."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Credentials:
    """How to speak to one API server, as loaded at one instant.

    ``configuration`` is kubernetes_asyncio's; ``context`` is None inside a pod; ``expires_at`` is None when
    nothing tells.
    """

    configuration: Any
    context: str | None
    namespace: str
    expires_at: datetime | None = None

    @property
    def server(self) -> str:
        """The API server's URL."""
        return str(self.configuration.host)

    @property
    def transport(self) -> tuple[object, ...]:
        """What a pool of connections is opened with; another one is needed when it changes."""
        used = self.configuration
        return (used.host, used.ssl_ca_cert, used.cert_file, used.key_file, used.verify_ssl)

    @property
    def authorization(self) -> dict[str, str]:
        """The header that carries the token; empty when a client certificate says who we are."""
        token = self.configuration.api_key.get("BearerToken")
        return {"Authorization": token.strip()} if token else {}


async def load_credentials(*, context: str | None, kubeconfig: str | os.PathLike[str] | None) -> Credentials:
    """Read the credentials anew, running the exec plugin or refreshing the token where that is due.

    The order is kubectl's: the file given, else the files of ``KUBECONFIG``, else ``~/.kube/config``; and
    where none of them exists, the pod's service account. A service's credential ``kubeconfig``, which systemd
    hands over in a directory that only the service can read, comes before the one at home.

    Raises:
        SettingsError: There is no usable kubeconfig, or it has no such context.
        UnauthorizedError: The credential plugin fails or does not answer.
    """
    paths = _kubeconfig_paths(kubeconfig)
    if any(map(may_be_there, paths)):
        return await _from_kubeconfig(paths, context)
    if kubeconfig is None and context is None and (SERVICE_ACCOUNT / "token").exists():
        return _from_service_account()
    raise SettingsError(
        f"there is no kubeconfig: looked for {', '.join(map(str, paths))} and for a pod's service account",
        remedy="set KUBECONFIG to the file that the cluster's tool has written",
    )


def _kubeconfig_paths(kubeconfig: str | os.PathLike[str] | None) -> list[Path]:
    given = os.fspath(kubeconfig) if kubeconfig is not None else os.environ.get("KUBECONFIG", "")
    names = [name for name in given.split(os.pathsep) if name]
    if names:
        return [expanded(name) for name in names]
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"), CREDENTIAL)
    return [credential if credential.exists() else home() / ".kube" / "config"]


def _from_service_account() -> Credentials:
    configuration = library().Configuration()
    try:
        library().load_incluster_config(
            client_configuration=configuration,
            token_filename=SERVICE_ACCOUNT / "token",
            cert_filename=SERVICE_ACCOUNT / "ca.crt",
        )
        namespace = (SERVICE_ACCOUNT / "namespace").read_text().strip()
    except Exception as error:  # ConfigException, OSError, ValueError: all of them leave no way in
        raise SettingsError(
            f"the pod's service account in {SERVICE_ACCOUNT} is not usable: {error}"
        ) from error
    return Credentials(
        configuration=configuration,
        context=None,
        namespace=namespace or "default",
        expires_at=datetime.now(UTC) + SERVICE_ACCOUNT_REREAD,
    )


async def _from_kubeconfig(paths: Sequence[Path], context: str | None) -> Credentials:
    # The library logs what it raises as well, and that with tokens in it.
    logging.getLogger("kubernetes_asyncio").setLevel(logging.CRITICAL)
    _require_readable(paths)
    shown = os.pathsep.join(map(str, paths))
    configuration = library().Configuration()
    user: dict[str, Any] = {}
    try:
        merger = library().KubeConfigMerger(shown)
        user = _chosen_user(merger.config.value, context, shown)
        loader = library().KubeConfigLoader(
            config_dict=merger.config,
            config_base_path=None,
            active_context=context,
            config_persister=lambda _: merger.save_changes(),
        )
        async with asyncio.timeout(PLUGIN_TIMEOUT_S):
            await loader.load_and_set(configuration)
    except SettingsError:
        raise
    except Exception as error:  # the library lets any error of its parts through: TypeError for an empty file
        raise _unusable(error, user, shown) from error
    chosen = loader.current_context
    return Credentials(
        configuration=configuration,
        context=chosen["name"],
        namespace=chosen["context"].get("namespace") or "default",
        expires_at=getattr(loader, "exec_plugin_expiry", None),
    )


def _require_readable(paths: Sequence[Path]) -> None:
    for path in filter(may_be_there, paths):
        try:
            path.open("rb").close()
        except OSError as error:  # the library passes over it
            raise SettingsError(
                f"{path} can't be read: {error.strerror}",
                remedy="only its owner may: run pdwatch as that user",
            ) from error


def _chosen_user(config: dict[str, Any], context: str | None, shown: str) -> dict[str, Any]:
    """Follow a context to its cluster and user, saying which link is missing; return the user's entry."""
    entries = {
        kind: {entry.value["name"]: entry.value.get(kind[:-1]) or {} for entry in config[kind]}
        for kind in ("contexts", "clusters", "users")
    }
    name = context or config.get("current-context")
    known = ", ".join(sorted(entries["contexts"])) or "none"
    if not name:
        raise SettingsError(
            f"{shown}: no current context is set", remedy=f"choose one with --context; there are: {known}"
        )
    if name not in entries["contexts"]:
        raise SettingsError(f"{shown}: there is no context {name}", remedy=f"there are: {known}")
    chosen = entries["contexts"][name]
    for kind in ("cluster", "user"):
        if chosen.get(kind) not in entries[f"{kind}s"]:
            raise SettingsError(
                f"{shown}: context {name} names {kind} {chosen.get(kind)}, which is not defined",
                remedy=f"define it, or choose another: kubectl config set-context {name} --{kind}=…",
            )
    server = urlsplit(str(entries["clusters"][chosen["cluster"]].get("server")))
    if server.scheme not in ("http", "https") or not server.hostname:
        raise SettingsError(
            f"{shown}: cluster {chosen['cluster']} has no server of the form https://HOST:PORT",
            remedy=f"set it: kubectl config set-cluster {chosen['cluster']} --server=https://…",
        )
    if "@" in server.netloc:  # the address is logged, and told in errors
        raise SettingsError(
            f"{shown}: cluster {chosen['cluster']} has a user in its server's URL",
            remedy="take it out there: what to log in with belongs to the kubeconfig's users",
        )
    user = entries["users"][chosen["user"]]
    assert isinstance(user, dict)
    return user


def _unusable(error: Exception, user: dict[str, Any], shown: str) -> SettingsError | UnauthorizedError:
    # The library names a place in the file by its whole entry, token included: stop at the first brace.
    said = " ".join(str(error).partition("{")[0].split())
    plugin = (user.get("exec") or {}).get("command") or (user.get("auth-provider") or {}).get("name")
    match error:
        case TimeoutError():
            said = f"it has not answered within {PLUGIN_TIMEOUT_S:.0f} s"
        case FileNotFoundError() if error.filename == plugin:
            said = "it is not installed, or not on PATH"
        case TypeError() | AttributeError() | KeyError():
            plugin, said = None, "it is empty, or not laid out as one"
        case _ if not said.startswith(("exec:", "oidc:")):
            plugin = None
    if plugin is None:
        return SettingsError(
            f"{shown} is not a usable kubeconfig: {said}", remedy="have the cluster's tool write it anew"
        )
    return UnauthorizedError(
        f"{shown}: the credential plugin {plugin} failed: {said}",
        remedy="run it by hand, or log in again with the cluster's own tool",
    )
