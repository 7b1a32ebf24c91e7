"""Stands before every write to the API server: may this context be written to, and is it the cluster it was?

No request is made for a write itself. The cluster is identified once, and again after something happened by
which another one may have taken its place: a connection failed, a watch had to connect anew, or the
kubeconfig was read again and says something else.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from pdwatch.adapters.kubernetes.shared_attempts import SharedAttempts
from pdwatch.core.context_guard import ClusterIdentity, context_refusal, same_cluster
from pdwatch.errors import (
    ClusterChangedError,
    ClusterUnavailableError,
    ContextNotAllowedError,
    ForbiddenError,
    NotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pdwatch.adapters.kubernetes.credentials import Credentials

IDENTITY = "/api/v1/namespaces/kube-system"


class ClusterGuard:
    """Remembers the cluster of the first contact, and refuses to write to any other.

    Args:
        read_uid: Asks the API server for the UID of kube-system.
        allowed: Patterns of contexts that may be written to though they don't look local.
    """

    def __init__(self, read_uid: Callable[[], Awaitable[str | None]], *, allowed: Sequence[str] = ()) -> None:
        self.allowed = allowed
        self.pinned: ClusterIdentity | None = None
        """The cluster of the first contact; None before."""
        self._read_uid = read_uid
        self._verified = False
        self._verifying = SharedAttempts()
        self.doubts = 0
        """How often another cluster may have taken the place of the one before."""

    def doubt(self) -> None:
        """Take note that another cluster may have taken the place of the one that was last seen."""
        self._verified = False
        self.doubts += 1

    async def require(self, credentials: Credentials) -> None:
        """Return when the cluster may be written to.

        Raises:
            ContextNotAllowedError: Its context does not look local and is not allowed.
            ClusterChangedError: It is not the cluster of the first contact.
            ClusterError: It can't be identified now.
        """
        refused = context_refusal(credentials.context, credentials.server, self.allowed)
        if refused is not None:
            raise ContextNotAllowedError(refused.message, remedy=refused.remedy)
        async with self._verifying.attempt():
            while not self._verified:
                await self._verify(credentials)

    async def identify(self, credentials: Credentials) -> ClusterIdentity:
        """Pin the cluster if none is pinned yet, and return what is pinned.

        Raises:
            ClusterError: It can't be identified now.
        """
        async with self._verifying.attempt():
            if self.pinned is None:
                await self._verify(credentials)
            assert self.pinned is not None, "it is pinned, or an error has been raised"
            return self.pinned

    async def _verify(self, credentials: Credentials) -> None:
        doubts = self.doubts
        seen = await self._identity(credentials)
        if self.pinned is None:
            self.pinned = seen
        if not same_cluster(self.pinned, seen):
            raise ClusterChangedError(
                f"{credentials.server} is another cluster than before: kube-system has UID "
                f"{seen.uid or 'unknown'}, not {self.pinned.uid or 'unknown'}",
                remedy="if that is intended, as after making a cluster anew, start pdwatch again; else lead "
                "the address back to where it led, and pdwatch goes on by itself",
            )
        self._verified = doubts == self.doubts

    async def _identity(self, credentials: Credentials) -> ClusterIdentity:
        authority = await asyncio.to_thread(_authority, credentials)
        try:
            uid = await self._read_uid()
        except (ForbiddenError, NotFoundError):
            if self.pinned is not None and self.pinned.uid is not None:
                raise  # the one that was pinned could be read
            uid = None
        return ClusterIdentity(uid=uid, server=credentials.server, authority=authority)


def _authority(credentials: Credentials) -> str | None:
    """Hash the certificates that the API server is trusted by; None when the system's own are."""
    path = credentials.configuration.ssl_ca_cert
    if not path:
        return None
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise ClusterUnavailableError(
            f"{path}, the cluster's certificate, can't be read: {error.strerror}"
        ) from error
