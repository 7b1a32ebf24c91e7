"""Speaks JSON with the API server over one pool of connections; every call has a time limit."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp

from pdwatch.adapters.kubernetes.credentials import load_credentials
from pdwatch.adapters.kubernetes.guard import IDENTITY, ClusterGuard
from pdwatch.adapters.kubernetes.refusals import (
    TOO_MANY_REQUESTS,
    UNAUTHORIZED,
    Refusal,
    error_of,
    retry_after,
)
from pdwatch.adapters.kubernetes.shared_attempts import SharedAttempts
from pdwatch.adapters.kubernetes.transport import open_pool, proxy_of, unreachable
from pdwatch.errors import ClusterUnavailableError

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from types import SimpleNamespace

    from pdwatch.adapters.kubernetes.credentials import Credentials
    from pdwatch.core.context_guard import ClusterIdentity

REQUEST_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10.0
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Accept of a list that leaves out everything but the items' metadata, as Secrets' values."""
_QUESTIONS = "/apis/authorization.k8s.io/"
"""Where a POST asks for rights and changes nothing."""
_RENEW_BEFORE = timedelta(seconds=10)
"""A token that ends sooner is renewed before it is sent, so that it does not end on the way."""


@asynccontextmanager
async def connect(
    *,
    context: str | None = None,
    kubeconfig: str | os.PathLike[str] | None = None,
    allow_contexts: Sequence[str] = (),
    request_timeout_s: float = REQUEST_TIMEOUT_S,
) -> AsyncIterator[Api]:
    """Load the credentials and open a pool of connections; nothing is sent yet.

    Args:
        context: The kubeconfig's context; None is its current one.
        kubeconfig: A file, or several joined by ``os.pathsep``; None looks where kubectl looks.
        allow_contexts: Patterns of contexts that may be written to though they don't look local.
        request_timeout_s: The time that a whole call may take, in seconds.

    Raises:
        SettingsError: There is no usable kubeconfig.
        UnauthorizedError: The kubeconfig's credential plugin fails.
    """
    first = await load_credentials(context=context, kubeconfig=kubeconfig)

    async def load() -> Credentials:
        """Load anew by name: the kubeconfig's current context may be another one by now."""
        return await load_credentials(context=first.context, kubeconfig=kubeconfig)

    api = Api(first, load, allow_contexts=allow_contexts, request_timeout_s=request_timeout_s)
    try:
        yield api
    finally:
        await api.close()


