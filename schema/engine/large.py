"""Few large answers are read at once; the others wait until one of these is made.

Sixteen answers of thousands of rows, read side by side, are in memory side by side, and for each
portion that is made of one, its rows have to come from there again: that is a third more for each
row. Three keep the database and the event loop busy, and fit into the processor's caches. Who waits
has taken no connection.

A large answer is known by those before it: how many rows a plan's answers had, for what they cost,
and so how many the next one will have. One whose plan has never had a large one does not wait.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakKeyDictionary

LARGE: Final = 500
"""Rows from which an answer counts as large."""
AT_ONCE: Final = 3
"""Large answers that are read at once."""
SLOW_SECONDS: Final = 0.05
"""After so long an answer no longer keeps others waiting: it waits itself, for the database."""
_WEIGHT: Final = 1 / 8
"""What the latest answer counts for among those before it."""


class Usual:
    """How many rows the answers of a plan have, as far as that is worth knowing."""

    __slots__ = ("rows_per_cost",)

    def __init__(self) -> None:
        self.rows_per_cost = 0.0
        """0 for a plan that never had a large answer."""

    def is_large(self, cost: int) -> bool:
        """Tell whether an operation of that cost is likely to have a large answer."""
        return cost * self.rows_per_cost >= LARGE

    def learn(self, cost: int, rows: int) -> None:
        """Take an answer into account; those of plans that never had a large one do not count."""
        known = self.rows_per_cost
        if known:
            self.rows_per_cost = known + _WEIGHT * (rows / max(cost, 1) - known)
        elif rows >= LARGE:
            self.rows_per_cost = rows / max(cost, 1)


class FewAtOnce:
    """Who reads a large answer, and who waits for it, of one event loop; first come, first read."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reading: dict[object, float] = {}
        """Those that keep others waiting, and since when they read."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until an answer may be read; it may be until the block ends."""
        turn = self._loop.create_future()
        self._waiting.append(turn)
        self._let_go_on()
        try:
            await turn
            yield
        finally:
            turn.cancel()  # who gives up is passed over
            self._reading.pop(turn, None)
            self._let_go_on()

    def _let_go_on(self) -> None:
        """Let those that came first read, as many as may."""
        waiting = self._waiting
        while waiting and len(self._reading) < AT_ONCE:
            turn = waiting.popleft()
            if not turn.done():
                self._reading[turn] = self._loop.time()
                turn.set_result(None)
        if waiting and self._timer is None:
            oldest = min(self._reading.values())
            self._timer = self._loop.call_at(oldest + SLOW_SECONDS, self._pass_over_slow)

    def _pass_over_slow(self) -> None:
        """Let nobody wait any longer for those that have been at it for long."""
        self._timer = None
        latest = self._loop.time() - SLOW_SECONDS
        self._reading = {turn: since for turn, since in self._reading.items() if since > latest}
        self._let_go_on()


_FEW: WeakKeyDictionary[asyncio.AbstractEventLoop, FewAtOnce] = WeakKeyDictionary()


def few_at_once() -> FewAtOnce:
    """Return what bounds large answers of the running loop."""
    loop = asyncio.get_running_loop()
    few = _FEW.get(loop)
    if few is None:
        few = _FEW[loop] = FewAtOnce(loop)
    return few
