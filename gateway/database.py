"""Connections for reads, on raw asyncpg.

Reads never open a transaction and set no session state but the caller's row scope, so their
connections are lent without a reset, and the scope is set only when one last served another caller.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import asyncpg
import orjson

from gateway.connections import ConnectionPool
from gateway.settings import Settings
from resolvers.core.context import OperationStats, PoolState
from resolvers.core.database_errors import FAILURES, expected
from resolvers.core.deadline import Deadlines
from resolvers.core.errors import Overloaded
from resolvers.core.metrics import Metrics
from resolvers.core.principal import STAFF_ROLE, RowScope
from resolvers.core.reference import ReferenceCache
from resolvers.core.statement import Statement
from resolvers.core.trace import Trace, TracedStatement

_SCOPE = (
    "select set_config('role', $1, false), set_config('app.company_id', $2, false), "
    "set_config('app.partner_id', $3, false)"
)
Encoders = Sequence[tuple[int, Callable[[Any], Any]]]
"""Places of arguments, and what makes text of them."""

_NOBODY = RowScope(STAFF_ROLE, 0)
"""The staff role, set to a company that never exists."""
MOST_STATEMENTS = 400
"""Statements a connection keeps prepared for its reads; the oldest gives way."""
_ONE_MOMENT = "begin isolation level repeatable read, read only"
_CONNECT_SECONDS = 60.0
"""Longest the first connection may take: a database may be starting."""
BUSY = "The database is busy; try again shortly."
UNREACHABLE = "The database cannot be reached; try again shortly."


def scope_values(rows: RowScope) -> tuple[str, str, str]:
    """Return what a session is set to, so that it sees the rows of a scope."""
    partner = "" if rows.partner_id is None else str(rows.partner_id)
    return rows.role, str(rows.company_id), partner


class ReadConnection(asyncpg.Connection):
    """A connection that remembers which rows it is set to, and the statements it has prepared."""

    _protocol: Any

    rows: RowScope | None = None
    idle_since: float = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept: dict[str, Any] = {}
        self._encoders: dict[str, Encoders] = {}
        """How arguments of statements are made text, of those that have any to be."""
        self._in_text = False

    async def read(self, sql: str, arguments: Sequence[Any]) -> list[Any]:
        """Run a statement that changes nothing, and return its rows.

        The same as `fetch`, without what asyncpg does anew for each call (timeouts, loggers, its
        own cache of statements): a seventh of what a small statement takes in this process.

        Raises:
            asyncpg.PostgresError: as `fetch` does.
            asyncpg.InterfaceError: as `fetch` does.

        """
        try:
            statement = self._kept.get(sql)
            if statement is None or self._protocol is None:
                statement = await self._keep(sql)  # which refuses where the connection is closed
            if sql in self._encoders:
                arguments = _encoded(arguments, self._encoders[sql])
            rows: list[Any] = await self._protocol.bind_execute(
                statement._state,  # noqa: SLF001 - asyncpg has no shorter way to run it
                arguments,
                "",
                0,
                False,  # noqa: FBT003
                None,
            )
        except (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError):
            # a migration changed what it reads; whoever reads changes nothing, and may ask again
            self.forget_statements()
            return list(await self.fetch(sql, *arguments))
        except asyncpg.InternalClientError as error:
            raise self._lost() from error
        return rows

    async def change(self, sql: str, arguments: Sequence[Any]) -> list[Any]:
        """Run a statement of an open transaction, and return its rows; as `read` does.

        Raises:
            asyncpg.PostgresError: as `fetch` does; also where a migration changed what it returns.
            asyncpg.InterfaceError: as `fetch` does.

        """
        try:
            statement = self._kept.get(sql)
            if statement is None or self._protocol is None:
                statement = await self._keep(sql)  # which refuses where the connection is closed
            rows: list[Any] = await self._protocol.bind_execute(
                statement._state,  # noqa: SLF001 - as above
                arguments,
                "",
                0,
                False,  # noqa: FBT003
                None,
            )
        except (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError):
            self._kept.clear()
            raise
        except asyncpg.InternalClientError as error:
            raise self._lost() from error
        return rows

    def forget_statements(self) -> None:
        """Prepare anew what is run from now on."""
        self._kept.clear()
        self._encoders.clear()

    def decodes_as_text(self) -> None:
        """Know that numbers and dates are text here, and so make text of what is asked with."""
        self._in_text = True

    def _lost(self) -> asyncpg.InterfaceError:
        """Give the connection up: the server ended it, before asyncpg knew, in this moment."""
        self.terminate()
        return asyncpg.InterfaceError("the connection was closed by the server")

    async def read_fresh(self, sql: str, arguments: Sequence[Any]) -> list[Any]:
        """Run a statement that is planned for its arguments, and kept by nobody.

        Raises:
            asyncpg.PostgresError: as `fetch` does.
            asyncpg.InterfaceError: as `fetch` does.

        """
        try:
            statement = await self.prepare(sql, name="")
            if self._in_text:
                arguments = _encoded(arguments, _encoders(statement))
            return list(await statement.fetch(*arguments))
        except asyncpg.InternalClientError as error:
            raise self._lost() from error

    async def _keep(self, sql: str) -> Any:
        kept = self._kept
        if len(kept) >= MOST_STATEMENTS:
            oldest = next(iter(kept))
            del kept[oldest]
            self._encoders.pop(oldest, None)
        statement = kept[sql] = await self.prepare(sql)
        if self._in_text and (encoders := _encoders(statement)):
            self._encoders[sql] = encoders
        return statement

    async def set_rows(self, rows: RowScope) -> None:
        """Set the caller's row scope unless it is set already."""
        if self.rows != rows:
            self.rows = None  # unknown while the statement is under way
            await self.fetchrow(_SCOPE, *scope_values(rows))
            self.rows = rows


