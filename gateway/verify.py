"""Proving that the data holds: every invariant of every module, on one snapshot of the database.

Besides the modules' own invariants there are some that follow from the tables: each reference finds
its row, and a row never refers to one of another company. The database checks the first on every
ordinary write, but not while data is loaded with triggers off; the second it checks only where the
company is part of the key.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from time import monotonic
from typing import Any, Final

import asyncpg
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text
from sqlalchemy import ColumnElement, ForeignKeyConstraint, Select, and_, exists, or_, select
from sqlalchemy.dialects import postgresql

from resolvers.core.install import CORE
from resolvers.core.module import Invariant
from resolvers.core.table import row_rule
from resolvers.modules import data_modules

Progress = Callable[[str, int, int], None]
"""Is told the invariant that runs, how many have run, and how many there are."""

TABLES: Final = "tables"
"""In place of a module's name: invariants that follow from the tables."""
MOST_ROWS: Final = 20
"""Offending rows shown of an invariant; all are counted."""

_FIRST_ROWS: Final = (
    "select *, count(*) over () as _violations from ({sql}) as violation limit {rows}"
)
MOST_ATTEMPTS: Final = 5
"""Times rebuilding sums is begun, all in all, while others are in the way."""

_UNPROTECTED: Final = "select not row_security_active('stock_move')"
_NO_TABLES: Final = "There are no tables yet: run `python -m gateway migrate`."
_ALONE: Final = """
set local lock_timeout = '5s';
lock table stock_level, stock_projection, product_cost in exclusive mode
"""
"""Commands change stock only after its level, so nobody changes any of it."""
_AS_ADJUSTMENT: Final = "select set_config('app.cause', 'ADJUSTMENT', true)"


class VerifyError(Exception):
    """Why nothing could be proven, or rebuilt, for people to read."""


@dataclass(frozen=True, slots=True)
class InvariantResult:
    """What an invariant found: all offending rows counted, the first ones shown."""

    module: str
    invariant: Invariant
    violations: int
    rows: tuple[Mapping[str, Any], ...]
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether there is no offending row."""
        return not self.violations


async def verify(
    url: str, *, progress: Progress = lambda _name, _done, _total: None
) -> list[InvariantResult]:
    """Run every invariant, as the owner of the database, and return what they found.

    All run in one read-only transaction, so writes meanwhile neither disturb nor are disturbed.

    Raises:
        VerifyError: there are no tables, or row security hides rows from this login.

    """
    async with (
        _connected(url) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await _require_all_rows(connection)
        results = []
        known = invariants()
        for done, (module, invariant) in enumerate(known):
            progress(invariant.name, done, len(known))
            results.append(await _run(connection, module, invariant))
        return results


async def rebuild(url: str) -> list[InvariantResult]:
    """Set kept sums to what they are the sums of, and return what was wrong before.

    Balances are the sums of the moves, levels those of balances and reservations, and so on, for
    every invariant that says how. All in one transaction, for which commands that change stock
    wait; readers do not.

    Raises:
        VerifyError: as `verify` does; more is promised than the moves left, or others were in the
            way in every attempt.

    """
    async with _connected(url) as connection:
        for _ in range(MOST_ATTEMPTS):
            try:
                async with connection.transaction(isolation="repeatable_read"):
                    # before the first look: what is seen is what was there once others had ended
                    await connection.execute(_ALONE)
                    await _require_all_rows(connection)
                    await connection.execute(_AS_ADJUSTMENT)
                    return [one async for one in _rebuilt(connection)]
            except (
                asyncpg.SerializationError,
                asyncpg.DeadlockDetectedError,
                asyncpg.LockNotAvailableError,
            ):
                continue
            except asyncpg.UndefinedTableError as error:
                raise VerifyError(_NO_TABLES) from error
            except asyncpg.CheckViolationError as error:
                raise VerifyError(
                    "More is promised than there is by the moves: cancel orders or adjust the"
                    " stock, then rebuild. Nothing was changed."
                ) from error
    raise VerifyError("Others were in the way all the time. Nothing was changed; try again.")


async def _rebuilt(connection: "asyncpg.Connection[Any]") -> AsyncIterator[InvariantResult]:
    for module, invariant in invariants():
        if invariant.rebuild is not None:
            result = await _run(connection, module, invariant)
            if not result.holds:
                await connection.execute(invariant.rebuild)
                yield result


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(
        url, server_settings={"application_name": "gateway verify", "statement_timeout": "0"}
    )
    try:
        yield connection
    finally:
        await connection.close()


@cache
def invariants() -> Sequence[tuple[str, Invariant]]:
    """Return all invariants with the names of their modules, those of the tables last."""
    return (*_of_modules(), *_of_tables())


def _of_modules() -> Iterator[tuple[str, Invariant]]:
    for module in data_modules():
        for invariant in module.invariants:
            yield module.name, invariant


def _of_tables() -> Iterator[tuple[str, Invariant]]:
    for table in (table for module in (*data_modules(), CORE) for table in module.tables):
        for key in sorted(table.foreign_key_constraints, key=_name):
            yield TABLES, _refers_to_something(key)
            if _crosses_companies(key):
                yield TABLES, _stays_in_company(key)


async def _require_all_rows(connection: "asyncpg.Connection[Any]") -> None:
    """Make sure that this login sees every row: to others a broken database looks fine."""
    try:
        sees_all = await connection.fetchval(_UNPROTECTED)
    except asyncpg.UndefinedTableError as error:
        raise VerifyError(_NO_TABLES) from error
    if not sees_all:
        raise VerifyError(
            "Row security hides rows from this login, so nothing can be proven."
            " Give GATEWAY_DATABASE_URL the login that owns the tables."
        )


async def _run(
    connection: "asyncpg.Connection[Any]", module: str, invariant: Invariant
) -> InvariantResult:
    started = monotonic()
    sql = _FIRST_ROWS.format(sql=invariant.sql.rstrip().rstrip(";"), rows=MOST_ROWS)
    found = [dict(row) for row in await connection.fetch(sql)]
    violations = found[0]["_violations"] if found else 0
    for row in found:
        del row["_violations"]
    return InvariantResult(module, invariant, violations, tuple(found), monotonic() - started)


def _name(key: ForeignKeyConstraint) -> str:
    """Name a reference by its table and columns."""
    return f"{key.table.name}({', '.join(key.column_keys)})"


def _refers_to_something(key: ForeignKeyConstraint) -> Invariant:
    """Return the invariant that the row referred to exists, unless a column is NULL."""
    child, parent = key.table, key.referred_table.alias("referred")
    pairs = [(e.parent, parent.c[e.column.name]) for e in key.elements]
    missing = and_(
        *(own.is_not(None) for own, _ in pairs),
        ~exists(select(parent.c[pairs[0][1].name]).where(*(own == of for own, of in pairs))),
    )
    shown = dict.fromkeys((*child.primary_key.columns, *(own for own, _ in pairs)))
    return Invariant(
        f"refers: {_name(key)}",
        _sql(select(*shown).where(missing)),
        f"A row refers to one of {key.referred_table.name} that is not there: restore or clear it.",
    )


def _crosses_companies(key: ForeignKeyConstraint) -> bool:
    """Tell whether both ends belong to companies, and the reference does not see to it itself."""
    both_owned = all(
        row_rule(table).owned and "company_id" in table.c
        for table in (key.table, key.referred_table)
    )
    return both_owned and "company_id" not in key.column_keys


def _stays_in_company(key: ForeignKeyConstraint) -> Invariant:
    """Return the invariant that both rows are of one company, or the one referred to is shared."""
    child, parent = key.table, key.referred_table.alias("referred")
    joined: ColumnElement[bool] = and_(*(e.parent == parent.c[e.column.name] for e in key.elements))
    differs = or_(
        child.c.company_id != parent.c.company_id,
        and_(child.c.company_id.is_(None), parent.c.company_id.is_not(None)),
    )
    shown = (*child.primary_key.columns, child.c.company_id, parent.c.company_id.label("other"))
    return Invariant(
        f"same company: {_name(key)}",
        _sql(select(*shown).select_from(child.join(parent, joined)).where(differs)),
        "A row refers to one of another company, whose people can see neither or both.",
    )


def _sql(statement: Select[Any]) -> str:
    """Write a statement out, without a parameter."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return str(statement.compile(dialect=dialect))


