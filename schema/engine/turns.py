"""Turns of large answers: each is made a portion at a time, and one portion per turn of the loop.

Pausing alone is not enough where several large answers are made at once: after each pause all of
them go on in the same turn of the event loop, and a heartbeat waits for a portion of each.
"""

import asyncio
from collections import deque
from weakref import WeakKeyDictionary


class Turns:
    """Who waits to go on, of one event loop; first come, first served."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._calling = False

    async def next(self) -> None:
        """Return in a later turn of the loop, in which nobody else does."""
        turn = self._loop.create_future()
        self._waiting.append(turn)
        if not self._calling:
            self._calling = True
            self._loop.call_soon(self._call)
        await turn

    def _call(self) -> None:
        """Let the next one go on, of those that did not give up."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                break
        self._calling = bool(self._waiting)
        if self._calling:
            self._loop.call_soon(self._call)


_TURNS: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


async def next_turn() -> None:
    """Let others have their turn, and go on when nobody else does."""
    loop = asyncio.get_running_loop()
    turns = _TURNS.get(loop)
    if turns is None:
        turns = _TURNS[loop] = Turns(loop)
    await turns.next()
