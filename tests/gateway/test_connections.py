"""The pool of connections, with real ones."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest
import pytest_asyncio

from gateway import connections
from gateway.connections import ConnectionPool
from gateway.database import ReadConnection

SOON = 5.0


class Opener:
    """Opens connections to the test database and remembers them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.opened: list[ReadConnection] = []
        self.failure: Exception | None = None

    async def connect(self) -> ReadConnection:
        """Open a connection, or fail as told."""
        if self.failure is not None:
            await asyncio.sleep(0)
            raise self.failure
        connection = await asyncpg.connect(self._url, connection_class=ReadConnection)
        self.opened.append(connection)
        return connection

    @property
    def alive(self) -> int:
        """Connections that are open."""
        return sum(not connection.is_closed() for connection in self.opened)


@pytest.fixture
def opener(database_url: str) -> Opener:
    """Return what opens connections."""
    return Opener(database_url)


Make = Callable[[int], ConnectionPool[ReadConnection]]


@pytest_asyncio.fixture
async def make(opener: Opener) -> AsyncIterator[Make]:
    """Yield a function that makes pools, which are closed at the end."""
    pools: list[ConnectionPool[ReadConnection]] = []

    def made(limit: int) -> ConnectionPool[ReadConnection]:
        pools.append(ConnectionPool(opener.connect, limit))
        return pools[-1]

    yield made
    for pool in pools:
        await pool.close()


async def test_the_connection_used_last_is_lent_first(make: Make, opener: Opener) -> None:
    """A quiet process uses one connection, however many a rush once opened."""
    pool = make(3)
    lent = [await pool.acquire(SOON) for _ in range(3)]
    for connection in lent:
        pool.release(connection)
    for _ in range(5):
        again = await pool.acquire(SOON)
        assert again is lent[-1]
        pool.release(again)
    assert (pool.size, pool.in_use, len(opener.opened)) == (3, 0, 3)


async def test_who_waits_longest_is_served_first(make: Make) -> None:
    """Callers get the connection in the order they asked for it."""
    pool = make(1)
    first = await pool.acquire(SOON)
    served: list[int] = []

    async def ask(number: int) -> None:
        connection = await pool.acquire(SOON)
        served.append(number)
        await connection.fetch("select 1")
        pool.release(connection)

    asking = []
    for number in range(4):
        asking.append(asyncio.create_task(ask(number)))
        await asyncio.sleep(0)
    assert pool.waiting == 4
    pool.release(first)
    await asyncio.gather(*asking)
    assert served == [0, 1, 2, 3]


async def test_waiting_ends(make: Make) -> None:
    """A caller is told in time that there is no connection, and loses nothing by it."""
    pool = make(1)
    lent = await pool.acquire(SOON)
    with pytest.raises(TimeoutError):
        await pool.acquire(0.02)
    assert pool.waiting == 0
    pool.release(lent)
    pool.release(await pool.acquire(SOON))


async def test_a_connection_that_broke_is_not_lent_again(make: Make, opener: Opener) -> None:
    """What the server cut, while idle or lent, is replaced by a new one."""
    pool = make(2)
    one, two = await pool.acquire(SOON), await pool.acquire(SOON)
    pool.release(one)
    one.terminate()
    two.terminate()
    waiting = asyncio.create_task(pool.acquire(SOON))
    await asyncio.sleep(0)
    pool.release(two)
    fresh = await waiting
    assert fresh not in (one, two)
    assert await fresh.fetchval("select 1") == 1
    assert pool.size <= 2
    pool.release(fresh)
    assert opener.alive == pool.size


async def test_a_waiting_caller_gets_the_place_of_one_that_broke(
    make: Make, opener: Opener
) -> None:
    """Nobody waits for a connection that will not come back."""
    pool = make(1)
    lent = await pool.acquire(SOON)
    waiting = asyncio.create_task(pool.acquire(SOON))
    await asyncio.sleep(0)
    lent.terminate()
    pool.release(lent)
    fresh = await waiting
    assert fresh is not lent
    pool.release(fresh)
    assert opener.alive == pool.size == 1


async def test_a_server_that_cannot_be_reached(make: Make, opener: Opener) -> None:
    """Every caller is told, and the pool recovers by itself."""
    pool = make(1)
    opener.failure = OSError("nothing there")
    results = await asyncio.gather(*(pool.acquire(SOON) for _ in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [OSError] * 5
    assert (pool.size, pool.in_use, pool.waiting) == (0, 0, 0)
    opener.failure = None
    pool.release(await pool.acquire(SOON))


async def test_a_connection_unused_for_long_is_not_trusted(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been dropped on the way without anybody being told."""
    pool = make(1)
    old = await pool.acquire(SOON)
    pool.release(old)
    monkeypatch.setattr(connections, "IDLE_SECONDS", -1.0)
    new = await pool.acquire(SOON)
    assert new is not old
    pool.release(new)
    await pool.close()
    assert old.is_closed()


async def test_a_rush_with_callers_that_give_up(make: Make, opener: Opener) -> None:
    """Cancellation at any moment loses no connection and lends none twice."""
    pool, rng = make(3), random.Random(7)
    lent: set[ReadConnection] = set()

    async def work() -> None:
        connection = await pool.acquire(SOON)
        assert connection not in lent
        lent.add(connection)
        assert len(lent) <= 3
        try:
            await connection.fetch("select 1")
            await asyncio.sleep(rng.random() / 500)
        finally:
            lent.discard(connection)
            if rng.random() < 0.05:
                connection.terminate()
            pool.release(connection)

    async def impatient() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(rng.random() / 200)
        task.cancel()
        await asyncio.wait([task])

    await asyncio.gather(*(work() if n % 2 else impatient() for n in range(300)))
    assert (pool.in_use, pool.waiting) == (0, 0)
    assert pool.size <= 3
    assert opener.alive == pool.size


async def test_a_canceled_statement_leaves_its_connection_usable(make: Make) -> None:
    """The next caller's statement is not the one that is canceled."""
    pool = make(1)

    async def sleep() -> None:
        connection = await pool.acquire(SOON)
        try:
            await connection.fetch("select pg_sleep(30)")
        finally:
            pool.release(connection)

    for _ in range(20):
        sleeping = asyncio.create_task(sleep())
        await asyncio.sleep(0.01)
        sleeping.cancel()
        await asyncio.wait([sleeping])
        connection = await pool.acquire(SOON)
        assert await connection.fetchval("select 1") == 1
        pool.release(connection)
    assert pool.size == 1


async def test_close(make: Make, opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle connections are closed, lent ones when they come back or after a while."""
    monkeypatch.setattr(connections, "_CLOSING_SECONDS", 0.05)
    pool = make(3)
    idle, back, kept = [await pool.acquire(SOON) for _ in range(3)]
    pool.release(idle)
    closing = asyncio.create_task(pool.close())
    await asyncio.sleep(0.01)
    pool.release(back)
    await closing
    assert opener.alive == 0
    with pytest.raises(OSError, match="closed"):
        await pool.acquire(SOON)
    pool.release(kept)
