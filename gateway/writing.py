"""Connections for commands: one short transaction each, set to the caller's rows."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import asyncpg
import orjson
from sqlalchemy import Insert

from gateway.connections import ConnectionPool
from gateway.database import (
    BUSY,
    UNREACHABLE,
    OperationReads,
    ReadConnection,
    decode_as_text,
    scope_values,
    session_settings,
)
from gateway.settings import Settings
from resolvers.core.compiling import as_lists, insert_of_many, ready, ready_for_each
from resolvers.core.context import OperationStats, PoolState
from resolvers.core.database_errors import FAILURES
from resolvers.core.errors import Overloaded
from resolvers.core.metrics import Metrics
from resolvers.core.principal import RowScope
from resolvers.core.statement import Statement
from resolvers.core.transaction import Parameters, Rows

_BEGIN: Final = (
    "begin; select set_config('role', '{}', true), set_config('app.company_id', '{}', true), "
    "set_config('app.partner_id', '{}', true)"
)
"""Opens a transaction set to rows, in one round trip; what goes in is a role and two numbers."""


class Row(asyncpg.Record):
    """A row whose columns are attributes, as they are of rows of SQLAlchemy."""

    def __getattr__(self, name: str) -> Any:
        """Return the column of that name."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class DatabaseTransaction:
    """An open transaction on a connection; see `resolvers.core.transaction.Transaction`."""

    __slots__ = ("_connection", "_stats", "trail")

    def __init__(self, connection: ReadConnection, stats: OperationStats) -> None:
        self._connection = connection
        self._stats = stats
        self.trail: list[dict[str, Any]] = []

    async def execute(
        self, statement: Any, parameters: Parameters | Sequence[Parameters] | None = None
    ) -> Rows:
        """Run a statement, or once for each of many parameters."""
        if isinstance(parameters, Mapping) or parameters is None:
            return await self._run(*ready(statement, parameters or {}))
        if isinstance(statement, Insert):
            lists = as_lists(parameters)
            return await self._run(*ready(insert_of_many(statement, list(lists)), lists))
        sql, arguments = ready_for_each(statement, parameters)
        self._stats.statements += 1
        await self._connection.executemany(sql, arguments)
        return Rows()

    async def scalar(self, statement: Any, parameters: Parameters | None = None) -> Any:
        """Run a statement and return the first column of its first row."""
        row = (await self.execute(statement, parameters)).first()
        return None if row is None else row[0]

    async def run(self, statement: Statement, parameters: Parameters) -> Rows:
        """Run a statement that was compiled before."""
        return await self._run(statement.sql, statement.arguments(parameters))

    async def copy(
        self, name: str, columns: Sequence[str], records: Sequence[Sequence[Any]]
    ) -> None:
        """Put records into a table, by COPY."""
        await self._connection.copy_records_to_table(name, records=records, columns=list(columns))

    async def _run(self, sql: str, arguments: Sequence[Any]) -> Rows:
        rows = Rows(await self._connection.change(sql, arguments))
        self._stats.statements += 1
        self._stats.rows += len(rows)
        return rows


