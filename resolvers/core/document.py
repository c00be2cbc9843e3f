"""The frame of commands that change a document: locked, as it was read, in a fit state."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Table, bindparam, select, update

from resolvers.core.command import AtOnce, CommandRefused, Outcome, run_command, write_audit
from resolvers.core.context import Context
from resolvers.core.errors import Conflict, ErpError, NotFound
from resolvers.core.records import audit_log
from resolvers.core.statement import Statement, compile_statement
from resolvers.core.table import as_given
from resolvers.core.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Document:
    """A kind of documents: what the trail calls it, its table, and what people call it."""

    entity: str
    table: Table
    called: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Which document a command is for, and of which version; ``at`` is where the input says so."""

    id: int
    expected_version: int | None = None
    at: tuple[str, ...] = ("id",)


Change = Callable[[Transaction, Any], Awaitable[Outcome]]
"""What a command does to a document whose row it is given, locked; returns what to tell of it."""
Refusal = Callable[[Any], ErpError | None]
"""Tells why something cannot be done with a document's row now, None if it can."""


async def change_document(
    context: Context,
    key: str,
    document: Document,
    asked: Asked,
    *,
    operation: str,
    cause: str,
    refuse: Refusal,
    change: Change,
    request: Mapping[str, Any] | None = None,
    at_once: AtOnce | None = None,
) -> Outcome:
    """Run ``change`` on a document unless ``refuse`` says why not; the frame of its verbs.

    Returns what ``change`` does, and the document's ``id``. ``request`` is what was asked for
    besides. Where all of it can be done ``at_once``, neither of the two is asked.

    Raises:
        CommandRefused: there is no such document, it changed, or it is refused.

    """

    async def body(connection: Transaction) -> Outcome:
        row = await lock_document(connection, document, asked)
        with naming({"id": asked.id}) as it:
            refusal = refuse(row)
            if refusal is not None:
                raise CommandRefused([refusal])
            return {**it, **await change(connection, row)}

    return await run_command(
        context,
        operation=operation,
        key=key,
        request=request_for(asked, request),
        cause=cause,
        document=f"{document.entity}:{asked.id}",
        body=body,
        at_once=at_once,
    )


def request_for(asked: Asked, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what a command on a document is asked for, as its idempotency key remembers it."""
    return {"id": asked.id, "expectedVersion": asked.expected_version, **(request or {})}


@contextmanager
def naming(it: Outcome) -> Iterator[Outcome]:
    """Let refusals name ``it`` besides: the document that is shown as it is then."""
    try:
        yield it
    except CommandRefused as refusal:
        raise CommandRefused(refusal.errors, {**it, **refusal.outcome}) from refusal


async def lock_document(
    connection: Transaction, document: Document, asked: Asked, *, named: str = "id"
) -> Any:
    """Lock a document before anything that belongs to it, and return its row.

    ``named`` is what the outcome of a conflict calls its id.

    Raises:
        CommandRefused: there is no such document, or it is not of the version expected.

    """
    row = (await connection.run(_locking(document.table), {"given": asked.id})).first()
    if row is None:
        raise CommandRefused([NotFound(f"There is no such {document.called}.", path=asked.at)])
    if asked.expected_version is not None and asked.expected_version != row.version:
        conflict = await changed_since(
            connection,
            document.entity,
            asked.id,
            expected_version=asked.expected_version,
            version=row.version,
        )
        raise CommandRefused([conflict], {named: asked.id})
    return row


def changes_of(row: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the trail tells of a row that gets ``values``: those that are new, as JSON.

    By the names that clients know the columns by.
    """
    changed = {}
    for name, value in values.items():
        if getattr(row, name) != value:
            first, *rest = name.split("_")
            plain = value is None or isinstance(value, str | int)
            changed[first + "".join(map(str.title, rest))] = value if plain else str(value)
    return changed


async def write_document(
    context: Context,
    connection: Transaction,
    document: Document,
    row: Any,
    values: Mapping[str, Any],
    *,
    operation: str,
    action: str,
    told: Mapping[str, Any] | None = None,
) -> None:
    """Change the locked ``row`` of a document to ``values``, count its version, leave the trail.

    ``told`` is told there besides.
    """
    changing = _changing(document.table, tuple(values))
    await connection.run(changing, {"given": row.id, **{f"new_{n}": v for n, v in values.items()}})
    await write_audit(
        context,
        connection,
        operation=operation,
        action=action,
        entity=document.entity,
        changes={row.id: {**(told or {}), **changes_of(row, values)}},
        versions={row.id: row.version + 1},
    )


@cache
def _locking(table: Table) -> Statement:
    """Return what locks a document and reads it."""
    given = bindparam("given", type_=as_given(table.c.id.type))
    return compile_statement(
        select(table).where(table.c.id == given).with_for_update(key_share=True)
    )


@cache
def _changing(table: Table, names: tuple[str, ...]) -> Statement:
    """Return what sets columns of a document, and counts its version."""
    values = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
    given = bindparam("given", type_=table.c.id.type)
    return compile_statement(
        update(table).where(table.c.id == given).values(**values, version=table.c.version + 1)
    )


async def changed_since(
    connection: Transaction,
    entity: str,
    id_: int,
    *,
    expected_version: int,
    version: int,
    path: tuple[str, ...] = ("expectedVersion",),
) -> Conflict:
    """Return the conflict of a caller who read an older version of an object than there is now.

    Its details tell the version, and by the audit trail what was changed, by whom and when last.
    """
    entries = audit_log.c
    found = await connection.execute(
        select(entries.actor, entries.at, entries.diff)
        .where(
            entries.entity == entity,
            entries.entity_id == id_,
            entries.version > expected_version,
        )
        .order_by(entries.id)
    )
    details: dict[str, Any] = {"version": version}
    rows = found.all()
    if rows:
        details["changed"] = ", ".join(sorted({name for row in rows for name in row.diff}))
        details["changedBy"] = ", ".join(sorted({row.actor for row in rows}))
        details["changedAt"] = rows[-1].at.isoformat().replace("+00:00", "Z")
    return Conflict("It changed since you read it.", path=path, details=details)
