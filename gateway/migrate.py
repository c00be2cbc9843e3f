"""Migrations under an advisory lock, and the check that they lead to what the code declares."""

from dataclasses import dataclass
from difflib import unified_diff
from functools import cache, partial
from pathlib import Path
from uuid import uuid4

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from resolvers.core.install import installation_sql
from resolvers.core.principal import PARTNER_ROLE, STAFF_ROLE
from resolvers.modules import data_modules

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x6572_7001  # any number that nobody else in the database locks
_LEAST_VERSION = 150000


class MigrationError(Exception):
    """The database cannot be migrated; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Revisions:
    """Where a database stands and where the code wants it."""

    current: str | None
    head: str

    @property
    def up_to_date(self) -> bool:
        """Tell whether nothing is left to migrate."""
        return self.current == self.head


async def migrate(url: str) -> Revisions:
    """Bring the database at ``url`` to the newest revision; processes that race wait for one.

    Returns where it stood before.

    Raises:
        MigrationError: the server is older than PostgreSQL 15, or at a revision we do not know.

    """
    engine = _engine(url)
    try:
        async with engine.connect() as lock:
            version = (await lock.exec_driver_sql("show server_version_num")).scalar_one()
            if int(version) < _LEAST_VERSION:
                raise MigrationError(
                    f"PostgreSQL 15 or newer is needed; this server is {int(version) // 10000}."
                )
            await lock.exec_driver_sql(f"select pg_advisory_lock({_LOCK})")
            try:
                async with engine.connect() as connection:
                    before = await connection.run_sync(_revisions)
                    await connection.run_sync(_upgrade)
                    await connection.commit()
            finally:
                await lock.exec_driver_sql(f"select pg_advisory_unlock({_LOCK})")
        return before
    finally:
        await engine.dispose()


async def revisions(url: str) -> Revisions:
    """Return where the database at ``url`` stands, without changing it."""
    engine = _engine(url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_revisions)
    finally:
        await engine.dispose()


@cache
def head_revision() -> str:
    """Return the newest revision the code knows."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


async def drift(admin_url: str) -> list[str]:
    """Compare what the migrations build with what the code declares; empty when they agree.

    Builds both in two scratch databases on the server at ``admin_url``, whose login may create
    databases, and compares their catalogs: columns, defaults, constraints, indexes, functions,
    triggers, policies and privileges. Returns the lines of a diff.
    """
    run = uuid4().hex[:12]
    names = (f"erp_drift_migrated_{run}", f"erp_drift_declared_{run}")
    admin = await asyncpg.connect(admin_url)
    try:
        for name in names:
            await admin.execute(f"create database {name}")
        migrated, declared = (_database(admin_url, name) for name in names)
        await migrate(migrated)
        await _install(declared)
        built, wanted = await _catalog(migrated), await _catalog(declared)
        return list(unified_diff(built, wanted, "migrations", "declared", n=1, lineterm=""))
    finally:
        for name in names:
            await admin.execute(f"drop database if exists {name} with (force)")
        await admin.close()


async def _install(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(installation_sql(data_modules()))
    finally:
        await connection.close()


def _engine(url: str) -> AsyncEngine:
    """Return an engine whose connections the driver opens: a URL may say what only that knows."""
    return create_async_engine(
        "postgresql+asyncpg://", async_creator=partial(asyncpg.connect, url), poolclass=NullPool
    )


def _database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    return config


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    # so that a serving process can tell whether the database is migrated
    connection.exec_driver_sql(f"grant select on alembic_version to {STAFF_ROLE}, {PARTNER_ROLE}")


def _revisions(connection: Connection) -> Revisions:
    current = MigrationContext.configure(connection).get_current_revision()
    script = ScriptDirectory.from_config(_config())
    known = {revision.revision for revision in script.walk_revisions()}
    if current is not None and current not in known:
        raise MigrationError(
            f"The database is at revision {current}, which this version of the gateway does not "
            "know: it was migrated by a newer one."
        )
    return Revisions(current, head_revision())


async def _catalog(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(_CATALOG)
    finally:
        await connection.close()
    return [line for row in rows for line in str(row[0]).splitlines()]


_CATALOG = """
select line from (
  select format('column %s.%s %s%s default %s identity %s generated %s comment %s',
           c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
           case when a.attnotnull then ' not null' else '' end,
           coalesce(pg_get_expr(d.adbin, d.adrelid), '-'), a.attidentity, a.attgenerated,
           coalesce(obj_description(c.oid, 'pg_class'), '-')) as line
  from pg_attribute a join pg_class c on c.oid = a.attrelid
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.attnum > 0
    and not a.attisdropped
  union all
  select format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
  from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'
  union all
  select format('index %s', indexdef) from pg_indexes where schemaname = 'public'
  union all
  select format('function %s', pg_get_functiondef(p.oid)) from pg_proc p
  left join pg_depend e on e.objid = p.oid and e.deptype = 'e'
  where p.pronamespace = 'public'::regnamespace and e.objid is null
  union all
  select format('trigger %s', pg_get_triggerdef(oid)) from pg_trigger where not tgisinternal
  union all
  select format('policy %s.%s %s to %s using %s check %s',
           tablename, policyname, cmd, roles, qual, with_check)
  from pg_policies where schemaname = 'public'
  union all
  select format('grant %s on %s to %s', privilege_type, table_name, grantee)
  from information_schema.role_table_grants
  where table_schema = 'public' and grantee like 'erp%'
  union all
  select format('table %s rls %s options %s', relname, relrowsecurity, reloptions)
  from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
) lines
where line not like '%alembic_version%'
order by line
"""
