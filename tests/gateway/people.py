"""A database with a few callers in it, a clock that tests set, and the way in that counts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from gateway.postgres import EmbeddedPostgres
from gateway.settings import Settings
from resolvers.core.install import installation_sql
from resolvers.modules import data_modules

PEOPLE = """
delete from revoked_token; delete from user_role; delete from role_permission; delete from role;
delete from api_client; delete from app_user; delete from partner; delete from company;
insert into currency (code, name, digits) values ('EUR', 'Euro', 2) on conflict do nothing;
insert into company (id, code, name, country, currency) overriding system value values
    (1, 'NORTH', 'North Ltd', 'IE', 'EUR'), (2, 'SOUTH', 'South SA', 'ES', 'EUR'),
    (3, 'OTHER', 'Another firm', 'FR', 'EUR');
insert into role (id, code, name) overriding system value values
    (1, 'clerk', 'Clerk'), (2, 'boss', 'Boss');
insert into role_permission (role_id, permission) values
    (1, 'stock.read'), (2, 'stock.read'), (2, 'stock.adjust');
insert into app_user (id, email, display_name) overriding system value values
    (1, 'ada@demo', 'Ada'), (2, 'bob@demo', 'Bob'), (3, 'roleless@demo', 'Nobody yet');
insert into user_role (user_id, company_id, role_id) values
    (1, 1, 1), (1, 1, 2), (1, 2, 1), (2, 2, 1);
insert into partner (id, code, name, kind) overriding system value values
    (1, 'P1', 'Partner', 'ORGANIZATION');
insert into api_client (id, company_id, partner_id, code, name, key_prefix, key_hash, permissions)
    overriding system value values
    (1, 1, null, 'shop', 'Web shop', 'unused-1', sha256('unused'), '{stock.read}'),
    (2, 2, 1, 'partner-demo', 'A partner', 'unused-2', sha256('unused'), '{orders.read}');
"""
"""Ada works in NORTH and SOUTH, Bob in SOUTH; `shop` is of NORTH, `partner-demo` of SOUTH."""


@contextmanager
def people_database(folder: Path) -> Iterator[str]:
    """Yield the address of a database, as its owner, that holds the tables and nobody yet."""
    with EmbeddedPostgres(folder, settings={"fsync": "off"}) as server:
        server.create_database("people")
        yield server.url("people")


async def install(owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Make the tables."""
    await owner.execute(installation_sql(data_modules()))


def settings_with(**values: Any) -> Settings:
    """Return settings of which these are set."""
    return Settings(**values)


class Time:
    """The time of day and the timer of one test; both stand still until told."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
        self.ticks = 1_000.0

    def clock(self) -> datetime:
        """Tell the time."""
        return self.now

    def timer(self) -> float:
        """Count seconds."""
        return self.ticks

    def advance(self, seconds: float) -> None:
        """Let time pass on both."""
        self.now += timedelta(seconds=seconds)
        self.ticks += seconds


class CountedFetch:
    """Statements as the serving role, counted."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self.statements = 0

    async def __call__(self, sql: str, /, *arguments: Any) -> Sequence[Any]:
        """Run one statement."""
        self.statements += 1
        return await self._pool.fetch(sql, *arguments)
