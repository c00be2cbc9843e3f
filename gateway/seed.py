"""Demo data: believable companies with a year or more behind them, the same rows every time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from time import monotonic
from typing import Any, Final

import asyncpg

from gateway.seeding.demo import Demo, Portion
from gateway.seeding.office import OFFICE
from gateway.seeding.papers import PAPERS, Files
from gateway.seeding.rows import Copy
from gateway.seeding.sizes import SIZES, SizeName
from resolvers.core.clock import system_clock
from resolvers.modules import data_modules

Progress = Callable[[str, int, int], None]
"""Is told the step, how much of it is done, and how much there is to do."""

DEFAULT_SEED: Final = 7

_FILES_AT_A_TIME: Final = 500

_LOCK: Final = 7_305_817_239
"""Key of the advisory lock that lets only one process seed a database at a time."""

# Replica mode skips triggers, foreign keys included: no events, and half the time. It takes a
# superuser. Other owners switch off their own triggers and have every foreign key checked.
_REPLICA: Final = "set local session_replication_role = replica"
_TABLES_WITH_TRIGGERS: Final = """
select distinct format('%I.%I', n.nspname, c.relname)
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
where not t.tgisinternal and t.tgenabled = 'O' and n.nspname = current_schema()
"""

_RESERVATIONS: Final = """
insert into stock_reservation
       (id, company_id, level_id, source, source_id, quantity, consumed, state, created_at)
overriding system value
select row_number() over (order by l.id), l.company_id, s.id, 'SALES_ORDER_LINE', l.id,
       case when o.state = 'CANCELED' then l.canceled else l.shipped + l.reserved end, l.shipped,
       case when o.state = 'CANCELED' then 'RELEASED'
            when l.reserved > 0 then 'ACTIVE' else 'CONSUMED' end,
       o.confirmed_at
from sales_order_line l
join sales_order o on o.id = l.order_id
join stock_level s on s.product_id = l.product_id and s.warehouse_id = l.warehouse_id
where o.confirmed_at is not null and (l.shipped + l.reserved > 0 or o.state = 'CANCELED')
"""
"""What lines have reserved and shipped is what their reservations hold and held."""

_HOLDS: Final[Mapping[str, str]] = {
    "stock_hold": """
insert into stock_hold
       (id, company_id, partner_id, state, reference, expires_at, created_at, created_by, version)
overriding system value
select row_number() over (order by id), company_id, case when id % 2 = 0 then partner_id end,
       (array['TAKEN', 'RELEASED', 'EXPIRED'])[1 + id / 25 % 3], 'CART-' || lpad(id::text, 6, '0'),
       created_at, created_at - interval '10 minutes', 'user:2', 2
from sales_order where id % 25 = 3 and confirmed_at is not null
""",
    "stock_hold_line": """
insert into stock_hold_line
       (id, company_id, partner_id, hold_id, position, product_id, warehouse_id, quantity)
overriding system value
select row_number() over (order by h.id, l.position), h.company_id, h.partner_id, h.id,
       l.position, l.product_id, l.warehouse_id, l.quantity
from stock_hold h join sales_order_line l on l.order_id = substr(h.reference, 6)::bigint
""",
    "stock_reservation": """
insert into stock_reservation
       (id, company_id, level_id, source, source_id, quantity, state, expires_at, created_at)
overriding system value
select (select max(id) from stock_reservation) + row_number() over (order by l.id), l.company_id,
       s.id, 'CART', l.id, l.quantity,
       case h.state when 'EXPIRED' then 'EXPIRED' else 'RELEASED' end,
       h.expires_at, h.created_at
