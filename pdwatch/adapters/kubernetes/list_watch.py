"""List-then-watch of one collection, as client-go's Reflector does it: it ends only when it is cancelled."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from pdwatch.adapters.kubernetes.refusals import Refusal, error_of
from pdwatch.core.backoff import backoff
from pdwatch.core.watching import Listed, Removed, Upserted
from pdwatch.errors import (
    ClusterUnavailableError,
    ForbiddenError,
    PdwatchError,
    ResourceExpiredError,
    UnauthorizedError,
)
from pdwatch.heartbeats import Heartbeats
from pdwatch.logs import Event

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from pdwatch.adapters.kubernetes.connection import Api
    from pdwatch.core.model import Manifest
    from pdwatch.core.watching import WatchChange
    from pdwatch.logs import EventLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Objects of one kind: where they are, which of them, and what log lines call them."""

    resource: str
    path: str
    selection: Mapping[str, str]
    """``labelSelector`` and ``fieldSelector``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchPolicy:
    """How patient a watch is. Times are seconds; the defaults are client-go's where it has one."""

    page_size: int = 500
    watch_s: float = 300.0
    """The shortest time after which the server ends a watch; the longest is twice that."""
    grace_s: float = 10.0
    """How much later than that the server may be."""
    bookmark_silence_s: float = 70.0
    """The longest silence after a bookmark: the API server then sends one every minute.

    Before the first it may be silent for as long as the watch lasts, since a server that has seen no change
    of the kind since it started sends none.
    """
    settled_s: float = 5.0
    """A watch that stands for so long after the server's answer works, whether or not anything comes."""
    retry_base_s: float = 0.8
    retry_cap_s: float = 30.0
    refused_base_s: float = 30.0
    """As ``retry_base_s``, after an answer that will be the same until somebody acts: 401 or 403."""
    refused_cap_s: float = 60.0
    request_s: float = 300.0
    """The longest that one request takes with everything that it may lead to, such as a login."""


_ShowLife: TypeAlias = "Callable[[float], None]"
"""Called with the seconds within which it is called again."""

_REASONS: Mapping[type[PdwatchError], str] = {
    ClusterUnavailableError: "unavailable",
    ForbiddenError: "forbidden",
    ResourceExpiredError: "expired",
    UnauthorizedError: "unauthorized",
}
_RESUMABLE = (ClusterUnavailableError, ForbiddenError, UnauthorizedError)
"""After these a watch goes on where it was; after any other error only a list helps."""


def reason_of(error: PdwatchError) -> str:
    """Return the stable word that log lines have for what interrupts a watch."""
    return _REASONS.get(type(error), "rejected")


