"""Lists of jobs and of the audit trail, and the state of the installation."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from resolvers.core.context import Context
from resolvers.core.listing import Between, Equals, Listing, OneOf
from resolvers.operations.loaders import audit_entry, job, state_of_operations

FAILURES_OF: Final = timedelta(hours=24)
"""How far back failed jobs are counted."""

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