class WritePool:
    """The pool commands write through."""

    def __init__(
        self, pool: ConnectionPool[ReadConnection], settings: Settings, metrics: Metrics
    ) -> None:
        self._pool = pool
        self._limit = settings.write_pool_size
        self._wait = settings.pool_wait_seconds
        self._metrics = metrics
        self._waits = metrics.pool_waits["write"]

    def state(self) -> PoolState:
        """Return how the pool stands now."""
        pool = self._pool
        return PoolState(self._limit, pool.size, pool.in_use, pool.waiting)

    @asynccontextmanager
    async def begin(
        self, rows: RowScope, stats: OperationStats
    ) -> AsyncIterator[DatabaseTransaction]:
        """Open a transaction set to ``rows``; commits on a clean exit, rolls back otherwise.

        Its statements count in ``stats``, the one that opens it too, the one that ends it not.

        Raises:
            Overloaded: no connection became free in time, or the database cannot be reached.

        """
        connection = await self._take()
        try:
            await connection.execute(_BEGIN.format(*scope_values(rows)))
            stats.statements += 1
            yield DatabaseTransaction(connection, stats)
            await connection.execute("commit")
        except BaseException:
            # a canceled command still rolls back, and gives its connection back
            await asyncio.shield(self._undo(connection))
            raise
        self._pool.release(connection)

    async def call(
        self, rows: RowScope, statement: Statement, parameters: Parameters, stats: OperationStats
    ) -> Any:
        """Run a statement that is a transaction of its own, set to ``rows``.

        Returns the first column of its first row. The session stays set to the rows, so that this
        is one round trip for who asks next; transactions set their own.

        Raises:
            Overloaded: as `begin` does.

        """
        connection = await self._take()
        try:
            await connection.set_rows(rows)
            found = await connection.change(statement.sql, statement.arguments(parameters))
        finally:
            self._pool.release(connection)
        stats.statements += 1
        stats.rows += len(found)
        return found[0][0] if found else None

    @asynccontextmanager
    async def rehearse(
        self, rows: RowScope, seen: RowScope, stats: OperationStats
    ) -> AsyncIterator[tuple[DatabaseTransaction, OperationReads]]:
        """Open a transaction that is rolled back in any case, and reads that see into it.

        It is set to ``rows``, and the reads to those ``seen`` by the caller.

        Reading changes how the connection decodes what it reads, so nothing may be written after,
        and the connection is not used again.

        Raises:
            Overloaded: as `begin` does.

        """
        connection = await self._take()
        try:
            await connection.execute(_BEGIN.format(*scope_values(rows)))
            stats.statements += 1
            reads = OperationReads(_Inside(connection), seen, stats, None)
            yield DatabaseTransaction(connection, stats), reads
        finally:
            await asyncio.shield(self._undo(connection, discard=True))

    async def _undo(self, connection: ReadConnection, *, discard: bool = False) -> None:
        """Roll back at once, so that no lock outlives it, and give the connection back."""
        try:
            if not connection.is_closed():
                await connection.execute("rollback")
        except FAILURES:
            connection.terminate()  # the server rolls back what it loses
        except BaseException:
            connection.terminate()
            raise
        finally:
            if discard:
                connection.terminate()
            self._pool.release(connection)

    async def _take(self) -> ReadConnection:
        connection = self._pool.take()
        if connection is not None:
            self._waits.nothing += 1
            return connection
        started = time.perf_counter()
        try:
            connection = await self._pool.acquire(self._wait)
        except TimeoutError:
            self._metrics.pool_timed_out("write")
            raise Overloaded(BUSY) from None
        except FAILURES:
            raise Overloaded(UNREACHABLE) from None
        self._waits.observe(time.perf_counter() - started)
        return connection

    async def close(self) -> None:
        """Close every connection; those still in use are cut after five seconds."""
        await self._pool.close()


class _Inside:
    """Lends the connection of an open transaction to reads, which then see what it did."""

    def __init__(self, connection: ReadConnection) -> None:
        self._connection = connection

    def take(self) -> ReadConnection | None:
        """Return nothing: the connection has to be made ready first."""
        return None

    async def acquire(self) -> ReadConnection:
        """Return the connection, decoding as those of the read pool do."""
        self._connection.forget_statements()
        await decode_as_text(self._connection)
        return self._connection

    def release(self, connection: ReadConnection) -> None:
        """Leave the connection to the transaction."""


class OperationWrites:
    """Writes of one operation; see `resolvers.core.context.Writes`."""

    __slots__ = ("_pool", "_stats")

    def __init__(self, pool: WritePool, stats: OperationStats) -> None:
        self._pool = pool
        self._stats = stats

    def begin(self, rows: RowScope) -> AbstractAsyncContextManager[DatabaseTransaction]:
        """Open a transaction set to ``rows``."""
        return self._pool.begin(rows, self._stats)

    async def call(self, rows: RowScope, statement: Statement, parameters: Parameters) -> Any:
        """Run a statement that is a transaction of its own, set to ``rows``."""
        return await self._pool.call(rows, statement, parameters, self._stats)

    def rehearse(
        self, rows: RowScope, seen: RowScope
    ) -> AbstractAsyncContextManager[tuple[DatabaseTransaction, OperationReads]]:
        """Open a transaction that is rolled back in any case, and reads that see into it."""
        return self._pool.rehearse(rows, seen, self._stats)


def open_write_pool(url: str, settings: Settings, metrics: Metrics) -> WritePool:
    """Open the write pool on ``url``; connections are made when first needed."""
    server_settings = session_settings(settings)

    async def connect() -> ReadConnection:
        connection = await asyncpg.connect(
            url,
            connection_class=ReadConnection,
            record_class=Row,
            server_settings=server_settings,
        )
        try:
            # whoever compiles a statement writes its JSON
            await connection.set_type_codec(
                "jsonb", schema="pg_catalog", encoder=str, decoder=orjson.loads, format="text"
            )
        except BaseException:
            connection.terminate()
            raise
        return connection

    return WritePool(ConnectionPool(connect, settings.write_pool_size), settings, metrics)
