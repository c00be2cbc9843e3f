"""Blocks that end in time."""

import asyncio

import pytest

from resolvers.core.deadline import Deadline, Deadlines
from tests.fixtures.hand import Hand


async def test_a_block_that_takes_too_long_is_ended() -> None:
    """It raises TimeoutError, and tells that it was the deadline."""
    deadline = Deadlines(0.02).begin()
    with pytest.raises(TimeoutError), deadline:
        await asyncio.sleep(5)
    assert deadline.expired


async def test_a_block_that_is_over_is_left_alone(hand: Hand) -> None:
    """Neither its task nor what the task does next is canceled."""
    deadlines = Deadlines(0.01)
    with deadlines.begin() as deadline:
        await asyncio.sleep(0)
    await hand.turn(0.03)
    assert not deadline.expired


async def test_each_of_many_has_its_own_time(hand: Hand) -> None:
    """Those out of time end in the order they began; others beside them go on."""
    deadlines = Deadlines(0.05)
    ended: list[int] = []

    async def block(number: int, seconds: float) -> None:
        try:
            with deadlines.begin():
                await asyncio.sleep(seconds)
        except TimeoutError:
            ended.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(block(number, 0 if number % 2 else 5))
            await hand.turn(0.001, 5)
        await hand.turn(0.031, 5)
        assert ended == [0]
        for _ in range(20):
            await hand.turn(0.001, 5)
    assert ended == list(range(0, 20, 2))


async def test_no_limit() -> None:
    """Without seconds nothing is timed."""
    with Deadlines(None).begin() as deadline:
        await asyncio.sleep(0.01)
    assert not deadline.expired


async def test_a_failure_stays_what_it_is() -> None:
    """What a block raises by itself is not hidden."""
    with pytest.raises(ValueError, match="own"), Deadlines(1).begin():
        raise ValueError("own")


async def test_whoever_else_cancels_gets_it_canceled() -> None:
    """A client that leaves in the moment the time is over is not told of a timeout."""
    deadlines = Deadlines(0.01)
    inside = asyncio.Event()

    async def block() -> None:
        with deadlines.begin():
            inside.set()
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                await asyncio.sleep(0.05)  # cleaning up, while somebody else cancels too
                raise

    task = asyncio.create_task(block())
    await inside.wait()
    await asyncio.sleep(0.03)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_task_can_go_on_after_a_deadline() -> None:
    """The cancellation is taken back, so that later waits work."""
    deadlines = Deadlines(0.01)

    async def work() -> str:
        for _ in range(2):
            try:
                with deadlines.begin():
                    await asyncio.sleep(5)
            except TimeoutError:
                continue
        await asyncio.sleep(0.001)
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        return "done"

    assert await asyncio.create_task(work()) == "done"


async def test_what_is_over_is_not_kept() -> None:
    """Thousands of short blocks leave nothing behind."""
    deadlines = Deadlines(60)
    for _ in range(1_000):
        with deadlines.begin():
            pass
    kept = [one for one in vars(deadlines)["running"] if isinstance(one, Deadline)]
    assert len(kept) <= 1
