"""The DataLoader behind every relation field: one batch per level, and no waiter harms another."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Generic, Self, TypeVar

from aiodataloader import DataLoader

from resolvers.core.context import OperationStats

K = TypeVar("K")
V = TypeVar("V")

Columns = frozenset[str]
"""The columns a load wants of the rows behind its key."""

Batch = Callable[[list[K], Columns], Awaitable[Sequence[V]]]
"""Loads distinct keys at once: one value per key, in their order.

A value that is an `Exception` is raised to the waiters of its key.
"""

NO_COLUMNS: Columns = frozenset()

_QUIET_TICKS = 4
"""Turns of the event loop without a new key before a batch goes out; siblings differ by fewer."""
_MOST_TICKS = 32
"""Turns a batch waits at most, however many keys still arrive: some 50 microseconds when idle."""


class BatchCanceled(RuntimeError):
    """The batch a load waited for was canceled before there was a value."""


class _Entry(Generic[K, V]):
    """One key on its way to a value, and who waits for it.

    Every waiter has a future of its own, so that canceling one leaves the others be. Once settled,
    the first future also answers later loads: a settled future cannot be canceled.
    """

    __slots__ = ("columns", "first", "key", "others", "settled")

    def __init__(self, key: K, first: "asyncio.Future[V]") -> None:
        self.key = key
        self.first = first
        self.others: list[asyncio.Future[V]] | None = None
        self.columns: Columns | None = None  # those of its whole batch, known once that goes out
        self.settled = False

    def settle(self, value: V | Exception) -> None:
        """Hand ``value`` to every waiter; an exception is raised to them."""
        self.settled = True
        if self.first.cancelled():
            self.first = self.first.get_loop().create_future()
        _settle(self.first, value)
        if self.others is not None:
            for future in self.others:
                _settle(future, value)
            self.others = None


def _settle(future: "asyncio.Future[V]", value: V | Exception) -> None:
    if future.done():
        return
    if isinstance(value, Exception):
        future.set_exception(value)
        future.exception()  # counts as retrieved: a field nobody waits for any more is no news
    else:
        future.set_result(value)


class BatchLoader(DataLoader[K, V]):
    """Loads values by key for one operation, batched and cached.

    Beyond aiodataloader: canceling a waiter harms neither its key nor other waiters; a batch that
    fails or is canceled fails its waiters and is forgotten; keys that arrive within a few turns of
    the event loop share a batch; loads name the columns they want, and a batch reads those of all
    its keys; batches are counted in ``stats`` under ``name``.

    At most ``max_batch_size`` keys go to ``batch`` at once; of the chunks of a larger batch
    ``concurrent_chunks`` run at a time, one unless the batch function has connections to spare.

    Raises:
        RuntimeError: no event loop is running.

    """

    def __init__(
        self,
        name: str,
        batch: Batch[K, V],
        *,
        stats: OperationStats,
        max_batch_size: int = 1_000,
        concurrent_chunks: int = 1,
    ) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self.name = name
        self._batch = batch
        self._stats = stats
        self._chunk_size = max_batch_size
        self._concurrent_chunks = concurrent_chunks
        self._entries: dict[K, _Entry[K, V]] = {}
        self._waiting: list[_Entry[K, V]] = []
        self._wanted = NO_COLUMNS
        self._running: set[asyncio.Task[None]] = set()
        self._closed = False

    def load(self, key: K, columns: Columns = NO_COLUMNS) -> "asyncio.Future[V]":
        """Return a future, the caller's own, of ``key``'s value with at least ``columns``.

        Raises:
            TypeError: the key is None; a null foreign key is answered without a load.
            RuntimeError: the loader is closed.

        """
        entry = self._entries.get(key)
        if entry is None:
            if key is None:
                raise TypeError(f"{self.name}: None is not a key")
            return self._enqueue(key, columns)
        known = entry.columns
        if known is None:
            self._want(columns)
        elif not columns <= known:
            return self._enqueue(key, columns | known)
        self._stats.cache_hits += 1
        return entry.first if entry.settled else self._join(entry)

    def load_many(
        self, keys: Iterable[K], columns: Columns = NO_COLUMNS
    ) -> "asyncio.Future[list[V]]":
        """Return a future of the values of ``keys``, in their order."""
        return asyncio.gather(*[self.load(key, columns) for key in keys])

    def prime(self, key: K, value: V | Exception, columns: Columns = NO_COLUMNS) -> Self:
        """Answer later loads of ``key`` that want no more than ``columns``, unless it is known."""
        if key not in self._entries:
            entry = self._entries[key] = _Entry[K, V](key, self.loop.create_future())
            entry.columns = columns
            entry.settle(value)
        return self

    def clear(self, key: K) -> Self:
        """Make the next load of ``key`` read anew; one still waiting for its batch will anyway."""
        entry = self._entries.get(key)
        if entry is not None and entry.columns is not None:
            del self._entries[key]
        return self

    def clear_all(self) -> Self:
        """Make the next load of every key read anew."""
        self._entries = {entry.key: entry for entry in self._waiting}
        return self

    async def aclose(self) -> None:
        """Cancel the batches still running, fail their waiters, and refuse further keys.

        To be awaited before the operation's connection goes back to its pool.
        """
        self._closed = True
        waiting, self._waiting = self._waiting, []
        self._fail(waiting, self._canceled())
        running = tuple(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    async def batch_load_fn(self, keys: list[K]) -> list[V]:
        """Load ``keys`` past the cache: aiodataloader's own hook."""
        return list(await self._batch(keys, NO_COLUMNS))

    def _enqueue(self, key: K, columns: Columns) -> "asyncio.Future[V]":
        if not self._waiting:
            self._schedule()
        future: asyncio.Future[V] = self.loop.create_future()
        entry = self._entries[key] = _Entry(key, future)
        self._waiting.append(entry)
        self._want(columns)
        return future

    def _join(self, entry: _Entry[K, V]) -> "asyncio.Future[V]":
        future: asyncio.Future[V] = self.loop.create_future()
        if entry.others is None:
            entry.others = [future]
        else:
            entry.others.append(future)
        return future

    def _want(self, columns: Columns) -> None:
        wanted = self._wanted
        if not wanted:
            self._wanted = columns
        elif columns is not wanted and not columns <= wanted:
            self._wanted = wanted | columns

    def _schedule(self) -> None:
        if self._closed:
            raise RuntimeError(f"{self.name}: load after the end of its operation")
        self.loop.call_soon(self._await_quiet, 0, _QUIET_TICKS, _MOST_TICKS)

    def _await_quiet(self, seen: int, quiet: int, left: int) -> None:
        """Send the batch once no key came for some turns of the loop, or too many turns went by."""
        arrived = len(self._waiting)
        if arrived > seen:
            quiet = _QUIET_TICKS
        if quiet and left:
            self.loop.call_soon(self._await_quiet, arrived, quiet - 1, left - 1)
        else:
            self._dispatch()

    def _dispatch(self) -> None:
        entries, self._waiting = self._waiting, []
        columns, self._wanted = self._wanted, NO_COLUMNS
        if not entries:
            return
        for entry in entries:
            entry.columns = columns
        task = self.loop.create_task(self._load(entries, columns), name=self.name)
        self._running.add(task)
        task.add_done_callback(partial(self._finish, entries))

    async def _load(self, entries: list[_Entry[K, V]], columns: Columns) -> None:
        size = self._chunk_size
        chunks = (entries[start : start + size] for start in range(0, len(entries), size))

        async def drain() -> None:
            for chunk in chunks:
                await self._load_chunk(chunk, columns)

        if self._concurrent_chunks == 1:
            await drain()
            return
        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrent_chunks):
                group.create_task(drain())

    async def _load_chunk(self, chunk: list[_Entry[K, V]], columns: Columns) -> None:
        keys = [entry.key for entry in chunk]
        stats = self._stats
        stats.batches += 1
        stats.batched_keys += len(keys)
        stats.loaders[self.name] = stats.loaders.get(self.name, 0) + 1
        try:
            values = await self._read(keys, columns)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            self._fail(chunk, error)
        else:
            for entry, value in zip(chunk, values, strict=True):
                entry.settle(value)

    async def _read(self, keys: list[K], columns: Columns) -> Sequence[V]:
        values = await self._batch(keys, columns)
        if len(values) != len(keys):
            raise TypeError(f"{self.name}: {len(values)} values for {len(keys)} keys")
        return values

    def _finish(self, entries: list[_Entry[K, V]], task: "asyncio.Task[None]") -> None:
        """Fail what a canceled batch left without a value; runs also when it never started."""
        self._running.discard(task)
        if task.cancelled() or task.exception() is not None:
            self._fail([entry for entry in entries if not entry.settled], self._canceled())

    def _fail(self, entries: list[_Entry[K, V]], error: Exception) -> None:
        for entry in entries:
            if self._entries.get(entry.key) is entry:
                del self._entries[entry.key]
            entry.settle(error)

    def _canceled(self) -> BatchCanceled:
        return BatchCanceled(f"{self.name}: the batch was canceled")
