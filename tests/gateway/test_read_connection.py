"""Statements that a connection for reads keeps prepared, on real connections."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal

import asyncpg
import pytest
import pytest_asyncio

from gateway import database
from gateway.database import ReadConnection


@pytest_asyncio.fixture
async def connection(own_database_url: str) -> AsyncIterator[ReadConnection]:
    """Yield a connection to a database whose tables may be changed."""
    opened = await asyncpg.connect(own_database_url, connection_class=ReadConnection)
    yield opened
    opened.terminate()


async def _prepared(connection: ReadConnection) -> int:
    """Return how many statements the server keeps for the connection."""
    known = "select count(*) from pg_prepared_statements where statement like 'select $1%'"
    count: int = await connection.fetchval(known)
    return count


async def test_reads_like_fetch(connection: ReadConnection) -> None:
    """The rows are those of `fetch`, the first time and whenever the statement comes again."""
    sql = "select id, sku from product where id = any($1::bigint[]) order by id"
    expected = await connection.fetch(sql, [1, 2, 3])
    assert len(expected) == 3
    for _ in range(7):
        assert await connection.read(sql, ([1, 2, 3],)) == expected
    assert await connection.read(sql, ([],)) == []


async def test_numbers_and_dates_are_text(
    connection: ReadConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read is text to the last digit; asked with are decimals, dates and lists of them."""
    await database.decode_as_text(connection)
    monkeypatch.setattr(database, "MOST_STATEMENTS", 2)
    sql = (
        "select $1::numeric as one, $2::date as day, $3::numeric[] as many, $4::date[] as days,"
        " $5::bigint as id, $6::text as text, $7::numeric as none"
    )
    long = Decimal("-123456789012345678901234567890.1200")
    arguments = (long, date(2026, 2, 28), [Decimal("1E+4"), None], [date(2026, 3, 1)], 7, "1.50")
    expected = (str(long), "2026-02-28", ["10000", None], ["2026-03-01"], 7, "1.50", None)
    for read in (connection.read, connection.read_fresh, connection.read):
        [row] = await read(sql, (*arguments, None))
        assert tuple(row) == expected
        for number in range(3):  # until it is forgotten
            await connection.read(f"select $1::numeric + {number}", (Decimal(1),))
    assert len(connection._encoders) <= 2
    [row] = await connection.read("select $1::numeric as text", ("0.10",))
    assert tuple(row) == ("0.10",)
    with pytest.raises(asyncpg.DataError):
        await connection.read("select $1::numeric", ("not a number",))


async def test_prepared_once(connection: ReadConnection) -> None:
    """A statement is prepared once, however often it is run."""
    for number in range(20):
        [row] = await connection.read("select $1::int as n", (number,))
        assert row["n"] == number
    assert await _prepared(connection) == 1


async def test_the_oldest_gives_way(
    connection: ReadConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound statements are forgotten, here and in the server, and prepared again."""
    monkeypatch.setattr(database, "MOST_STATEMENTS", 3)
    for round_ in range(3):
        for number in range(10):
            [row] = await connection.read(f"select $1::int + {number} as n", (round_,))
            assert row["n"] == round_ + number
    assert await _prepared(connection) <= 4


async def test_planned_for_its_values(connection: ReadConnection) -> None:
    """A fresh statement is never planned for values in general, and leaves nothing behind."""
    sql = "select count(*) as n from sales_order where placed_on >= $1::text::date"
    expected = await connection.fetchval("select count(*) from sales_order")
    for _ in range(12):
        [row] = await connection.read_fresh(sql, ("2000-01-01",))
        assert row["n"] == expected
    kept = "select count(*) from pg_prepared_statements where statement like '%placed_on%'"
    assert await connection.fetchval(kept) <= 1  # the nameless one is that of the last statement
    with pytest.raises(asyncpg.PostgresError):
        await connection.read_fresh("select 1 / $1::int", (0,))
    assert await connection.read("select 1", ()) == [(1,)]


async def test_after_a_migration(connection: ReadConnection, own_database_url: str) -> None:
    """A statement whose columns changed meanwhile is prepared again, unseen by the caller."""
    other = await asyncpg.connect(own_database_url)
    try:
        await other.execute("create table note (id int, text text)")
        await other.execute("insert into note values (1, 'a')")
        assert [tuple(row) for row in await connection.read("select * from note", ())] == [(1, "a")]
        await other.execute("alter table note add column more int default 7")
        for _ in range(2):
            found = [tuple(row) for row in await connection.read("select * from note", ())]
            assert found == [(1, "a", 7)]
    finally:
        await other.close()


@pytest.mark.parametrize("failing", ["select 1 / $1::int", "select $1::int from nothing"])
async def test_errors_are_those_of_fetch(connection: ReadConnection, failing: str) -> None:
    """What fails, when prepared or when run, raises what `fetch` raises; others go on."""
    with pytest.raises(asyncpg.PostgresError) as expected:
        await connection.fetch(failing, 0)
    for _ in range(2):
        with pytest.raises(type(expected.value)):
            await connection.read(failing, (0,))
    assert await connection.read("select 1", ()) == [(1,)]


async def test_canceled(connection: ReadConnection) -> None:
    """Who gives up a statement cancels it in the server, and the connection can be used again."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await connection.read("select pg_sleep($1::int)", (30,))
    started = asyncio.get_running_loop().time()
    assert await connection.read("select 1", ()) == [(1,)]
    assert asyncio.get_running_loop().time() - started < 5


async def test_closed_by_the_server(connection: ReadConnection, own_database_url: str) -> None:
    """A connection that the server ended says so, and is known to be closed."""
    await connection.read("select 1", ())
    other = await asyncpg.connect(own_database_url)
    try:
        await other.execute("select pg_terminate_backend($1)", connection.get_server_pid())
    finally:
        await other.close()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.read("select pg_sleep(30)", ())
    assert connection.is_closed()
