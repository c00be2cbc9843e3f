"""The frame every command runs in: one short transaction, once per idempotency key, with its trail.

Follows the idempotent-request pattern of Stripe's API (https://docs.stripe.com/api/idempotent_requests)
with the answer stored in the transaction of the effect: an effect without its answer cannot exist.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import bindparam, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from resolvers.core.context import Context
from resolvers.core.database_errors import expected
from resolvers.core.errors import ErpError, Forbidden, IdempotencyMismatch, Invalid
from resolvers.core.records import audit_log, idempotency_key

MAX_KEY = 200

Outcome = dict[str, Any]
"""What a command answers, as JSON: ids of what it made and changed. Stored under its key."""
Body = Callable[[AsyncConnection], Awaitable[Outcome]]


class CommandRefused(Exception):
    """The command was understood and refused; nothing was written. ``errors`` say why."""

    def __init__(self, errors: Sequence[ErpError]) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = tuple(errors)


async def run_command(
    context: Context,
    *,
    operation: str,
    key: str,
    request: Mapping[str, Any],
    cause: str,
    body: Body,
) -> Outcome:
    """Run ``body`` in one transaction, at most once per ``key`` of this caller and company.

    ``request`` is the command's input as JSON-safe data: a key used again with the same one returns
    the stored outcome, with another one is refused. Two requests with one key at once: the second
    waits for the first. ``cause`` is told in the events of the transaction.

    Raises:
        CommandRefused: a rule or the key refuses the command.
        Forbidden: the caller is bound to a partner, whose database role only reads.
        Overloaded: no connection became free in time.
        TimedOut: a lock or a statement took too long; nothing was written.

    """
    if context.principal.partner_id is not None:
        raise Forbidden("An API client bound to a partner can only read.")
    if not 1 <= len(key) <= MAX_KEY:
        raise CommandRefused(
            [
                Invalid(
                    f"idempotencyKey must have 1 to {MAX_KEY} characters.", path=("idempotencyKey",)
                )
            ]
        )
    digest = sha256(orjson.dumps([operation, request], option=orjson.OPT_SORT_KEYS)).digest()
    try:
        async with context.writes.begin(context.principal.rows) as connection:
            stored = await _claim(context, connection, operation, key, digest)
            if stored is not None:
                return stored
            await connection.execute(
                select(func.set_config(literal("app.cause"), bindparam("cause"), literal(True))),  # noqa: FBT003
                {"cause": cause},
            )
            outcome = await body(connection)
            await _answer(context, connection, key, outcome)
    except DBAPIError as error:
        raise expected(error) or error from error
    context.forget()
    context.wake_relay()
    return outcome


async def _claim(
    context: Context, connection: AsyncConnection, operation: str, key: str, digest: bytes
) -> Outcome | None:
    """Take the key, waiting for whoever has it; return the stored outcome if it was used."""
    mine = {
        "company_id": context.principal.company_id,
        "actor": context.principal.actor,
        "key": key,
    }
    taken = await connection.execute(
        upsert(idempotency_key)
        .values(**mine, operation=operation, request_hash=digest)
        .on_conflict_do_nothing()
        .returning(idempotency_key.c.key)
    )
    if taken.first() is not None:
        return None
    used = (
        await connection.execute(
            select(idempotency_key.c.request_hash, idempotency_key.c.response).filter_by(**mine)
        )
    ).one()
    if used.request_hash != digest:
        raise CommandRefused(
            [
                IdempotencyMismatch(
                    "This idempotencyKey was used for another request; take a new one.",
                    path=("idempotencyKey",),
                )
            ]
        )
    response: Outcome = used.response
    return response


async def _answer(
    context: Context, connection: AsyncConnection, key: str, outcome: Outcome
) -> None:
    await connection.execute(
        update(idempotency_key)
        .where(
            idempotency_key.c.company_id == context.principal.company_id,
            idempotency_key.c.actor == context.principal.actor,
            idempotency_key.c.key == key,
        )
        .values(response=outcome)
    )


async def write_audit(
    context: Context,
    connection: AsyncConnection,
    *,
    operation: str,
    action: str,
    entity: str,
    changes: Mapping[int, Mapping[str, Any]],
) -> None:
    """Write one audit row per changed object: ``changes`` maps its id to what changed, as JSON."""
    if not changes:
        return
    trail = {
        "company_id": context.principal.company_id,
        "actor": context.principal.actor,
        "request_id": context.request_id,
        "operation": operation,
        "entity": entity,
        "action": action,
    }
    rows = [{**trail, "entity_id": id_, "diff": dict(diff)} for id_, diff in changes.items()]
    await connection.execute(insert(audit_log), rows)
