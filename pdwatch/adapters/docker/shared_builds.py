"""Builds that several saves and workflows wait for (docs/adr/0029-shared-builds.md)."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pdwatch.errors import DockerError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

T = TypeVar("T")

UNWANTED_S = 60.0
"""A build that nobody has waited for in so long is cancelled: the saves have come to want another."""


@dataclass(slots=True, eq=False)
class _Build(Generic[T]):
    task: asyncio.Task[T | Exception]
    waiting: int = 0
    end: asyncio.TimerHandle | None = None
    """Ends it, while nobody waits."""


class SharedBuilds(Generic[T]):
    """Runs one build a key at a time, for all who want its result meanwhile.

    While :meth:`run` runs, a build goes on when those who wait for it are cancelled, as by a newer save,
    unless nobody has waited for :data:`UNWANTED_S`. While nothing runs it, as in a command that makes one
    image, a build is its caller's, and ends with it.
    """

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None
        self._builds: dict[str, _Build[T]] = {}

    async def run(self) -> None:
        """Run builds until cancelled; then cancel them, and wait until they have cleared up."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await asyncio.Event().wait()
            finally:
                self._group = None

    async def result(self, key: str, build: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the result of the build of ``key``: of the one that is under way, or of this one.

        What fails is told to those who wait then, and to nobody else: who comes later builds anew.

        Raises:
            DockerError: The build was ended meanwhile.
            Exception: What the build raises.
        """
        if self._group is None:
            return await build()
        if key not in self._builds:
            task = self._group.create_task(_outcome(build()), name=f"build {key}")
            self._builds[key] = _Build(task)
            task.add_done_callback(partial(self._ended, key))
        shared = self._builds[key]
        with self._waiting(key, shared):
            await asyncio.wait({shared.task})
        if shared.task.cancelled():
            raise DockerError("the build was ended, since pdwatch leaves Docker")
        outcome = shared.task.result()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @contextmanager
    def _waiting(self, key: str, shared: _Build[T]) -> Iterator[None]:
        shared.waiting += 1
        if shared.end is not None:
            shared.end.cancel()
            shared.end = None
        try:
            yield
        finally:
            shared.waiting -= 1
            if not shared.waiting and not shared.task.done():
                shared.end = asyncio.get_running_loop().call_later(UNWANTED_S, self._end, key)

    def _end(self, key: str) -> None:
        self._builds.pop(key).task.cancel()  # who wants it from now on does not wait for one that clears up

    def _ended(self, key: str, task: asyncio.Task[T | Exception]) -> None:
        shared = self._builds.get(key)
        if shared is None or shared.task is not task:
            return
        del self._builds[key]
        if shared.end is not None:
            shared.end.cancel()


async def _outcome(build: Coroutine[Any, Any, T]) -> T | Exception:
    """Return what a build returns, or raises: whoever waits raises it, and not the group that runs it."""
    try:
        return await build
    except Exception as error:  # noqa: BLE001  # see above
        return error
