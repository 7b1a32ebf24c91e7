"""Speaks with the Docker Engine API over aiodocker's connection; only silence has a time limit."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import aiodocker
import aiohttp

from pdwatch.adapters.docker.endpoint import Endpoint, find_endpoint, unreachable
from pdwatch.errors import DockerError, DockerUnavailableError, PdwatchError, SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

Query: TypeAlias = "Mapping[str, str] | Sequence[tuple[str, str]]"
CONNECT_TIMEOUT_S = 10.0
INACTIVITY_TIMEOUT_S = 300.0
"""How long Docker may say nothing; the longest silence is a COPY of a big ``node_modules/``."""
_MAX_QUOTED = 300
_LONGEST_LINE = 1 << 24
NOT_FOUND = 404


class RefusedError(DockerError):
    """Docker's own error message, with the HTTP status, or none when it came inside a stream."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@asynccontextmanager
async def connect(
    endpoint: Endpoint | None = None, *, inactivity_timeout_s: float = INACTIVITY_TIMEOUT_S
) -> AsyncIterator[DockerApi]:
    """Open a pool of connections; nothing is sent yet.

    Args:
        endpoint: Where Docker is; None finds it as Docker's own command line does.
        inactivity_timeout_s: After how many seconds without a byte a request has failed.

    Raises:
        SettingsError: The endpoint's address or context is unusable.
    """
    endpoint = endpoint or find_endpoint()
    limits = aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT_S, sock_read=inactivity_timeout_s)
    try:
        docker = aiodocker.Docker(url=endpoint.url, context=endpoint.context, timeout=limits)
    except (ValueError, ImportError, OSError, aiodocker.DockerError) as error:
        raise SettingsError(
            f"Docker can't be reached as {endpoint} asks: {error}",
            remedy="set DOCKER_HOST to unix:///path or tcp://host:port, or `docker context use` another",
        ) from error
    async with docker:
        yield DockerApi(docker, endpoint)


class DockerApi:
    """One Docker daemon; made by :func:`connect`. Paths have no leading slash and no API version."""

    def __init__(self, docker: aiodocker.Docker, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._docker = docker
        self._version: str | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        json: Mapping[str, Any] | None = None,
        body: bytes | None = None,
    ) -> Any:
        """Send one request; return the answer's JSON, or None when it is empty.

        Args:
            method: The HTTP method.
            path: What is asked for.
            query: The parameters.
            json: The request's body as JSON,
            body: or as a tar.

        Raises:
            RefusedError: Docker answers with an error.
            DockerUnavailableError: There is no answer, or none that makes sense.
        """
        async with self._exchange(
            method, await self._versioned(path), query=query, json=json, data=body
        ) as response:
            answer = await response.read()
        return _parse(answer, self.endpoint) if answer.strip() else None

    async def chunks(self, path: str, *, query: Query | None = None) -> AsyncGenerator[bytes, None]:
        """Send a GET and yield the answer's bytes as they come; use it under ``contextlib.aclosing``.

        Raises:
            RefusedError: Docker answers with an error.
            DockerUnavailableError: The connection breaks, or nothing comes for too long.
        """
        async with self._exchange("GET", await self._versioned(path), query=query) as response:
            async for chunk in response.content.iter_any():
                yield chunk

    @asynccontextmanager
    async def listen(
        self, path: str, *, query: Query | None = None
    ) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Send a GET; once Docker has begun to answer, yield the messages of the answer as they come.

        Raises:
            RefusedError: Docker answers with an error, at once or later.
            DockerUnavailableError: The connection breaks, or nothing comes for too long.
        """
        async with self._exchange("GET", await self._versioned(path), query=query) as response:
            yield self._parsed(response.content)

    def forget_version(self) -> None:
        """Ask for the API's version again before the next request: Docker may be another one now."""
        self._version = None

    async def messages(
        self,
        path: str,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        body: AsyncIterator[bytes] | bytes | None = None,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Send a POST and yield the messages of the answer as they come, until Docker ends it.

        Use it under ``contextlib.aclosing``, so that Docker is told when the reader stops early.

        Raises:
            RefusedError: Docker answers with an error, at once or in the course of the work.
            DockerUnavailableError: The connection breaks, or nothing comes for too long.
            PdwatchError: What ``body`` raised.
        """
        async with self._exchange(
            "POST", await self._versioned(path), query=query, headers=headers, data=body
        ) as response:
            async for message in self._parsed(response.content):
                yield message

    async def _parsed(self, content: aiohttp.StreamReader) -> AsyncIterator[dict[str, Any]]:
        async for line in _lines(content):
            message = _parse(line, self.endpoint)
            if not isinstance(message, dict):
                raise _nonsense(line, self.endpoint)
            if "error" in message or "errorDetail" in message:
                detail = message.get("errorDetail") or {}
                raise RefusedError(str(message.get("error") or detail.get("message")).strip())
            yield message

    async def _versioned(self, path: str) -> str:
        """Return the path under the newest API version that the daemon speaks."""
        if self._version is None:
            async with self._exchange("GET", "version") as response:
                answer = _parse(await response.read(), self.endpoint)
            if not isinstance(answer, dict) or "ApiVersion" not in answer:
                raise _nonsense(json.dumps(answer).encode(), self.endpoint)
            self._version = answer["ApiVersion"]
        return f"v{self._version}/{path}"

    @asynccontextmanager
    async def _exchange(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        data: AsyncIterator[bytes] | bytes | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = f"{self._docker.docker_host}/{path}"
        kind = {"Content-Type": "application/x-tar"} if data is not None else {}
        try:
            async with self._docker.session.request(
                method, url, params=query, headers={**kind, **(headers or {})}, json=json, data=data
            ) as response:
                if response.status >= 400:  # noqa: PLR2004  # RFC 9110: errors start here
                    raise await _refused(response)
                yield response
        except (aiohttp.ClientError, TimeoutError) as error:
            if isinstance(error.__cause__, PdwatchError):  # what the body raised
                raise error.__cause__ from None
            raise unreachable(error, self.endpoint) from error


async def _refused(response: aiohttp.ClientResponse) -> RefusedError:
    text = (await response.read()).decode(errors="replace")
    try:
        message = json.loads(text)["message"]
    except (ValueError, TypeError, KeyError):
        message = " ".join(text.split())[:_MAX_QUOTED] or f"HTTP status {response.status}"
    return RefusedError(str(message).strip(), status=response.status)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield the lines that are not blank; aiohttp's own limit is too low for a long list of build steps."""
    rest = b""
    async for chunk in content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise aiohttp.ClientPayloadError("a line without end")
        for line in whole:
            if line.strip():
                yield line
    if rest.strip():
        yield rest


def _parse(text: bytes, endpoint: Endpoint) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise _nonsense(text, endpoint) from None


def _nonsense(text: bytes, endpoint: Endpoint) -> DockerUnavailableError:
    quoted = " ".join(text.decode(errors="replace").split())[:_MAX_QUOTED]
    return DockerUnavailableError(
        f"{endpoint} answers with something that is not Docker's: {quoted}",
        remedy="check that DOCKER_HOST names a Docker daemon",
    )