class Api:
    """One API server as one user; made by :func:`connect`."""

    def __init__(
        self,
        credentials: Credentials,
        load: Callable[[], Awaitable[Credentials]],
        *,
        allow_contexts: Sequence[str],
        request_timeout_s: float,
    ) -> None:
        self.context = credentials.context
        """The kubeconfig's context; None inside a pod."""
        self.namespace = credentials.namespace
        """The context's namespace, or ``default``."""
        self.server = credentials.server
        self._load = load
        self._credentials = credentials
        self._renewing = SharedAttempts()
        self.guard = ClusterGuard(self._cluster_uid, allowed=allow_contexts)
        """Stands before every write."""
        self._pool = self._open_pool()
        self._request_limits = aiohttp.ClientTimeout(total=request_timeout_s)

    async def close(self) -> None:
        """Close the pool."""
        await self._pool.close()

    async def require_writable(self) -> None:
        """Return when pdwatch may write to this cluster; every write asks by itself too.

        Raises:
            ContextNotAllowedError: The context does not look local, and nobody has allowed it.
            ClusterChangedError: It is not the cluster of the first contact.
            ClusterError: It can't be identified now.
        """
        await self.guard.require(await self._valid_credentials())

    async def pin(self) -> ClusterIdentity:
        """Remember which cluster this is, and return what tells it from others; once is enough.

        Raises:
            ClusterError: It can't be identified now.
        """
        return await self.guard.identify(await self._valid_credentials())

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> dict[str, Any]:
        """Send one request; return the JSON object of the answer.

        Args:
            method: ``GET``, ``POST``, ``PATCH``, …
            path: Below the server's URL: ``/api/v1/namespaces/dev``.
            query: Parameters of the query.
            body: Sent as JSON when it is not None.
            content_type: Of the body: a kind of patch has its own.
            accept: The form of the answer, for example :data:`METADATA_ONLY`.

        Raises:
            ContextNotAllowedError: It would write, and the context does not look local and is not allowed.
            ClusterChangedError: It would write, and this is not the cluster of the first contact.
            ClusterUnavailableError: No answer in time, a broken connection, a server error, or 429.
            UnauthorizedError: The credentials do not do, not even fresh ones.
            ForbiddenError: RBAC, quota or admission refuses it.
            NamespaceMissingError: The path's namespace does not exist.
            NotFoundError: The path's object does not exist.
            ApplyConflictError: Another field manager owns a field.
            ApplyRejectedError: The body is invalid.
            ResourceExpiredError: A resourceVersion or continue token is too old.
        """
        if method != "GET" and not path.startswith(_QUESTIONS):
            await self.require_writable()
        headers = {"Accept": accept} | ({} if body is None else {"Content-Type": content_type})
        content = None if body is None else json.dumps(body).encode()
        async with self._exchange(
            method, path, query=query, content=content, headers=headers, limits=self._request_limits
        ) as response:
            received = await response.read()
        try:
            answer = json.loads(received)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise ClusterUnavailableError(
                f"{self.server} answers {path} with something that is no Kubernetes object",
                remedy="check that the kubeconfig's server is an API server, and any proxy before it",
            )
        return answer

    async def stream(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        inactivity_timeout_s: float,
        answered: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[bytes, None]:
        """Send a GET and yield the answer's lines as they come, until the server ends it.

        Use it under ``contextlib.aclosing``, so that the connection is closed when the reader stops early.

        Args:
            path: Below the server's URL.
            query: Parameters of the query (``watch``, ``follow``, …).
            connect_timeout_s: The time to connect, TLS included.
            inactivity_timeout_s: The time without a byte after which the connection counts as dead.
            answered: Called once the server has answered, which may be long before the first line.

        Raises:
            ClusterUnavailableError: As for :meth:`request`, and when nothing arrives for too long.
            PdwatchError: As for :meth:`request`.
        """
        limits = aiohttp.ClientTimeout(connect=connect_timeout_s, sock_read=inactivity_timeout_s)
        async with self._exchange("GET", path, query=query, limits=limits, watches=True) as response:
            answered()
            async for line in response.content:
                yield line

    @asynccontextmanager
    async def _exchange(
        self, method: str, path: str, *, limits: aiohttp.ClientTimeout, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with await self._answer(method, path, limits=limits, **options) as response:
                yield response
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a line beyond the buffer
            self.guard.doubt()
            raise unreachable(error, self.server, limits) from error

    async def _answer(self, method: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        """Send; once more with fresh credentials after 401, once more after the wait that a 429 asks for."""
        renewed = waited = False
        while True:
            credentials = await self._valid_credentials()
            response = await self._send(credentials, method, path, **options)
            if response.status < 400:  # noqa: PLR2004  # RFC 9110: errors start here
                return response
            async with response:
                content = await response.read()
            if response.status == UNAUTHORIZED and not renewed:
                renewed = True
                await self._renew(credentials)
                continue
            delay_s = retry_after(response.headers, at_most_s=REQUEST_TIMEOUT_S)
            if response.status == TOO_MANY_REQUESTS and delay_s is not None and not waited:
                waited = True
                await asyncio.sleep(delay_s)
                continue
            raise error_of(Refusal.read(response.status, content, server=self.server, path=path))

    async def _send(
        self,
        credentials: Credentials,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None,
        limits: aiohttp.ClientTimeout,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        watches: bool = False,
    ) -> aiohttp.ClientResponse:
        return await self._pool.request(
            method,
            credentials.server + path,
            params=query,
            data=content,
            headers={**(headers or {}), **credentials.authorization},
            timeout=limits,
            allow_redirects=False,
            proxy=proxy_of(credentials.configuration),
            server_hostname=credentials.configuration.tls_server_name,
            trace_request_ctx=watches,
        )

    def _open_pool(self) -> aiohttp.ClientSession:
        """Open a pool that raises a doubt when a watch has to connect anew.

        As long as the watches' connections stand, the address leads where it led.
        """

        async def connected(_session: object, context: SimpleNamespace, _about: object) -> None:
            if context.trace_request_ctx:
                self.guard.doubt()

        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(connected)
        return open_pool(self._credentials.configuration, trace=trace)

    async def _cluster_uid(self) -> str | None:
        uid: str | None = ((await self.request("GET", IDENTITY)).get("metadata") or {}).get("uid")
        return uid

    async def _valid_credentials(self) -> Credentials:
        ends = self._credentials.expires_at
        if ends is not None and ends - _RENEW_BEFORE <= datetime.now(UTC):
            await self._renew(self._credentials)
        return self._credentials

    async def _renew(self, stale: Credentials) -> None:
        """Load the credentials again, unless another call has done so meanwhile."""
        async with self._renewing.attempt():
            if self._credentials is not stale:
                return
            self._credentials = await self._load()
            if self._credentials.transport != stale.transport:
                self.guard.doubt()
            if self._credentials.transport != stale.transport or stale.configuration.cert_file:
                # Connections belong to the certificate they were opened with; client-go cuts them off too.
                old, self._pool = self._pool, self._open_pool()
                await old.close()
