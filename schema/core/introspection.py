"""Answers about the schema: long, and the same for everybody while the process lives.

All of the schema takes graphql-core most of a second, in which an event loop would do nothing else.
So they are made by a thread, once, and kept.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from graphql import ExecutionResult

from resolvers.core.errors import Overloaded

_MOST_KEPT: Final = 4
"""Answers kept; clients and tools ask with a handful of documents."""
_MOST_MAKING: Final = 8
"""Answers that are made or wait for it; one thread makes them all."""


class Introspections:
    """Makes answers about one schema, each once for all who wait for it. For one event loop."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "introspection")
        self._kept: OrderedDict[Hashable, ExecutionResult] = OrderedDict()
        self._making: dict[Hashable, asyncio.Task[ExecutionResult]] = {}

    async def result(
        self, key: Hashable, execute: Callable[[], ExecutionResult]
    ) -> ExecutionResult:
        """Return what ``execute`` returns, or returned before for the same ``key``.

        It runs in a thread, to its end even if nobody waits for it any more. What it returns is
        shared: nobody may change it.

        Raises:
            Overloaded: too many different ones wait.

        """
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        making = self._making.get(key)
        if making is None:
            if len(self._making) >= _MOST_MAKING:
                raise Overloaded("Too many ask about the schema; try again shortly.")
            making = self._making[key] = asyncio.create_task(self._make(key, execute))
        return await asyncio.shield(making)

    async def _make(self, key: Hashable, execute: Callable[[], ExecutionResult]) -> ExecutionResult:
        try:
            made = await asyncio.get_running_loop().run_in_executor(self._thread, execute)
        finally:
            del self._making[key]
        if not made.errors:
            self._kept[key] = made
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return made
