"""Runs a share of live queries both ways, compiled and ordinarily, and compares the answers.

The law of equality holds for all operations that the tests know. This asks the same of those that
clients send. Nobody waits for it: the second run begins when the answer is on its way.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from schema.core.error_format import Log

Body = Mapping[str, Any]
Run = Callable[[bool], Awaitable[Body]]
"""Runs the operation, compiled or not, and returns the body of the answer."""

EQUAL, DIFFERENT, MOVED, SKIPPED = "equal", "different", "moved", "skipped"
_TRIES = 3


class Shadow:
    """Compares at most one operation at a time.

    ``share`` of the queries are compared, unless ``busy`` says that there is other work. ``on_run``
    is told how each went: ``equal``, ``different``, ``moved`` where the data changed between the
    runs, ``skipped``.
    """

    def __init__(
        self,
        share: float,
        *,
        busy: Callable[[], bool],
        on_run: Callable[[str], None],
        log: Log,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._share = share
        self._busy = busy
        self._on_run = on_run
        self._log = log
        self._chance = chance
        self._running: asyncio.Task[None] | None = None

    def consider(self, operation: str | None, document_id: Callable[[], str], run: Run) -> None:
        """Compare an operation that was just answered, or do not."""
        if self._chance() >= self._share:
            return
        if (self._running is not None and not self._running.done()) or self._busy():
            self._on_run(SKIPPED)
            return
        self._running = asyncio.create_task(self._compare(operation, document_id, run))

    async def settled(self) -> None:
        """Wait until nothing is compared any more."""
        if self._running is not None:
            await asyncio.wait([self._running])

    async def close(self) -> None:
        """End what is being compared."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    async def _compare(
        self, operation: str | None, document_id: Callable[[], str], run: Run
    ) -> None:
        """Run both ways until the answers agree; data that clients change settles in between."""
        compiled = ordinary = b""
        try:
            for number in range(_TRIES):
                compiled = orjson.dumps(await run(True))  # noqa: FBT003
                ordinary = orjson.dumps(await run(False))  # noqa: FBT003
                if compiled == ordinary:
                    self._on_run(MOVED if number else EQUAL)
                    return
            self._on_run(DIFFERENT)
            self._log.error(
                "compiled and ordinary execution differ",
                operation=operation,
                document_id=document_id(),
                at=first_difference(orjson.loads(compiled), orjson.loads(ordinary)),
            )
        except Exception:  # noqa: BLE001 - a comparison that fails says nothing about answers
            self._on_run(SKIPPED)


def first_difference(one: Any, other: Any) -> str:
    """Return where two bodies begin to differ, without any value of a row."""
    way: list[str] = []
    while type(one) is type(other):
        if isinstance(one, dict):
            if list(one) != list(other):
                way.append("{names}")
                break
            key = next((k for k in one if one[k] != other[k]), None)
        elif isinstance(one, list):
            if len(one) != len(other):
                way.append("[length]")
                break
            key = next((n for n, item in enumerate(one) if item != other[n]), None)
        else:
            break
        if key is None:
            break
        way.append(str(key))
        one, other = one[key], other[key]
    return ".".join(way)