from stock_hold_line l join stock_hold h on h.id = l.hold_id
join stock_level s on s.product_id = l.product_id and s.warehouse_id = l.warehouse_id
""",
}
"""Carts held stock before some orders were placed, or gave it up; none does at the end."""

_RETURNED: Final = """
update sales_order_line l set returned = r.quantity
from (select order_line_id, sum(quantity) as quantity from goods_return_line group by 1) r
where l.id = r.order_line_id
"""
_BILLED: Final = "select derive_sales_billing(array_agg(id)) from sales_order"
"""How far orders are invoiced and paid is known once the last payment is written down."""
_IN_TRANSIT: Final = """
insert into incoming_stock
       (id, company_id, product_id, warehouse_id, expected_on, quantity, source, source_id)
overriding system value
select coalesce((select max(id) from incoming_stock), 0) + row_number() over (order by l.id),
       l.company_id, l.product_id, l.to_warehouse_id, l.expected_on,
       l.quantity - l.received - l.returned, 'STOCK_TRANSFER_LINE', l.id
from stock_transfer_line l where l.quantity > l.received + l.returned
"""
"""What lines of orders say came back, and what is on its way, follow from returns and transfers."""

_ARCHIVE: Final = """
update {table} t set archived_at = a.at, updated_at = a.at, version = version + 1
from unnest($1::bigint[], $2::text[]) as given(id, at), lateral (select given.at::timestamptz) a(at)
where t.id = given.id
"""

_SET_SEQUENCES: Final = """
do $$
declare c record;
begin
  for c in select table_name as t, column_name as id from information_schema.columns
           where table_schema = current_schema() and is_identity = 'YES' loop
    execute format('select setval(pg_get_serial_sequence(%L, %L), max(%I)) from %I',
                   c.t, c.id, c.id, c.t);
  end loop;