def print_results(results: Sequence[InvariantResult], console: Console) -> None:
    """Print what was proven, and of what does not hold the first rows and what to do.

    References that are as they should be are one line: there are many of them.
    """
    sound = [result for result in results if result.module == TABLES and result.holds]
    grid = _grid("module", "invariant", "rows", "seconds")
    for result in results:
        if result not in sound:
            found = "ok" if result.holds else f"[bold red]{result.violations}[/]"
            grid.add_row(result.module, result.invariant.name, found, f"{result.seconds:.2f}")
    grid.add_row(TABLES, f"{len(sound)} references between tables", "ok", f"{_seconds(sound):.2f}")
    console.print(grid)
    broken = [result for result in results if not result.holds]
    for result in broken:
        _print_rows(result, console)
    console.print(
        f"{len(results) - len(broken)} of {len(results)} invariants hold"
        f" ({_seconds(results):.1f} s)"
    )


def print_rebuilt(results: Sequence[InvariantResult], console: Console) -> None:
    """Print what was rebuilt: the first rows as they were before, beside what they are now."""
    for result in results:
        _print_rows(result, console)
    console.print(f"{sum(result.violations for result in results)} sums rebuilt")


def _seconds(results: Iterable[InvariantResult]) -> float:
    return sum(result.seconds for result in results)


def _grid(*columns: str) -> Grid:
    grid = Grid(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold")
    return grid


def _print_rows(result: InvariantResult, console: Console) -> None:
    """Print the first offending rows of an invariant and its hint."""
    console.print(f"\n[bold]{result.invariant.name}[/]: {result.invariant.hint}")
    grid = _grid(*result.rows[0])
    for row in result.rows:
        grid.add_row(*(Text(str(value)) for value in row.values()))
    console.print(grid)
    if result.violations > len(result.rows):
        console.print(f"... and {result.violations - len(result.rows)} more")
    console.print()
