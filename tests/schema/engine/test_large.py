"""Few large answers are read at once."""

import asyncio
import gc
from collections.abc import Callable
from time import monotonic
from weakref import ref

import pytest

from resolvers.core.errors import Overloaded
from schema.engine.large import (
    AT_ONCE,
    LARGE,
    LOOK_SECONDS,
    SLOW_SECONDS,
    FewAtOnce,
    Usual,
    few_at_once,
)
from tests.fixtures.hand import Hand

_SECONDS = 10


class Reading:
    """Answers that are read until they are let go, and who reads now, in order."""

    def __init__(self, *, busy: bool = True) -> None:
        self._few = FewAtOnce(monotonic if busy else lambda: 0.0)
        self.wait_seconds = 10.0
        self.now: list[int] = []
        self._begun = asyncio.Event()
        self.most = 0
        self._made: dict[int, asyncio.Event] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}

    def begin(self, *names: int) -> None:
        """Begin to read so many answers, or wait for it."""
        for name in names:
            self._made[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._read(name))

    async def end(self, name: int) -> None:
        """Have an answer made."""
        self._made[name].set()
        await self.tasks[name]

    async def come_to(self, *names: int) -> None:
        """Return when these are read, in this order."""
        async with asyncio.timeout(_SECONDS):
            while self.now != [*names]:
                self._begun.clear()
                await self._begun.wait()

    async def _read(self, name: int) -> None:
        async with self._few.turn(self.wait_seconds):
            self.now.append(name)
            self._begun.set()
            self.most = max(self.most, len(self.now))
            try:
                await self._made[name].wait()
            finally:
                self.now.remove(name)


async def _few_turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_came_first_reads_first() -> None:
    """As many read as may, and each that is made lets the next one go on."""
    reading = Reading()
    reading.begin(*range(AT_ONCE + 2))
    await _few_turns()
    assert reading.now == [*range(AT_ONCE)]
    await reading.end(1)
    await _few_turns()
    assert reading.now == [0, 2, 3]
    for name in (0, 2, 3, 4):
        await reading.end(name)
    assert reading.most == AT_ONCE


async def test_slow_ones_are_passed_over() -> None:
    """On a loop that is busy with others, they keep nobody waiting but for a moment."""
    reading = Reading()
    began = asyncio.get_running_loop().time()
    reading.begin(*range(AT_ONCE + 2))
    await reading.come_to(*range(AT_ONCE + 2))
    assert asyncio.get_running_loop().time() - began >= SLOW_SECONDS * 0.9
    # those passed over leave nothing behind when they are made at last
    for name in range(AT_ONCE + 2):
        await reading.end(name)
    reading.begin(*range(10, 10 + AT_ONCE + 1))
    await _few_turns()
    assert reading.now == [*range(10, 10 + AT_ONCE)]
    for name in range(10, 10 + AT_ONCE + 1):
        await reading.end(name)


async def test_more_are_read_while_the_loop_has_nothing_to_do(hand: Hand) -> None:
    """Where the database takes its time, it works on all of them, long before they are slow."""
    reading = Reading(busy=False)
    names = range(AT_ONCE + 10)
    reading.begin(*names)
    await _few_turns()
    assert reading.now == [*range(AT_ONCE)]
    for more in range(1, 11):  # one at each look
        await hand.turn(LOOK_SECONDS)
        assert reading.now == [*range(AT_ONCE + more)]
    for name in names:
        await reading.end(name)


async def test_who_waits_too_long_is_refused() -> None:
    """As where no connection becomes free; those who read and those who came later go on."""
    reading = Reading()
    reading.begin(*range(AT_ONCE))
    await _few_turns()
    reading.wait_seconds = 0.01
    reading.begin(AT_ONCE)
    with pytest.raises(Overloaded, match="large answers"):
        await reading.tasks[AT_ONCE]
    reading.wait_seconds = 10.0
    reading.begin(AT_ONCE + 1)
    await reading.end(0)
    await _few_turns()
    assert reading.now == [*range(1, AT_ONCE), AT_ONCE + 1]
    for name in (*range(1, AT_ONCE), AT_ONCE + 1):
        await reading.end(name)


async def test_a_loop_has_one() -> None:
    """All who ask on a loop share it, and it knows the work of its thread."""
    assert few_at_once() is few_at_once()
    other = await asyncio.to_thread(lambda: asyncio.run(_few()))
    assert other is not few_at_once()


def test_a_loop_that_is_over_is_forgotten() -> None:
    """What bounds its answers does not hold on to it."""

    async def read() -> "ref[asyncio.AbstractEventLoop]":
        async with few_at_once().turn(1.0):
            return ref(asyncio.get_running_loop())

    over = asyncio.run(read())
    gc.collect()
    assert over() is None


async def _few() -> FewAtOnce:
    return few_at_once()


async def _gives_up_waiting(reading: Reading) -> None:
    reading.tasks[AT_ONCE].cancel()
    await _few_turns()
    await reading.end(0)


async def _gives_up_reading(reading: Reading) -> None:
    reading.tasks[0].cancel()
    reading.tasks[AT_ONCE].cancel()


async def _gives_up_when_let_go(reading: Reading) -> None:
    reading.tasks[0].cancel()
    await asyncio.sleep(0)  # the next one has its turn, and did not take it yet
    reading.tasks[AT_ONCE].cancel()


@pytest.mark.parametrize("give_up", [_gives_up_waiting, _gives_up_reading, _gives_up_when_let_go])
async def test_who_gives_up_keeps_nobody_waiting(
    give_up: Callable[[Reading], object],
) -> None:
    """Whoever goes away, while it waits, reads or is let go, leaves its turn to the next."""
    reading = Reading()
    reading.begin(*range(AT_ONCE + 2))
    await _few_turns()
    await give_up(reading)  # type: ignore[misc]
    await _few_turns()
    assert reading.now == [*range(1, AT_ONCE), AT_ONCE + 1]
    for name in (*range(1, AT_ONCE), AT_ONCE + 1):
        await reading.end(name)
    assert isinstance(
        (await asyncio.gather(reading.tasks[AT_ONCE], return_exceptions=True))[0],
        asyncio.CancelledError,
    )


def test_a_plan_is_known_by_its_answers() -> None:
    """By the cost of the next one: pages of five are not large, those of five hundred may be."""
    usual = Usual()
    usual.learn(1_000, LARGE - 1)
    assert not usual.rows(1_000_000), "it never had a large answer"
    usual.learn(1_000, 2 * LARGE)
    assert usual.rows(1_000) == 2 * LARGE
    assert usual.rows(500) == LARGE
    assert usual.rows(499) < LARGE


def test_a_plan_is_known_by_its_latest_answers() -> None:
    """A single large answer among many small ones keeps nobody waiting for long."""
    usual = Usual()
    usual.learn(1_000, 10 * LARGE)
    assert usual.rows(1_000) == 10 * LARGE
    for _ in range(30):
        usual.learn(1_000, 1)
    assert usual.rows(1_000) < LARGE