async def decode_as_text(connection: "ReadConnection") -> None:
    """Let a connection decode as reads have it."""
    # numbers and dates stay text from the socket to the answer: exact, and with nothing built or
    # called for each; what a statement is asked with is made text before
    for type_ in ("numeric", "date"):
        await connection.set_builtin_type_codec(
            type_, schema="pg_catalog", codec_name="text", format="text"
        )
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_to_json, decoder=orjson.loads, format="text"
    )
    connection.decodes_as_text()


def _encoders(statement: Any) -> Encoders:
    """Return which arguments of a statement are to be made text, and how."""
    types = enumerate(parameter.oid for parameter in statement.get_parameters())
    return [(place, _AS_TEXT[oid]) for place, oid in types if oid in _AS_TEXT]


def _encoded(arguments: Sequence[Any], encoders: Encoders) -> list[Any]:
    encoded = list(arguments)
    for place, encode in encoders:
        if encoded[place] is not None:
            encoded[place] = encode(encoded[place])
    return encoded


def _texts(values: Sequence[Any]) -> list[str | None]:
    return [None if value is None else str(value) for value in values]


_AS_TEXT: Final[Mapping[int, Callable[[Any], Any]]] = {
    1700: str,
    1082: str,
    1231: _texts,
    1182: _texts,
}
"""How arguments of these types become text: numeric, date, and lists of them, by their OIDs."""


def _to_json(value: Any) -> str:
    return orjson.dumps(value).decode()


class ReadPool:
    """The pool that queries and subscriptions read from."""

    def __init__(
        self, pool: ConnectionPool[ReadConnection], settings: Settings, metrics: Metrics
    ) -> None:
        self._pool = pool
        self._limit = settings.read_pool_size
        self._deadlines = Deadlines(settings.pool_wait_seconds)
        self._longest = settings.operation_timeout_seconds
        self._metrics = metrics
        self._waits = metrics.pool_waits["read"]

    def state(self) -> PoolState:
        """Return how the pool stands now."""
        pool = self._pool
        return PoolState(self._limit, pool.size, pool.in_use, pool.waiting)

    def take(self) -> ReadConnection | None:
        """Take a connection if one is free; None where `acquire` has to wait for one."""
        connection = self._pool.take()
        if connection is not None:
            self._waits.nothing += 1
        return connection

    async def acquire(self) -> ReadConnection:
        """Take a connection, and wait for it.

        Raises:
            Overloaded: none became free within ``pool_wait_seconds``.

        """
        started = time.perf_counter()
        try:
            with self._deadlines.begin():
                connection = await self._pool.wait()
        except TimeoutError:
            self._metrics.pool_timed_out("read")
            raise Overloaded(BUSY) from None
        except OSError:
            raise Overloaded(UNREACHABLE) from None
        except FAILURES as error:
            raise expected(error) or error from error
        self._waits.observe(time.perf_counter() - started)
        return connection

    def release(self, connection: ReadConnection) -> None:
        """Give a connection back."""
        self._pool.release(connection)

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        """Run one statement as the staff role, set to no company; for identity and health."""
        connection = await self.acquire()
        try:
            async with asyncio.timeout(self._longest):
                await connection.set_rows(_NOBODY)
                return list(await connection.fetch(sql, *arguments))
        except FAILURES as error:
            raise expected(error) or error from error
        finally:
            self.release(connection)

    async def close(self) -> None:
        """Close every connection; those still in use are cut after five seconds."""
        await self._pool.close()


