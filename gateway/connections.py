"""A pool of asyncpg connections in which lending is a plain call.

asyncpg's own pool wraps each connection in a proxy and runs a task with a timeout for each lending
and return, which a small statement feels. Reads need none of it: they leave no state behind, so a
connection is a list entry, taken and put back.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

IDLE_SECONDS = 300.0
"""One unused for longer is not lent again: a firewall between may have dropped it silently."""
_CLOSING_SECONDS = 5.0


class Pooled(Protocol):
    """What the pool needs of a connection."""

    idle_since: float
    """When it was given back, by `time.monotonic`."""

    def is_closed(self) -> bool:
        """Tell whether it is known to be of no more use."""
        ...

    async def close(self) -> None:
        """Close it politely."""
        ...

    def terminate(self) -> None:
        """Close it at once."""
        ...


C = TypeVar("C", bound=Pooled)


class ConnectionPool(Generic[C]):
    """At most ``limit`` connections made by ``connect``; the one used last is lent first.

    Who waits longest is served first. A connection that broke while it was lent or idle is not lent
    again, so a restarted server is met with new ones.
    """

    def __init__(self, connect: Callable[[], Awaitable[C]], limit: int) -> None:
        self._connect = connect
        self._limit = limit
        self._idle: list[C] = []
        self._lent: set[C] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[C | None]] = deque()
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False
        self._all_back = asyncio.Event()

    @property
    def size(self) -> int:
        """Connections open now, and those being opened."""
        return len(self._idle) + self.in_use

    @property
    def in_use(self) -> int:
        """Connections lent out now, and those being opened for it."""
        return len(self._lent) + self._opening

    @property
    def waiting(self) -> int:
        """Callers waiting for one now."""
        return sum(not waiter.done() for waiter in self._waiting)

    def take(self) -> C | None:
        """Lend a connection that is there and good; None where `acquire` has to look for one."""
        idle = self._idle
        while idle and not self._closed:
            connection = idle.pop()
            if connection.is_closed():
                continue
            if time.monotonic() - connection.idle_since > IDLE_SECONDS:
                self._discard(connection)
                continue
            self._lent.add(connection)
            return connection
        return None

    async def acquire(self, wait_seconds: float) -> C:
        """Lend a connection, and wait for it if there is none.

        Raises:
            TimeoutError: none became free in time.
            OSError: the server cannot be reached, or the pool is closed.
            asyncpg.PostgresError: the server takes no connection.

        """
        async with asyncio.timeout(wait_seconds):
            return await self.wait()

    async def wait(self) -> C:
        """Lend a connection, and wait for it as long as it takes; else as `acquire`."""
        if self._closed:
            raise ConnectionError("the pool is closed")
        found = self.take()
        if found is None:
            found = await self._opened_or_awaited()
            self._lent.add(found)
        return found

    def release(self, connection: C) -> None:
        """Take a connection back: for who waits longest, else for later."""
        self._lent.discard(connection)
        if self._closed or connection.is_closed():
            connection.terminate()
            self._hand_on(None)
            if not self._lent:
                self._all_back.set()
        elif not self._hand_on(connection):
            connection.idle_since = time.monotonic()
            self._idle.append(connection)

    async def close(self) -> None:
        """Close every connection; those still in use are cut after five seconds."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            self._discard(connection)
        if self._lent:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_back.wait(), _CLOSING_SECONDS)
        for connection in self._lent:
            connection.terminate()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _opened_or_awaited(self) -> C:
        if self.size < self._limit:
            self._opening += 1
            return await self._open()
        waiter: asyncio.Future[C | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            found = await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                # it was handed over in the same moment in which the caller gave up
                self._take_back(waiter.result())
            raise
        return await self._open() if found is None else found

    async def _open(self) -> C:
        """Open a connection in a place that is counted as being opened."""
        try:
            found = await self._connect()
        except BaseException:
            self._take_back(None)
            raise
        self._opening -= 1
        if self._closed:
            self._discard(found)
            raise ConnectionError("the pool is closed")
        return found

    def _take_back(self, handed: C | None) -> None:
        """Take back what was handed to a caller who cannot use it."""
        if handed is None:
            self._opening -= 1
            self._hand_on(None)
        else:
            self.release(handed)

    def _hand_on(self, connection: C | None) -> bool:
        """Give a connection, or with None a place for one, to who waits longest, if any does."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if waiter.done():
                continue
            if connection is None:
                self._opening += 1
            else:
                self._lent.add(connection)
            waiter.set_result(connection)
            return True
        return False

    def _discard(self, connection: C) -> None:
        task = asyncio.create_task(_close(connection))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _close(connection: Pooled) -> None:
    try:
        async with asyncio.timeout(_CLOSING_SECONDS):
            await connection.close()
    finally:
        connection.terminate()
