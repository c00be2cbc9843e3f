"""The frame every command runs in: one short transaction, once per idempotency key, with its trail.

Follows the idempotent-request pattern of Stripe's API (https://docs.stripe.com/api/idempotent_requests)
with the answer stored in the transaction of the effect: an effect without its answer cannot exist.
A command that another one was in the way of is run again. One that is rehearsed runs as any other,
answers from inside its transaction, and is rolled back. One that is usually done in one way may
have a function of the database that does it so, and leaves all else to the frame.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import orjson
from sqlalchemy import BindParameter, Integer, LargeBinary, Text, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import JSONB

from resolvers.core.compiling import to_json
from resolvers.core.context import Context
from resolvers.core.database_errors import FAILURES, expected, in_the_way, not_at_once, refused
from resolvers.core.errors import ErpError, Forbidden, IdempotencyMismatch, Invalid
from resolvers.core.principal import STAFF_ROLE, RowScope
from resolvers.core.statement import Statement, compile_statement
from resolvers.core.transaction import Transaction

MAX_KEY = 200
MOST_ATTEMPTS: Final = 5
"""Times a command is begun, all in all, before others in its way make it fail."""
_FIRST_PAUSE: Final = 0.005
"""Seconds that are doubled with each attempt: the longest pause after it."""


def _statement(sql: str) -> Statement:
    types = {
        "company_id": Integer,
        "request_hash": LargeBinary,
        "response": JSONB,
        "trail": JSONB,
    }
    clause = text(sql)
    names = clause._bindparams  # noqa: SLF001 - no other way to ask
    return compile_statement(
        clause.bindparams(*(bindparam(name, type_=types.get(name, Text)) for name in names))
    )


_CLAIM: Final = _statement("""
with told as (
  select set_config('app.cause', :cause, true) as cause,
         set_config('app.document', :document, true) as document
)
insert into idempotency_key (company_id, actor, key, operation, request_hash)
select :company_id, :actor, :key, :operation, :request_hash from told
where cause is not null and document is not null
on conflict do nothing returning key
""")
_USED: Final = _statement("""
select request_hash, response from idempotency_key
where company_id = :company_id and actor = :actor and key = :key
""")
_ANSWER: Final = _statement("""
with written as (
  insert into audit_log (company_id, actor, request_id, operation, entity, entity_id, action, diff,
                         version)
  select :company_id, :actor, x.request_id, x.operation, x.entity, x.entity_id, x.action, x.diff,
         x.version
  from jsonb_to_recordset(:trail) as x (request_id text, operation text, entity text,
    entity_id bigint, action text, diff jsonb, version int))
