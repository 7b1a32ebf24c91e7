"""Builds that several wait for, on virtual time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pdwatch.adapters.docker.shared_builds import SharedBuilds
from pdwatch.errors import DiskFullError, DockerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = pytest.mark.looptime

BUILD_S = 7.0


@dataclass(slots=True)
class Builds:
    """Builds of seven seconds each, by what has become of them."""

    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    failure: Exception | None = None

    async def build(self, key: str = "a") -> str:
        self.begun.append(key)
        try:
            await asyncio.sleep(BUILD_S)
        except asyncio.CancelledError:
            await asyncio.sleep(1)  # what it clears up
            self.cancelled.append(key)
            raise
        if self.failure:
            raise self.failure
        self.ended.append(key)
        return f"image {len(self.ended)}"


@asynccontextmanager
async def shared(builds: Builds) -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Yield what returns the result of a key's build, while they are run."""
    images: SharedBuilds[str] = SharedBuilds()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(images.run())
        await asyncio.sleep(0)
        yield lambda key="a": images.result(key, partial(builds.build, key))
        running.cancel()


async def wanted_for(seconds: float, result: Awaitable[str]) -> None:
    """Wait for a result, and be superseded."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(result, seconds)


async def test_whoever_saves_every_two_seconds_gets_the_build_that_the_first_save_began():
    builds = Builds()
    async with shared(builds) as result:
        for _ in range(3):
            await wanted_for(2, result())
        began = asyncio.get_running_loop().time()
        assert await result() == "image 1"
        assert asyncio.get_running_loop().time() - began == pytest.approx(1)
    assert builds.begun == builds.ended == ["a"]


async def test_it_ends_even_while_nobody_waits_and_is_not_kept():
    builds = Builds()
    async with shared(builds) as result:
        await wanted_for(2, result())
        await asyncio.sleep(BUILD_S)
        assert builds.ended == ["a"]
        assert await result() == "image 2"


async def test_builds_of_other_keys_go_on_beside_it():
    builds = Builds()
    async with shared(builds) as result:
        began = asyncio.get_running_loop().time()
        await asyncio.gather(result("a"), result("b"), result("a"))
        assert asyncio.get_running_loop().time() - began == pytest.approx(BUILD_S)
    assert builds.begun == ["a", "b"]


async def test_a_failure_is_told_to_all_who_wait_and_who_comes_later_builds_anew():
    builds = Builds(failure=DiskFullError("no space left"))
    async with shared(builds) as result:
        both = await asyncio.gather(result(), result(), return_exceptions=True)
        assert [*both] == [builds.failure] * 2
        builds.failure = None
        assert await result() == "image 1"


async def test_a_failure_that_nobody_waits_for_ends_nothing():
    builds = Builds(failure=DiskFullError("no space left"))
    async with shared(builds) as result:
        await wanted_for(2, result())
        await asyncio.sleep(BUILD_S)
        builds.failure = None
        assert await result() == "image 1"


async def test_one_that_nobody_wants_for_a_while_is_cancelled_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("pdwatch.adapters.docker.shared_builds.UNWANTED_S", 3.0)
    builds = Builds()
    async with shared(builds) as result:
        await wanted_for(1, result())
        await asyncio.sleep(2.9)
        await wanted_for(0.05, result())
        assert builds.cancelled == [], "somebody wanted it again"
        await asyncio.sleep(2.5)
        assert await result() == "image 1", "that of the first"
        await wanted_for(1, result())
        await asyncio.sleep(3.1)
        assert await result() == "image 2"
        assert builds.cancelled == ["a"]
    assert builds.begun == ["a"] * 3


async def test_when_what_runs_them_ends_they_have_cleared_up_and_nobody_waits_any_more():
    builds = Builds()
    async with asyncio.TaskGroup() as group:
        async with shared(builds) as result:
            await wanted_for(1, result("b"))
            waiting = group.create_task(asyncio.wait({asyncio.ensure_future(result("a"))}))
            await asyncio.sleep(1)
        assert sorted(builds.cancelled) == ["a", "b"]
    (failed,), _ = waiting.result()
    assert isinstance(failed.exception(), DockerError)


async def test_while_nothing_runs_them_a_build_is_its_callers_and_ends_with_it():
    builds, images = Builds(), SharedBuilds[str]()
    await wanted_for(2, images.result("a", builds.build))
    assert builds.cancelled == ["a"]
    assert await images.result("a", builds.build) == "image 1"
