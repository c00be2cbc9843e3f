"""Turns of large answers: each is made a portion at a time, and one portion per turn of the loop.

Pausing alone is not enough where several large answers are made at once: after each pause all of
them go on in the same turn of the event loop, and a heartbeat waits for a portion of each.

The answer begun first is finished first: between portions of others the processor would forget what
an answer is made of, and have to fetch it from memory for every portion. An answer of few portions
does not wait for long ones to be finished; it gets every other turn.
"""

import asyncio
from heapq import heappop, heappush
from itertools import count
from typing import Final, Protocol
from weakref import WeakKeyDictionary

FEW: Final = 4
"""Portions of an answer that come before the rest of those that have more."""


class Making(Protocol):
    """What remembers for a large answer how it stands; a context, of its operation."""

    turns: tuple[int, int] | None
    """Its place among all, by when they began, and the turns it took; None before the first."""


_Waiting = list[tuple[int, int, "asyncio.Future[None]"]]
"""A heap of those who wait, by when they began and when they asked."""


class Turns:
    """Who waits to go on, of one event loop; whoever began first goes first."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._begun = count(1)
        self._asked = count()
        self._short: _Waiting = []
        """Those that had few turns so far."""
        self._long: _Waiting = []
        self._calling = False

    async def next(self, answer: Making) -> None:
        """Return in a later turn of the loop, in which nobody else does."""
        turn = self._loop.create_future()
        begun, taken = answer.turns or (next(self._begun), 0)
        answer.turns = begun, taken + 1
        waiting = self._short if taken < FEW else self._long
        heappush(waiting, (begun, next(self._asked), turn))
        if not self._calling:
            self._calling = True
            self._loop.call_soon(self._call, self._short)
        await turn

    def _call(self, first: _Waiting) -> None:
        """Let the next one go on, of those that did not give up, if there is one of the first."""
        second = self._long if first is self._short else self._short
        self._calling = _let_one_go_on(first) or _let_one_go_on(second)
        if self._calling:
            self._loop.call_soon(self._call, second)


def _let_one_go_on(waiting: _Waiting) -> bool:
    while waiting:
        *_, turn = heappop(waiting)
        if not turn.done():
            turn.set_result(None)
            return True
    return False


_TURNS: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


async def next_turn(answer: Making) -> None:
    """Let others have their turn, and go on when nobody else does."""
    loop = asyncio.get_running_loop()
    turns = _TURNS.get(loop)
    if turns is None:
        turns = _TURNS[loop] = Turns(loop)
    await turns.next(answer)
