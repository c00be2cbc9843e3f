"""Archiving: rows leave the lists and stay where documents refer to them, unless work is left.

What keeps a row from being archived is the business of the module that refers to it: each adds a
rule, a trigger on the row's table, so that the rules hold for whoever writes. Rules look at all
companies, because products and partners are shared by them.
"""

from typing import Final

import asyncpg
from sqlalchemy import Table, bindparam, func, select, update

from resolvers.core.command import CommandRefused, Outcome, run_command, write_audit
from resolvers.core.context import Context
from resolvers.core.document import changed_since
from resolvers.core.entity import Entity
from resolvers.core.errors import (
    Archived,
    Duplicate,
    ErpError,
    InvalidTransition,
    NotFound,
)
from resolvers.core.table import as_given
from resolvers.core.transaction import Transaction

STILL_NEEDED: Final = "ERP01"
"""SQLSTATE of a rule's refusal; PostgreSQL has no class ER, so it is never anything else."""


def archive_rule(table: str, name: str, *, while_exists: str, message: str) -> str:
    """Return the trigger that refuses to archive a row of ``table`` while some work is left.

    ``while_exists`` is the rest of ``exists (select from ...``, in which ``old`` is the row.
    ``message`` is told to clients.
    """
    function = f"{table}_archive_{name}"
    return f"""
create function {function}() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if exists (select from {while_exists}) then
    raise exception using errcode = '{STILL_NEEDED}', message = '{message}';
  end if;
  return null;
end $$;
create trigger {function} after update of archived_at on {table}
  for each row when (old.archived_at is null and new.archived_at is not null)
  execute function {function}()
"""


async def archive(
    context: Context,
    entity: Entity,
    *,
    operation: str,
    key: str,
    id_: int,
    expected_version: int | None,
    archived: bool,
) -> Outcome:
    """Archive a row, or with ``archived`` False take it back into use; return its ``id``.

    Raises:
        CommandRefused: there is no such row, it changed, is archived already or not, is still
            needed, or its code is used by another row by now.

    """

    async def body(connection: Transaction) -> Outcome:
        await _check(connection, entity, id_, expected_version, archived=archived)
        version = await _set(connection, entity.table, id_, archived=archived)
        await write_audit(
            context,
            connection,
            operation=operation,
            action="archive" if archived else "restore",
            entity=entity.name,
            changes={id_: {"archived": archived}},
            versions={id_: version},
        )
        return {"id": id_}

    return await run_command(
        context,
        operation=operation,
        key=key,
        request={"id": id_, "expectedVersion": expected_version},
        cause=operation,
        body=body,
    )


async def _check(
    connection: Transaction,
    entity: Entity,
    id_: int,
    expected_version: int | None,
    *,
    archived: bool,
) -> None:
    columns = entity.table.c
    given = bindparam("id", id_, type_=as_given(columns.id.type))
    found = await connection.execute(
        select(columns.version, columns.archived_at).where(columns.id == given).with_for_update()
    )
    row = found.first()
    if row is None:
        raise CommandRefused([NotFound(f"There is no such {entity.name.lower()}.", path=("id",))])
    if expected_version is not None and expected_version != row.version:
        conflict = await changed_since(
            connection,
            entity.name,
            id_,
            expected_version=expected_version,
            version=row.version,
        )
        raise CommandRefused([conflict], {"id": id_})
    if archived and row.archived_at is not None:
        raise CommandRefused([Archived("It is archived already.", path=("id",))], {"id": id_})
    if not archived and row.archived_at is None:
        raise CommandRefused([InvalidTransition("It is not archived.", path=("id",))], {"id": id_})


async def _set(connection: Transaction, table: Table, id_: int, *, archived: bool) -> int:
    """Set or clear the instant of archiving; return the version the row has now."""
    columns = table.c
    try:
        changed = await connection.execute(
            update(table)
            .where(columns.id == id_)
            .values(
                archived_at=func.now() if archived else None,
                updated_at=func.now(),
                version=columns.version + 1,
            )
            .returning(columns.version)
        )
    except asyncpg.PostgresError as error:
        refusal = _refusal(error)
        if refusal is None:
            raise
        raise CommandRefused([refusal]) from None
    return int(changed.scalar_one())


def _refusal(failure: asyncpg.PostgresError) -> ErpError | None:
    if failure.sqlstate == STILL_NEEDED:
        return InvalidTransition(str(failure), path=("id",))
    if isinstance(failure, asyncpg.UniqueViolationError):
        return Duplicate("Its code is used by another one by now.", path=("id",))
    return None
