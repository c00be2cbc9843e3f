"""The database that is measured on: made once in a folder of its own, then kept."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from zlib import crc32

import asyncpg

from benchmarks.plans import prepare
from benchmarks.processes import parent
from gateway.migrate import migrate
from gateway.postgres import EmbeddedPostgres
from gateway.seed import seed
from gateway.seeding.sizes import SizeName
from gateway.steps import Steps
from resolvers.core.principal import STAFF_ROLE

ROOT = Path(__file__).parents[1]
SOURCES = ("gateway/migrations/versions", "gateway/seeding")
TODAY = date(2026, 6, 30)
"""The day the data ends at, so that it is the same whenever it is made."""
USER = "admin@demo"
"""Who asks."""

_COUNTS = """
select (select count(*) from product) as products,
       (select count(*) from partner) as partners,
       (select count(*) from warehouse) as warehouses,
       (select count(*) from stock_level) as "stock levels",
       (select count(*) from sales_order) as orders,
       (select count(*) from sales_order_line) as lines
"""


@dataclass(frozen=True, slots=True)
class Database:
    """A migrated and seeded database: as its owner and as those who serve from it log in."""

    owner_url: str
    serving_url: str
    company_id: int
    """The company the measured caller acts for."""
    postmaster: int
    """Process id of the PostgreSQL server."""
    version: str
    rows: dict[str, int]
    """How much of what the company sees."""

    async def prepare(self, statements: str) -> None:
        """Run statements as the owner."""
        connection = await asyncpg.connect(self.owner_url)
        try:
            await connection.execute(statements)
        finally:
            await connection.close()


async def connect(url: str, company_id: int) -> "asyncpg.Connection[Any]":
    """Log in with the rows of one company in sight."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(
        url,
        server_settings={
            "role": STAFF_ROLE,
            "app.company_id": str(company_id),
            "app.partner_id": "",
            "jit": "off",
            "timezone": "UTC",
        },
    )
    await prepare(connection)
    return connection


@contextmanager
def open_database(data_dir: Path, size: SizeName, steps: Steps) -> Iterator[Database]:
    """Yield a database of one size in ``data_dir``, made first if it is not there.

    Its name tells which migrations and which data made it, so that it never is out of date.

    Raises:
        EmbeddedPostgresError: PostgreSQL cannot be started there.

    """
    name = f"bench_{size}_{fingerprint():08x}"
    with EmbeddedPostgres(data_dir, progress=steps.say) as server:
        if not server.has_database(name):
            for outdated in asyncio.run(_databases(server.url(), f"bench_{size}_")):
                server.drop_database(outdated)
            _make(server, name, size, steps)
        yield asyncio.run(describe(server.url(name), server.url(name, STAFF_ROLE)))


@asynccontextmanager
async def copy_of(kept: Database, purpose: str) -> AsyncIterator[Database]:
    """Copy a database for as long as the block lasts, so that the next run finds it as it was."""
    name = kept.owner_url.partition("?")[0].rpartition("/")[2]
    copy = f"{name}_{purpose}"

    async def administer(*statements: str) -> None:
        connection = await asyncpg.connect(kept.owner_url.replace(f"/{name}", "/postgres"))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    drop = f'drop database if exists "{copy}" with (force)'
    await administer(drop, f'create database "{copy}" template "{name}"')
    try:
        yield await describe(
            kept.owner_url.replace(f"/{name}", f"/{copy}"),
            kept.serving_url.replace(f"/{name}", f"/{copy}"),
        )
    finally:
        await administer(drop)


def fingerprint() -> int:
    """Return a checksum of what decides about tables and data."""
    files = sorted(file for source in SOURCES for file in (ROOT / source).rglob("*.*"))
    files = [file for file in files if file.suffix in (".py", ".sql")]
    return crc32(b"".join(file.read_bytes() for file in files))


def _make(server: EmbeddedPostgres, name: str, size: SizeName, steps: Steps) -> None:
    """Make the database under another name first: under its own it is always complete."""
    making = f"bench_{size}_making"
    server.create_database(making)
    with steps.step(f"Making the {size} data set, once"):
        asyncio.run(_fill(server.url(making), size, steps))
    asyncio.run(_rename(server.url(), making, name))


async def _databases(url: str, start: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        named = "select datname from pg_database where starts_with(datname, $1)"
        return [name for (name,) in await connection.fetch(named, start)]
    finally:
        await connection.close()


async def _fill(url: str, size: SizeName, steps: Steps) -> None:
    await migrate(url)
    await seed(url, size, today=TODAY, progress=steps.count)


async def _rename(url: str, old: str, new: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f'alter database "{old}" rename to "{new}"')
    finally:
        await connection.close()


async def describe(owner_url: str, serving_url: str) -> Database:
    """Look at a database that is ready."""
    owner = await asyncpg.connect(owner_url)
    try:
        company_id = await owner.fetchval("select company_id from user_access($1)", USER)
        postmaster = parent(await owner.fetchval("select pg_backend_pid()"))
        version = await owner.fetchval("show server_version")
    finally:
        await owner.close()
    connection = await connect(serving_url, company_id)
    try:
        rows = dict(await connection.fetchrow(_COUNTS) or {})
    finally:
        await connection.close()
    return Database(owner_url, serving_url, company_id, postmaster, version, rows)
