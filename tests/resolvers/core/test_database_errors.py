"""Which failures of a real PostgreSQL are told to callers, and which stay unexpected."""

from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from gateway.postgres import EmbeddedPostgres
from resolvers.core.database_errors import expected
from resolvers.core.errors import ErpError, Invalid, Overloaded, TimedOut

FAILURES: list[tuple[str, Any, type[ErpError] | None]] = [
    ("select $1::text", "a\0b", Invalid),
    ("select $1::text", "\ud800", Invalid),
    ("select $1::text[]", ["x", "\ud800"], Invalid),
    ("select ($1::text)::jsonb ->> 'a'", '{"a": "\\u0000"}', Invalid),
    ("select $1::int", 2**40, Invalid),
    ("select $1::int * 1000000", 100_000, Invalid),
    ("select $1::numeric(5, 2)", Decimal("1e10"), Invalid),
    ("select pg_sleep($1)", 2, TimedOut),
    ("select pg_terminate_backend(pg_backend_pid()), $1::int", 1, Overloaded),
    ("select $1::int", "x", None),
    ("select $1::int from nowhere", 1, None),
    ("select 1 / $1::int", 0, None),
]


async def failure(url: str, statement: str, argument: object) -> Exception:
    """Return what asyncpg raises for a statement, within a tenth of a second."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("set statement_timeout = 100")
        await connection.fetch(statement, argument)
    except Exception as error:  # noqa: BLE001 - the very thing asked for
        return error
    finally:
        await connection.close()
    pytest.fail("the statement did not fail")


@pytest.mark.parametrize(("statement", "argument", "kind"), FAILURES)
async def test_failures_of_the_database_are_told_by_kind(
    server: EmbeddedPostgres, statement: str, argument: object, kind: type[ErpError] | None
) -> None:
    """Timeouts, characters and ranges are told in words of ours; everything else is unexpected."""
    told = expected(await failure(server.url(), statement, argument))
    assert type(told) is (kind or type(None))
    if told is not None:
        assert "$1" not in told.message
        assert "0x00" not in told.message


async def test_lock_timeouts_are_told(server: EmbeddedPostgres) -> None:
    """Waiting too long for a row that another command holds is a timeout."""
    holder = await asyncpg.connect(server.url())
    waiter = await asyncpg.connect(server.url())
    try:
        await waiter.execute("set lock_timeout = 50")
        async with holder.transaction():
            await holder.execute("select pg_advisory_xact_lock(42)")
            with pytest.raises(asyncpg.LockNotAvailableError) as raised:
                await waiter.execute("select pg_advisory_xact_lock(42)")
    finally:
        await holder.close()
        await waiter.close()
    assert isinstance(expected(raised.value), TimedOut)


@pytest.mark.parametrize(
    "error", [OverflowError("x"), UnicodeEncodeError("utf-8", "\ud800", 0, 1, "x"), OSError()]
)
def test_faults_of_our_own_stay_unexpected(error: Exception) -> None:
    """The same exceptions raised outside the driver are bugs, and are not blamed on the input."""
    assert expected(error) is None
