"""What the API server means by an answer of status 400 or above: one error per cause, in its own words."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pdwatch.errors import (
    ApplyConflictError,
    ApplyRejectedError,
    ClusterError,
    ClusterUnavailableError,
    ForbiddenError,
    NamespaceMissingError,
    NotFoundError,
    PdwatchError,
    ResourceExpiredError,
    UnauthorizedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

UNAUTHORIZED = 401
TOO_MANY_REQUESTS = 429
_SERVER_ERRORS = 500
_MAX_QUOTED = 300
"""Characters shown of a body that is not a Status, as a proxy may send it."""
_MISSING_NAMESPACE = re.compile(r'namespaces "(?P<name>[^"]*)" not found')
_DENIED = re.compile(r'cannot (?P<verb>\S+) resource "(?P<resource>[^"]*)"')
_CREATE_DENIED = re.compile(r'(?P<resource>[^\s.]+)\S* "[^"]*" is forbidden:(?= *$| RBAC:)')
"""How it says that an apply, which may patch, may not create: with no reason but what RBAC adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An answer of status 400 or above; ``causes`` are the details of its ``Status`` object."""

    server: str
    path: str
    status: int
    message: str
    causes: tuple[dict[str, Any], ...] = ()

    @property
    def subject(self) -> str:
        """What the path is about: ``deployments/hello in namespace dev``."""
        parts = self.path.strip("/").split("/")
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        match parts:
            case ["namespaces", namespace, *rest] if rest:
                return f"{'/'.join(rest)} in namespace {namespace}"
        return "/".join(parts) or self.path

    @classmethod
    def read(cls, status: int, body: bytes, *, server: str, path: str) -> Refusal:
        """Read the body: a ``Status`` object as JSON, or whatever stands between sent instead."""
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        said = answer if isinstance(answer, dict) else {}
        text = said.get("message") or " ".join(body.decode(errors="replace").split())[:_MAX_QUOTED]
        causes = (said.get("details") or {}).get("causes") or ()
        return cls(
            server=server,
            path=path,
            status=status,
            message=text or f"HTTP status {status}",
            causes=tuple(causes),
        )


def error_of(refusal: Refusal) -> PdwatchError:
    """Return the error to raise."""
    meaning = _MEANINGS.get(refusal.status)
    if meaning:
        return meaning(refusal)
    said = f"{refusal.server} answers {refusal.status} to {refusal.path}: {refusal.message}"
    if refusal.status >= _SERVER_ERRORS or refusal.status == TOO_MANY_REQUESTS:
        return ClusterUnavailableError(
            said,
            remedy="try again; if it stays so, look at the API server, its webhooks and any proxy before it",
        )
    return ClusterError(said)


def retry_after(headers: Mapping[str, str], *, at_most_s: float) -> float | None:
    """Return the seconds that ``Retry-After`` asks for; None without one, or when it asks for too many."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() and int(value) <= at_most_s else None


def _unauthorized(refusal: Refusal) -> PdwatchError:
    return UnauthorizedError(
        f"{refusal.server} does not accept the kubeconfig's credentials: {refusal.message}",
        remedy="log in again, or choose another context with --context",
    )


def _forbidden(refusal: Refusal) -> PdwatchError:
    message = _CREATE_DENIED.sub(r'\g<0> you cannot create resource "\g<resource>"', refusal.message).rstrip()
    denied = _DENIED.search(message)
    if denied:
        remedy = (
            f"grant {denied['verb']} on {denied['resource']}; config/rbac.yaml holds all that pdwatch needs, "
            "and `pdwatch cluster check` lists what is missing"
        )
    elif "quota" in refusal.message:
        remedy = "free some of the quota, or ask for less under deployment.resources in workflow.yaml"
    else:
        remedy = "an admission rule of the cluster refuses it: satisfy it, or ask who runs the cluster"
    return ForbiddenError(message, remedy=remedy)


def _not_found(refusal: Refusal) -> PdwatchError:
    namespace = _MISSING_NAMESPACE.search(refusal.message)
    if not namespace:
        return NotFoundError(refusal.message)
    name = namespace["name"]
    return NamespaceMissingError(
        f"namespace {name} does not exist",
        remedy=f"create it: `pdwatch cluster check -n {name} --fix` or `kubectl create namespace {name}`",
    )


def _conflict(refusal: Refusal) -> PdwatchError:
    owners = [
        (_manager(cause.get("message", "")), str(cause.get("field", "")).lstrip("."))
        for cause in refusal.causes
        if cause.get("reason") == "FieldManagerConflict"
    ]
    if not owners:
        return ClusterError(refusal.message)
    owned = "; ".join(f"{manager} owns {field}" for manager, field in owners)
    return ApplyConflictError(
        f"{refusal.subject}: {owned}, which pdwatch wants to set",
        remedy="undo that change where it was made, or take the fields over with "
        "`pdwatch deploy --force-conflicts`",
        fields={
            "managers": ", ".join(sorted({manager for manager, _ in owners})),
            "fields": ", ".join(field for _, field in owners),
        },
    )


def _manager(message: str) -> str:
    """Return the manager of ``conflict with "kubectl-edit" using apps/v1``."""
    quoted = re.search(r'"([^"]*)"', message)
    return quoted[1] if quoted else "another manager"


def _expired(refusal: Refusal) -> PdwatchError:
    return ResourceExpiredError(refusal.message)


def _rejected(refusal: Refusal) -> PdwatchError:
    said = "; ".join(
        f"{cause.get('field') or 'object'}: {cause.get('message', '')}" for cause in refusal.causes
    )
    remedy = None
    if "field is immutable" in refusal.message:
        remedy = f"Kubernetes never changes that field: delete {refusal.subject} and deploy again"
    return ApplyRejectedError(
        f"the API server rejects {refusal.subject}: {said or refusal.message}", remedy=remedy
    )


_MEANINGS: Mapping[int, Callable[[Refusal], PdwatchError]] = {
    400: _rejected,
    UNAUTHORIZED: _unauthorized,
    403: _forbidden,
    404: _not_found,
    409: _conflict,
    410: _expired,
    413: _rejected,
    415: _rejected,
    422: _rejected,
}
