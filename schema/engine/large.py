"""Few large answers are read at once; the others wait until one of these is made.

Sixteen answers of thousands of rows, read side by side, are in memory side by side, and for each
portion that is made of one, its rows have to come from there again: that is a third more for each
row. Three keep the event loop busy, and fit into the processor's caches. Who waits has taken no
connection. Where three do not keep the loop busy, since the database takes its time, more are read.

A large answer is known by those before it: how many rows a plan's answers had, for what they cost,
and so how many the next one will have. One whose plan has never had a large one does not wait.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic, thread_time
from typing import Final
from weakref import WeakKeyDictionary

from resolvers.core.errors import Overloaded
from schema.engine.pieces import WEIGHT

LARGE: Final = 500
"""Rows from which an answer counts as large."""
AT_ONCE: Final = 3
"""Large answers that are read at once."""
LOOK_SECONDS: Final = 0.005
"""Between two looks whether the loop is busy, while somebody waits."""
BUSY_SHARE: Final = 0.8
"""Part of the time that a busy loop works; while it does less, more answers are read."""
SLOW_SECONDS: Final = 0.25
"""After so long an answer keeps nobody waiting any more, however busy the loop is with others."""
_BUSY: Final = "Too many large answers are asked for; try again shortly."


class Usual:
    """How many rows the answers of a plan have, as far as that is worth knowing."""

    __slots__ = ("rows_per_cost",)

    def __init__(self) -> None:
        self.rows_per_cost = 0.0
        """0 for a plan that never had a large answer."""

    def rows(self, cost: int) -> float:
        """Return how many rows the answer to an operation of that cost is likely to have."""
        return cost * self.rows_per_cost

    def learn(self, cost: int, rows: int) -> None:
        """Take an answer into account; those of plans that never had a large one do not count."""
        known = self.rows_per_cost
        if known:
            self.rows_per_cost = known + WEIGHT * (rows / max(cost, 1) - known)
        elif rows >= LARGE:
            self.rows_per_cost = rows / max(cost, 1)


class FewAtOnce:
    """Who reads a large answer, and who waits for it, of one event loop; first come, first read.

    ``worked`` tells how many seconds the loop's thread has worked.
    """

    def __init__(self, worked: Callable[[], float] = thread_time) -> None:
        self._worked = worked
        self._reading: dict[object, float] = {}
        """Those that keep others waiting, and since when they read."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._looks = False
        """Whether somebody waits, so that it is looked how busy the loop is."""

    @asynccontextmanager
    async def turn(self, wait_seconds: float) -> AsyncIterator[None]:
        """Wait until an answer may be read; it may be until the block ends.

        Raises:
            Overloaded: that took longer than ``wait_seconds``.

        """
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._let_go_on(AT_ONCE)
        try:
            if not turn.done():
                try:
                    async with asyncio.timeout(wait_seconds):
                        await turn
                except TimeoutError:
                    raise Overloaded(_BUSY) from None
            yield
        finally:
            turn.cancel()  # who gives up is passed over
            self._reading.pop(turn, None)
            self._let_go_on(AT_ONCE)

    def _let_go_on(self, most: int) -> None:
        """Let those that came first read, until there are so many."""
        waiting = self._waiting
        while waiting and len(self._reading) < most:
            turn = waiting.popleft()
            if not turn.done():
                self._reading[turn] = monotonic()
                turn.set_result(None)
        if waiting and not self._looks:
            self._looks = True
            self._look_later()

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()  # not kept: it is forgotten with what is kept for it
        loop.call_later(LOOK_SECONDS, self._look, monotonic(), self._worked())

    def _look(self, since: float, worked: float) -> None:
        """Let one more read if the loop had time for it, or in place of those that take long."""
        now = monotonic()
        self._reading = {
            turn: began for turn, began in self._reading.items() if began > now - SLOW_SECONDS
        }
        busy = self._worked() - worked >= BUSY_SHARE * (now - since)
        self._let_go_on(AT_ONCE if busy else max(AT_ONCE, len(self._reading) + 1))
        self._looks = bool(self._waiting)
        if self._looks:
            self._look_later()


_FEW: WeakKeyDictionary[asyncio.AbstractEventLoop, FewAtOnce] = WeakKeyDictionary()


def few_at_once() -> FewAtOnce:
    """Return what bounds large answers of the running loop."""
    loop = asyncio.get_running_loop()
    few = _FEW.get(loop)
    if few is None:
        few = _FEW[loop] = FewAtOnce()
    return few
