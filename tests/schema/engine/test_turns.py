"""Large answers take turns."""

import asyncio

import uvloop

from schema.engine.turns import next_turn


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
    for _ in range(portions):
        await next_turn()
        done.append(turn.number)


async def test_one_portion_a_turn() -> None:
    """However many work at once, the loop makes one portion of one answer in each of its turns."""
    turn, done = Turn(), list[int]()
    await asyncio.gather(*(_work(turn, 20, done) for _ in range(16)))
    turn.over = True
    assert len(done) == 16 * 20
    assert len(set(done)) == len(done)


async def test_first_come_first_served() -> None:
    """Nobody is left behind: those that work at once stay within one portion of each other."""
    turn, order = Turn(), list[int]()

    async def work(name: int) -> None:
        for _ in range(10):
            await next_turn()
            order.append(name)

    await asyncio.gather(*(work(name) for name in range(4)))
    turn.over = True
    assert order == list(range(4)) * 10


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
        await next_turn()

    loop = asyncio.new_event_loop()
    task = loop.create_task(leave())
    loop.run_forever()
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    uvloop.run(next_turn())
    asyncio.run(next_turn())