class ListWatch:
    """Follows one collection through every interruption."""

    def __init__(
        self,
        api: Api,
        collection: Collection,
        *,
        log: EventLog,
        policy: WatchPolicy | None = None,
        heartbeats: Heartbeats | None = None,
    ) -> None:
        self._api = api
        self._collection = collection
        self._log = log
        self._policy = policy or WatchPolicy()
        self._heartbeats = heartbeats or Heartbeats()
        self._version: str | None = None
        """Where to go on watching; None when it has to be listed first."""
        self._relist_reason: str | None = None
        self._failures = 0
        """In a row, since a watch last worked."""
        self._reported: str | None = None
        """Why the connection that is down now went down, once that is logged."""

    async def changes(self) -> AsyncGenerator[WatchChange, None]:
        """Yield a :class:`Listed`, then every change; another Listed whenever changes may have been missed.

        Use it under ``contextlib.aclosing``. Whatever goes wrong on the way is logged and tried again.
        """
        with self._heartbeats.part(f"watch {self._collection.path}") as show_life:
            while True:
                try:
                    if self._version is None:
                        yield await self._list(show_life)
                    async with aclosing(self._watch(show_life)) as changes:
                        async for change in changes:
                            yield change
                except PdwatchError as error:
                    await self._recover(error, show_life)

    async def _list(self, show_life: _ShowLife) -> Listed:
        items: list[Manifest] = []
        paging = {"limit": str(self._policy.page_size)}
        while True:
            query = {**self._collection.selection, **paging}
            show_life(self._policy.request_s)
            try:
                page = await self._api.request("GET", self._collection.path, query=query)
            except ResourceExpiredError:
                if "continue" not in paging:
                    raise
                items, paging = [], {}  # paging took longer than history is kept: all at once, then
                continue
            items += page.get("items") or ()
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                break
            paging["continue"] = metadata["continue"]
        return self._listed(Listed(items=tuple(items), resource_version=metadata.get("resourceVersion", "")))

    def _listed(self, listed: Listed) -> Listed:
        resource, count, reason = self._collection.resource, len(listed.items), self._relist_reason
        if reason is None:
            self._log.emit(Event.WATCH_LISTED, resource=resource, count=count)
        else:
            self._log.emit(Event.WATCH_RELISTED, resource=resource, count=count, reason=reason)
        self._version, self._reported = listed.resource_version, None
        return listed

    async def _watch(self, show_life: _ShowLife) -> AsyncGenerator[Upserted | Removed, None]:
        """Watch from where we are, until the server ends it as it should."""
        loop, policy = asyncio.get_running_loop(), self._policy
        watch_s = policy.watch_s * (1 + random.random())  # noqa: S311  # it spreads load and guards nothing
        silence_s = watch_s + policy.grace_s
        query = {
            **self._collection.selection,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version or "",
            "timeoutSeconds": str(int(watch_s)),
        }
        started, silent = loop.time(), True
        with ExitStack() as stack:

            def answered() -> None:
                stack.callback(loop.call_later(policy.settled_s, self._mark_working).cancel)

            stream = self._api.stream(
                self._collection.path, query=query, inactivity_timeout_s=silence_s, answered=answered
            )
            async with aclosing(stream) as lines:
                show_life(policy.request_s + silence_s)
                while (line := await self._next_line(lines, silence_s)) is not None:
                    show_life(silence_s)
                    kind, manifest, self._version = self._decode(line)
                    silent = False
                    self._mark_working()
                    if kind == "BOOKMARK":
                        silence_s = policy.bookmark_silence_s
                    elif kind == "DELETED":
                        yield Removed(manifest=manifest)
                    else:
                        yield Upserted(manifest=manifest)
        if silent and loop.time() - started < policy.settled_s:
            raise ClusterUnavailableError(
                f"{self._api.server} ends watches of {self._collection.path} at once"
            )

    async def _next_line(self, lines: AsyncGenerator[bytes, None], silence_s: float) -> bytes | None:
        try:
            async with asyncio.timeout(silence_s):
                return await anext(lines, None)
        except TimeoutError as error:
            raise ClusterUnavailableError(
                f"{self._api.server} has sent nothing for {silence_s:g} s, not even a bookmark"
            ) from error

    def _decode(self, line: bytes) -> tuple[str, Manifest, str | None]:
        """Return an event's type, its object and the resourceVersion to go on from.

        Raises:
            PdwatchError: The event is an error, by its code; or it is none that can be read.
        """
        try:
            event = json.loads(line)
            kind, manifest = event["type"], event["object"]
            version = (manifest.get("metadata") or {}).get("resourceVersion") or self._version
            code = manifest.get("code", 500)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ClusterUnavailableError(
                f"{self._api.server} has sent something that is no whole watch event"
            ) from error
        if kind == "ERROR":
            body, path = json.dumps(manifest).encode(), self._collection.path
            raise error_of(Refusal.read(code, body, server=self._api.server, path=path))
        return kind, manifest, version

    def _mark_working(self) -> None:
        if self._reported is not None:
            self._log.emit(Event.WATCH_RESUMED, resource=self._collection.resource)
        self._failures, self._reported = 0, None

    async def _recover(self, error: PdwatchError, show_life: _ShowLife) -> None:
        """Decide where to go on, say once what is wrong, and wait."""
        reason = reason_of(error)
        if not isinstance(error, _RESUMABLE):
            if self._version is not None:
                self._relist_reason = reason
            self._version = None
        delay_s = self._delay_s(error)
        self._failures += 1
        if isinstance(error, ResourceExpiredError) and self._failures == 1:
            return  # the usual case after a long interruption, and no fault
        if reason != self._reported:
            self._reported = reason
            self._log.emit(
                Event.WATCH_DISCONNECTED,
                resource=self._collection.resource,
                reason=reason,
                message=error.message,
                remedy=error.remedy,
                retry_in_s=round(delay_s, 1),
            )
        show_life(delay_s)
        await asyncio.sleep(delay_s)

    def _delay_s(self, error: PdwatchError) -> float:
        policy = self._policy
        passing = isinstance(error, (ClusterUnavailableError, ResourceExpiredError))
        return backoff(
            self._failures,
            base_s=policy.retry_base_s if passing else policy.refused_base_s,
            cap_s=policy.retry_cap_s if passing else policy.refused_cap_s,
            jitter=random.random(),  # noqa: S311  # it spreads load and guards nothing
        )
