"""Large answers take turns."""

import asyncio
from dataclasses import dataclass

import uvloop

from schema.engine.turns import FEW, next_turn


@dataclass
class Answer:
    """A large answer that is being made."""

    turns: tuple[int, int] | None = None


class Turn:
    """Counts the turns of the running loop."""

    def __init__(self) -> None:
        self.number = 0
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._begin)
        self.over = False

    def _begin(self) -> None:
        self.number += 1
        if not self.over:
            self._loop.call_soon(self._begin)


async def _work(turn: Turn, portions: int, done: list[int]) -> None:
    answer = Answer()
    for _ in range(portions):
        await next_turn(answer)
        done.append(turn.number)


async def test_one_portion_a_turn() -> None:
    """However many work at once, the loop makes one portion of one answer in each of its turns."""
    turn, done = Turn(), list[int]()
    await asyncio.gather(*(_work(turn, 20, done) for _ in range(16)))
    turn.over = True
    assert len(done) == 16 * 20
    assert len(set(done)) == len(done)


async def _order(*portions: int) -> list[int]:
    """Return whose portion was made, of answers of so many that are begun at once."""
    order: list[int] = []

    async def work(name: int, number: int) -> None:
        answer = Answer()
        for _ in range(number):
            await next_turn(answer)
            order.append(name)

    await asyncio.gather(*(work(name, number) for name, number in enumerate(portions)))
    return order


async def test_first_come_first_finished() -> None:
    """Answers of few portions are made one after the other, in the order they came."""
    assert await _order(FEW, FEW, 2) == [0] * FEW + [1] * FEW + [2] * 2


async def test_short_ones_do_not_wait_for_long_ones() -> None:
    """Each gets every other turn for its own, and long ones too are made one after the other."""
    order = await _order(40, 40, FEW, FEW)
    last = max(place for place, name in enumerate(order) if name > 1)
    # two long ones begin as short ones do, so the others wait for these few portions too
    assert last < 2 * 4 * FEW
    assert order[last + 1 :] == sorted(order[last + 1 :])


async def test_who_gives_up_takes_no_turn() -> None:
    """A canceled operation does not hold up the others."""
    turn, done = Turn(), list[int]()
    canceled = [asyncio.create_task(_work(turn, 1_000, [])) for _ in range(8)]
    going_on = asyncio.create_task(_work(turn, 50, done))
    await asyncio.sleep(0)
    for task in canceled:
        task.cancel()
    await going_on
    turn.over = True
    assert len(done) == 50
    ended = await asyncio.gather(*canceled, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in ended)


def test_every_loop_has_its_own() -> None:
    """A loop that ended in the middle of an answer holds up no other; uvloop's are as good."""

    async def leave() -> None:
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().stop)
        await next_turn(Answer())

    loop = asyncio.new_event_loop()
    task = loop.create_task(leave())
    loop.run_forever()
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    uvloop.run(next_turn(Answer()))
    asyncio.run(next_turn(Answer()))
