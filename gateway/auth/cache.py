"""Two small caches: values used recently, and answers kept for seconds that are asked for once."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """The ``size`` values used most recently."""

    def __init__(self, *, size: int) -> None:
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return the value of ``key``, which counts as a use, or None."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep ``value``, in place of the one unused for longest when there is no room."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)


class Lookup(Generic[K, V]):
    """Answers of ``load``, each believed for ``ttl`` seconds from the moment it was asked for.

    Callers that want the same key at the same time share one load, and one of them going away does
    not take it from the others. At most ``parallel`` loads run at once, so that a flood of unknown
    keys queues here and not for database connections. At most ``size`` answers are kept. A load
    that fails is not kept: its error goes to the callers that waited for it.
    """

    def __init__(
        self,
        load: Callable[[K], Awaitable[V]],
        *,
        ttl: float,
        size: int,
        parallel: int,
        timer: Callable[[], float],
    ) -> None:
        self._load = load
        self._ttl = ttl
        self._size = size
        self._slots = asyncio.Semaphore(parallel)
        self._timer = timer
        self._answers: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._loading: dict[tuple[int, K], asyncio.Task[V]] = {}
        self._generation = 0

    def kept(self, key: K) -> V | None:
        """Return the answer for ``key`` if there is one that is not too old."""
        kept = self._answers.get(key)
        return kept[1] if kept is not None and self._timer() < kept[0] else None

    async def get(self, key: K) -> V:
        """Return the answer for ``key``, loading it when there is none or it is too old."""
        kept = self._answers.get(key)
        if kept is not None and self._timer() < kept[0]:
            return kept[1]
        flight = (self._generation, key)
        task = self._loading.get(flight)
        if task is None:
            task = self._loading[flight] = asyncio.create_task(self._load_and_keep(flight))
        return await asyncio.shield(task)

    def clear(self) -> None:
        """Forget every answer, also those being loaded now: they may already be out of date."""
        self._generation += 1
        self._answers.clear()

    async def _load_and_keep(self, flight: tuple[int, K]) -> V:
        generation, key = flight
        try:
            async with self._slots:
                asked_at = self._timer()
                answer = await self._load(key)
        finally:
            del self._loading[flight]
        if generation == self._generation:
            self._keep(key, asked_at + self._ttl, answer)
        return answer

    def _keep(self, key: K, until: float, answer: V) -> None:
        self._answers[key] = (until, answer)
        self._answers.move_to_end(key)
        if len(self._answers) > self._size:
            # Answers stand in the order they were loaded in, so the first is the next to expire.
            self._answers.popitem(last=False)
