"""Attempts that many wait for, and who is told of a failure."""

from __future__ import annotations

import asyncio

import pytest

from pdwatch.adapters.kubernetes.shared_attempts import SharedAttempts

pytestmark = pytest.mark.looptime


class Question:
    """Takes ten seconds to be asked."""

    def __init__(self) -> None:
        self.attempts = SharedAttempts()
        self.asked = 0
        self.failure: Exception | None = OSError("no answer")

    async def ask(self) -> int:
        async with self.attempts.attempt():
            self.asked += 1
            await asyncio.sleep(10)
            if self.failure:
                raise self.failure
            return self.asked


async def test_a_failure_is_that_of_all_who_wait_whenever_they_came():
    question = Question()
    async with asyncio.TaskGroup() as group:
        outcomes = []
        for _ in range(3):
            outcomes.append(group.create_task(asyncio.wait({asyncio.ensure_future(question.ask())})))
            await asyncio.sleep(3)
    assert question.asked == 1
    assert [str(task.exception()) for each in outcomes for task in each.result()[0]] == ["no answer"] * 3


async def test_who_comes_after_a_failure_asks_anew():
    question = Question()
    with pytest.raises(OSError, match="no answer"):
        await question.ask()
    question.failure = None
    assert await question.ask() == 2


async def test_whoever_is_cancelled_while_asking_fails_nobody_else():
    question = Question()
    question.failure = None
    first, second = (asyncio.create_task(question.ask()) for _ in range(2))
    await asyncio.sleep(5)
    first.cancel()
    assert await second == 2