class Lends(Protocol):
    """Where reads get their connection from."""

    def take(self) -> ReadConnection | None:
        """Return a connection if one is free."""
        ...

    async def acquire(self) -> ReadConnection:
        """Return a connection, and wait for it."""
        ...

    def release(self, connection: ReadConnection) -> None:
        """Take a connection back."""
        ...


class OperationReads:
    """Reads of one operation: one connection, taken at the first statement, used in sequence."""

    __slots__ = ("_busy", "_connection", "_pool", "_stats", "_waiting", "reference", "scope")

    def __init__(
        self,
        pool: Lends,
        scope: RowScope,
        stats: OperationStats,
        reference: ReferenceCache | None,
    ) -> None:
        self._pool = pool
        self.scope = scope
        self._stats = stats
        self.reference = reference
        self._connection: ReadConnection | None = None
        self._busy = False
        self._waiting: deque[asyncio.Future[None]] | None = None
        """Who waits for the connection; compiled plans ask for one thing at a time."""

    async def fetch(
        self, statement: Statement, parameters: Mapping[str, Any]
    ) -> Sequence[Sequence[Any]]:
        """Run ``statement`` for the caller; see `resolvers.core.context.Reads`."""
        arguments = statement.arguments(parameters)
        while self._busy:
            await self._turn()
        self._busy = True
        try:
            connection = self._connection or await self._lent()
            started = time.perf_counter()
            read = connection.read_fresh if statement.fresh else connection.read
            rows: Any = await read(statement.sql, arguments)
        except FAILURES as error:
            raise expected(error) or error from error
        finally:
            self._busy = False
            if self._waiting:
                self._pass_on()
        seconds = time.perf_counter() - started
        stats, name = self._stats, statement.name
        stats.statements += 1
        stats.rows += len(rows)
        stats.database_seconds += seconds
        by_name = stats.statements_by_name
        by_name[name] = by_name.get(name, 0) + 1
        if stats.trace is not None:
            _record(stats.trace, name, parameters, rows, seconds)
        return rows  # type: ignore[no-any-return]

    @asynccontextmanager
    async def at_once(self) -> AsyncIterator[None]:
        """Have everything that is read within the block see the same moment.

        Raises:
            Overloaded: no connection became free in time.

        """
        connection = await self._lent()
        try:
            await connection.execute(_ONE_MOMENT)
            self._stats.statements += 2
            try:
                yield
            finally:
                await connection.execute("commit")
        except FAILURES as error:
            raise expected(error) or error from error
        except BaseException:
            # whatever is left of the transaction must not be lent to others
            if connection.is_in_transaction():
                connection.terminate()
            raise

    async def _lent(self) -> ReadConnection:
        """Return the operation's connection, set to the caller's rows."""
        connection = self._connection
        if connection is None:
            connection = self._pool.take() or await self._pool.acquire()
            self._connection = connection
            if connection.rows is not self.scope:
                await connection.set_rows(self.scope)
                # the same object next time: comparing what is in it takes longer
                connection.rows = self.scope
        return connection

    async def _turn(self) -> None:
        """Wait until the connection is free; whoever comes meanwhile may be first."""
        if self._waiting is None:
            self._waiting = deque()
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        assert self._waiting is not None
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def give_back(self) -> None:
        """Give the connection back, if one was taken."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.release(connection)


def _record(
    trace: Trace, name: str, parameters: Mapping[str, Any], rows: Sequence[Any], seconds: float
) -> None:
    keys = parameters.get("keys")
    number = len(keys) if isinstance(keys, list) else None
    trace.statements.append(TracedStatement(trace.at, name, number, len(rows), seconds))


def session_settings(settings: Settings) -> dict[str, str]:
    """Return what every session is set to; whatever the login, it acts as the staff role."""
    return {
        "role": STAFF_ROLE,
        "statement_timeout": str(int(settings.statement_timeout_seconds * 1000)),
        "lock_timeout": str(int(settings.lock_timeout_seconds * 1000)),
        "idle_in_transaction_session_timeout": "15000",
        "application_name": "erp-gateway",
        "jit": "off",
        "timezone": "UTC",
        "datestyle": "ISO",
    }


async def open_read_pool(url: str, settings: Settings, metrics: Metrics) -> ReadPool:
    """Open the read pool on ``url``; whatever the login, statements run as the staff role.

    Raises:
        OSError: the server cannot be reached.
        asyncpg.PostgresError: the login was refused.

    """
    server_settings = session_settings(settings)

    async def connect() -> ReadConnection:
        connection = await asyncpg.connect(
            url, connection_class=ReadConnection, server_settings=server_settings
        )
        try:
            await decode_as_text(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    pool = ConnectionPool(connect, settings.read_pool_size)
    pool.release(await pool.acquire(_CONNECT_SECONDS))
    return ReadPool(pool, settings, metrics)