update idempotency_key set response = :response
where company_id = :company_id and actor = :actor and key = :key
""")

Outcome = dict[str, Any]
"""What a command answers, as JSON: ids of what it made and changed. Stored under its key."""
Body = Callable[[Transaction], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class AtOnce:
    """All of a command in one call of the database, for where nothing is unusual.

    ``function`` tells whether it did that: the effect with its trail, and ``outcome`` under the
    key. If not it wrote nothing, and the command runs in the frame.
    """

    function: Statement
    parameters: Mapping[str, Any]
    outcome: Outcome


def all_of_it(function: str, *given: BindParameter[Any]) -> Statement:
    """Return the call of a function that does all of a command, given so much besides.

    It is a transaction of its own, and the session is set to the caller's rows.
    """
    usual = (
        bindparam("company_id", type_=Integer),
        bindparam("actor", type_=Text),
        bindparam("key", type_=Text),
        bindparam("request_id", type_=Text),
        bindparam("request_hash", type_=LargeBinary),
        bindparam("response", type_=JSONB),
    )
    return compile_statement(select(getattr(func, function)(*usual, *given)))


class CommandRefused(Exception):
    """The command was understood and refused; nothing was written. ``errors`` say why.

    ``outcome`` may name objects that the answer shows as they are, in the terms of the command's
    own outcome: what another caller made of the object, or the bill that is there already.
    """

    def __init__(self, errors: Sequence[ErpError], outcome: Outcome | None = None) -> None:
        super().__init__("; ".join(error.message for error in errors))
        self.errors = tuple(errors)
        self.outcome = outcome or {}


async def run_command(
    context: Context,
    *,
    operation: str,
    key: str,
    request: Mapping[str, Any],
    cause: str,
    body: Body,
    document: str = "",
    partners: bool = False,
    at_once: AtOnce | None = None,
) -> Outcome:
    """Run ``body`` in one transaction, at most once per ``key`` of this caller and company.

    ``request`` is the command's input as JSON-safe data: a key used again with the same one returns
    the stored outcome, with another one is refused. Two requests with one key at once: the second
    waits for the first. ``cause`` is told in the events of the transaction, and ``document``, which
    it is done for: a type and an id, such as SalesOrder:7. ``body`` may run more than once, each
    time in a new transaction; not at all where the command is done ``at_once``.
    ``partners`` tells that a client bound to a partner may run it too: the transaction then sees
    the company's rows, and ``body`` keeps to the partner's.

    While ``context.rehearsing`` nothing is committed, no key used up, and ``context.reads`` see
    what was done until ``context.end_rehearsal``.

    Raises:
        CommandRefused: a rule or the key refuses the command.
        Forbidden: the caller is bound to a partner, whose database role only reads; unless
            ``partners``.
        Overloaded: no connection became free in time, or others were in the way in every attempt.
        TimedOut: a lock or a statement took too long; nothing was written.

    """
    _check_caller(context, key, partners=partners)
    digest = sha256(orjson.dumps([operation, request], option=orjson.OPT_SORT_KEYS)).digest()

    async def once(connection: Transaction) -> Outcome:
        asked = {"operation": operation, "request_hash": digest}
        told = {"cause": cause, "document": document}
        stored = await _claim(connection, _mine(context, key), asked, told)
        if stored is not None:
            return stored
        outcome = await body(connection)
        await _answer(context, connection, key, outcome)
        return outcome

    async def attempt(number: int) -> Outcome:
        if context.rehearsing:
            return await _rehearse(context, once)
        if at_once is not None and not number:
            asked = {**_mine(context, key), "request_hash": digest}
            if await _is_done(context, at_once, asked):
                return at_once.outcome
        return await _commit(context, once)

    return await _until_nobody_is_in_the_way(context, attempt)


def _check_caller(context: Context, key: str, *, partners: bool) -> None:
    """Refuse who can only read, and a key that is none."""
    if context.principal.partner_id is not None and not partners:
        raise Forbidden("An API client bound to a partner can only read.")
    if not 1 <= len(key) <= MAX_KEY:
        message = f"idempotencyKey must have 1 to {MAX_KEY} characters."
        raise CommandRefused([Invalid(message, path=("idempotencyKey",))])


async def _until_nobody_is_in_the_way(
    context: Context, attempt: Callable[[int], Awaitable[Outcome]]
) -> Outcome:
    """Run a command, again while others are in its way; each attempt is given its number."""
    attempts = 0
    while True:
        try:
            return await attempt(attempts)
        except FAILURES as error:
            refusal = refused(error)
            if refusal is not None:
                raise CommandRefused([refusal]) from None
            attempts += 1
            if not in_the_way(error) or attempts == MOST_ATTEMPTS:
                raise expected(error) or error from error
        context.stats.retries += 1
        # at random, so that those in each other's way do not meet again
        await asyncio.sleep(random.uniform(0, _FIRST_PAUSE * 2**attempts))  # noqa: S311


async def _commit(context: Context, once: Body) -> Outcome:
    """Run a command for good."""
    async with context.writes.begin(_written(context)) as connection:
        outcome = await once(connection)
    context.forget()
    context.wake_relay()
    return outcome


async def _is_done(context: Context, at_once: AtOnce, asked: Mapping[str, Any]) -> bool:
    """Try to do all of a command in one call, and tell whether that is done."""
    told = {"request_id": context.request_id, "response": to_json(at_once.outcome)}
    parameters = {**at_once.parameters, **asked, **told}
    try:
        done = await context.writes.call(_written(context), at_once.function, parameters)
    except FAILURES as error:
        if not_at_once(error):
            return False
        raise
    if done:
        context.forget()
        context.wake_relay()
    return bool(done)


async def _rehearse(context: Context, once: Body) -> Outcome:
    """Run a command in a transaction that stays open for the answer, and is rolled back then."""
    async with AsyncExitStack() as stack:
        connection, reads = await stack.enter_async_context(
            context.writes.rehearse(_written(context), context.principal.rows)
        )
        outcome = await once(connection)
        context.see(stack.pop_all(), reads)
    return outcome


def _written(context: Context) -> RowScope:
    """Return the rows that a command may write: those of the company acted for."""
    return RowScope(STAFF_ROLE, context.principal.company_id)


async def _claim(
    connection: Transaction,
    mine: Mapping[str, Any],
    asked: Mapping[str, Any],
    told: Mapping[str, Any],
) -> Outcome | None:
    """Take the key, waiting for whoever has it; return the stored outcome if it was used."""
    if await connection.run(_CLAIM, {**mine, **asked, **told}):
        return None
    used = (await connection.run(_USED, mine)).one()
    if used.request_hash != asked["request_hash"]:
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


async def _answer(context: Context, connection: Transaction, key: str, outcome: Outcome) -> None:
    """Write down what was answered, and what was changed."""
    await connection.run(
        _ANSWER,
        {
            **_mine(context, key),
            "response": to_json(outcome),
            "trail": to_json(connection.trail),
        },
    )


def _mine(context: Context, key: str) -> dict[str, Any]:
    principal = context.principal
    return {"company_id": principal.company_id, "actor": principal.actor, "key": key}


async def write_audit(
    context: Context,
    connection: Transaction,
    *,
    operation: str,
    action: str,
    entity: str,
    changes: Mapping[int, Mapping[str, Any]],
    versions: Mapping[int, int] | None = None,
) -> None:
    """Leave one audit row per changed object: ``changes`` maps its id to what changed, as JSON.

    ``versions`` are those the objects have now, by id, where objects of the kind count them; a
    later conflict tells from them what has changed. The rows are written with the answer.
    """
    counted = versions or {}
    connection.trail += [
        {
            "request_id": context.request_id,
            "operation": operation,
            "entity": entity,
            "action": action,
            "entity_id": id_,
            "diff": diff,
            "version": counted.get(id_),
        }
        for id_, diff in changes.items()
    ]