end $$
"""
"""New rows get ids after those that were sent with theirs."""


class SeedError(Exception):
    """Why no demo data was written, and what to do about it, for people to read."""


@dataclass(frozen=True, slots=True)
class SeedReport:
    """What a seeding did; ``rows`` by table is empty if the database already had companies."""

    seeded: bool
    rows: Mapping[str, int]
    seconds: float


async def seed(
    url: str,
    size: SizeName,
    *,
    seed: int = DEFAULT_SEED,
    today: date | None = None,
    progress: Progress = lambda _step, _done, _total: None,
) -> SeedReport:
    """Fill an empty, migrated database with demo data, as its owner; not one that has companies.

    Everything is one transaction: an interrupted seeding leaves nothing behind. The same size, seed
    and ``today`` (default: the clock's) give the same rows; the history ends the day before.

    Raises:
        SeedError: there is something in the database besides companies, or no tables at all.

    """
    started = monotonic()
    connection = await asyncpg.connect(
        url, server_settings={"application_name": "gateway seed", "statement_timeout": "0"}
    )
    try:
        rows = await _seed(connection, size, seed, today or system_clock().date(), progress)
        if rows:
            progress("statistics", 0, 1)
            await connection.execute(f"vacuum (analyze) {', '.join(rows)}")
            progress("statistics", 1, 1)
    finally:
        await connection.close()
    return SeedReport(bool(rows), rows, monotonic() - started)


async def _seed(
    connection: "asyncpg.Connection[Any]",
    size: SizeName,
    seed: int,
    today: date,
    progress: Progress,
) -> dict[str, int]:
    """Write everything in one transaction; return the rows by table, none if nothing was done."""
    rows: Counter[str] = Counter()
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
        if not await _is_empty(connection):
            return {}
        # invoices and shipments are written down before the orders they are for
        await connection.execute("set constraints all deferred")
        asleep = await _put_triggers_to_sleep(connection)
        demo = Demo(size, seed, today, _all_permissions())
        async for portion in _one_ahead(demo.portions()):
            for copy in portion.copies:
                await _send(connection, copy)
                rows[copy.table] += copy.rows
            progress(portion.step, portion.done, portion.total)
        progress("reservations", 0, 1)
        await connection.execute("analyze sales_order, sales_order_line, stock_level")
        rows["stock_reservation"] = _count(await connection.execute(_RESERVATIONS))
        for table, statement in _HOLDS.items():
            rows[table] += _count(await connection.execute(statement))
        await connection.execute(_RETURNED)
        await connection.execute(_BILLED)
        rows["incoming_stock"] += _count(await connection.execute(_IN_TRANSIT))
        progress("reservations", 1, 1)
        await _archive(connection, "product", demo.archived_products)
        await _archive(connection, "partner", demo.archived_partners)
        async for copy in _files(connection, SIZES[size].documents, progress):
            await _send(connection, copy)
            rows[copy.table] += copy.rows
        for table, statement in OFFICE.items():
            rows[table] = _count(await connection.execute(statement, SIZES[size].documents, today))
        await connection.execute(_SET_SEQUENCES)
        # a table with checks still to come cannot be altered
        await connection.execute("set constraints all immediate")
        for table in asleep:
            await connection.execute(f"alter table {table} enable trigger user")
    return dict(rows)


async def _is_empty(connection: "asyncpg.Connection[Any]") -> bool:
    """Tell whether there is no company yet.

    Raises:
        SeedError: there is none, but something else that demo data would mix with.

    """
    try:
        if await connection.fetchval("select exists (select from company)"):
            return False
    except asyncpg.UndefinedTableError as error:
        raise SeedError(
            "This database has no tables yet: run `python -m gateway migrate`."
        ) from error
    for module in data_modules():
        for table in module.tables:
            if await connection.fetchval(str(table.select().exists().select())):
                raise SeedError(
                    f"There are no companies, but rows in {table.name}: this database is in use."
                    " Demo data goes into an empty database only."
                )
    return True


def _all_permissions() -> set[str]:
    return {permission for module in data_modules() for permission in module.permissions}


async def _put_triggers_to_sleep(connection: "asyncpg.Connection[Any]") -> list[str]:
    """Keep triggers from firing in this transaction; return the tables where they must be woken."""
    try:
        async with connection.transaction():
            await connection.execute(_REPLICA)
    except asyncpg.InsufficientPrivilegeError:
        tables = [name for (name,) in await connection.fetch(_TABLES_WITH_TRIGGERS)]
        for table in tables:
            await connection.execute(f"alter table {table} disable trigger user")
        return tables
    return []


async def _one_ahead(portions: Iterator[Portion]) -> AsyncIterator[Portion]:
    """Make each portion in a thread while the one before is being sent."""
    ahead = asyncio.create_task(asyncio.to_thread(next, portions, None))
    while (portion := await ahead) is not None:
        ahead = asyncio.create_task(asyncio.to_thread(next, portions, None))
        yield portion


async def _files(
    connection: "asyncpg.Connection[Any]", count: int, progress: Progress
) -> AsyncIterator[Copy]:
    """Make the files of documents, some at a time, of rows that were sent before."""
    files = Files()
    for done, (kind, (statement, _)) in enumerate(PAPERS.items()):
        progress("documents", done, len(PAPERS))
        found = await connection.fetch(statement, count)
        for first in range(0, len(found), _FILES_AT_A_TIME):
            for row in found[first : first + _FILES_AT_A_TIME]:
                files.add(kind, row)
            for sheet in files.sheets:
                yield sheet.take()
    progress("documents", len(PAPERS), len(PAPERS))


async def _send(connection: "asyncpg.Connection[Any]", copy: Copy) -> None:
    await connection.copy_to_table(
        copy.table, source=_once(copy.data), columns=list(copy.columns), format="text", null=""
    )


async def _once(data: bytes) -> AsyncIterator[bytes]:
    """Yield ``data``; given as they are, asyncpg takes bytes for the name of a file."""
    yield data


async def _archive(
    connection: "asyncpg.Connection[Any]", table: str, archived: list[tuple[int, str]]
) -> None:
    """Archive what the history archived, as of then."""
    ids, moments = [id_ for id_, _ in archived], [moment for _, moment in archived]
    await connection.execute(_ARCHIVE.format(table=table), ids, moments)


def _count(status: str) -> int:
    """Return the number of rows from a status such as `INSERT 0 42`."""
    return int(status.rpartition(" ")[2])
