"""Lists of jobs, of the audit trail and of who is connected, and the state of the installation."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Text, bindparam, func, select, text

from resolvers.core.context import Context
from resolvers.core.listing import Between, Equals, Listing, OneOf
from resolvers.core.statement import compile_statement
from resolvers.operations.loaders import audit_entry, job, state_of_operations
from resolvers.operations.tables import live_subscription

FAILURES_OF: Final = timedelta(hours=24)
"""How far back failed jobs are counted."""

MOST_LISTED: Final = 1_000
"""Live subscriptions listed at most."""
_live = live_subscription.c
SERVED = _live.seen_at > func.now() - text("interval '10 seconds'")
"""Condition of live subscriptions whose process is there; others are of one that died."""
_SHOWN = (
    _live.id,
    _live.actor,
    _live.operation_name,
    _live.field,
    _live.transport,
    _live.began_at,
    _live.delivered,
)
_everybodys = (
    select(*_SHOWN)
    .where(SERVED)
    .order_by(_live.began_at.desc(), _live.id.desc())
    .limit(MOST_LISTED)
)
_LIVE_OF_ALL: Final = compile_statement(_everybodys)
_LIVE_OF_ONE: Final = compile_statement(
    _everybodys.where(_live.actor == bindparam("actor", type_=Text))
)

jobs = Listing(
    name="jobs",
    entity=job,
    orders={"ID": ()},
    default_order="ID",
    default_descending=True,
    filters={"states": OneOf(job.columns["state"]), "kinds": OneOf(job.columns["kind"])},
)
audit_entries = Listing(
    name="auditEntries",
    entity=audit_entry,
    orders={"ID": ()},
    default_order="ID",
    default_descending=True,
    filters={
        "entity": Equals(audit_entry.columns["entity"]),
        "actor": Equals(audit_entry.columns["actor"]),
        "at": Between(audit_entry.columns["at"]),
    },
)


async def read_operations(context: Context, columns: frozenset[str]) -> Mapping[str, Any]:
    """Return how the installation is doing: connections at this moment, queues, failures, events.

    What comes from the database is one statement, left out if none of it is asked for, and for a
    client that is bound to a partner: no row of it is for such.
    """
    now = context.clock()
    found: dict[str, list[Any]] = {"queue": [], "failure": [], "outbox": []}
    pools = [
        {"pool": name, "limit": state.limit, "in_use": state.in_use, "waiting": state.waiting}
        for name, state in ((name, read()) for name, read in sorted(context.pools.items()))
    ]
    if columns - {"at", "pools"} and context.principal.partner_id is None:
        every = frozenset(state_of_operations.columns)
        for row in await state_of_operations.rows(
            context.reads, every, {"since": now - FAILURES_OF}
        ):
            found[row["section"]].append(row)
    [outbox] = found["outbox"] or [{"number": 0, "oldest": None}]
    return {
        "at": now,
        "queues": found["queue"],
        "failures": found["failure"],
        "pools": pools,
        "events_waiting": outbox["number"],
        "oldest_event_at": outbox["oldest"],
    }


async def read_live_subscriptions(context: Context) -> list[Mapping[str, Any]]:
    """Return the caller's live subscriptions, newest first; an operator sees the whole company's.

    A client that is bound to a partner sees its own, whatever it may see besides.
    """
    principal = context.principal
    if principal.partner_id is None and principal.can("operations.read"):
        rows = await context.reads.fetch(_LIVE_OF_ALL, {})
    else:
        rows = await context.reads.fetch(_LIVE_OF_ONE, {"actor": principal.actor})
    names = [column.name for column in _SHOWN]
    return [
        {**(row := dict(zip(names, found, strict=True))), "own": row["actor"] == principal.actor}
        for found in rows
    ]
