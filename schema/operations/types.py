"""Jobs, audit entries, live subscriptions, and the state of the installation."""

import json
from datetime import datetime

import strawberry

from resolvers.operations.loaders import audit_entry, job
from schema.core.bulk import RowVerdict, row_verdicts
from schema.core.fields import ID, RowType, column, computed, held, node_id
from schema.core.ids import encode_id
from schema.core.node import Node, node_type, row_type
from schema.operations.enums import JobState, StreamTransport


@node_type(job, "Work done outside of requests.", requires="operations.read")
class Job(RowType, Node):
    """A row of `job`."""

    id: ID = node_id("Job")
    kind: str = column("What it does, such as replenishment.")
    queue: str = column("Queue it waits in.")
    state: JobState = column("How far it is.")
    attempt: int = column("How often it was tried, this time included.", of="attempts")
    max_attempts: int = column("How often it is tried at most.")
    progress_done: int = column("How much of it is done.")
    progress_total: int | None = column("How much there is to do; null while that is not known.")
    error: str | None = column("Why the last attempt failed.")
    accepted: int | None = computed(
        "Rows an upsert wrote, or found as they are to be; null of other jobs.",
        lambda row: (row["result"] or {}).get("accepted"),
        needs=("result",),
    )
    rejected: int | None = computed(
        "Rows an upsert did not write; null of other jobs.",
        lambda row: (row["result"] or {}).get("rejected"),
        needs=("result",),
    )
    rejected_rows: list[RowVerdict] = computed(
        "The first 1,000 rows that an upsert did not write, with why.",
        lambda row: row_verdicts((row["result"] or {}).get("rows")),
        needs=("result",),
    )
    created_by: str = column("Who asked for it, such as user:1.")
    created_at: datetime = column("When it was asked for.")
    run_at: datetime = column("When it may begin.")
    started_at: datetime | None = column("When it began, the last time.")
    finished_at: datetime | None = column("When it ended, however it did.")


@strawberry.type(description="One value that a change was about.")
class AuditValue:
    """One entry of `audit_log.diff`."""

    name: str = strawberry.field(description="What the value is, such as delta or reason.")
    value: str = strawberry.field(description="The value: a text as it is, anything else as JSON.")


def _values(row: object) -> list[AuditValue]:
    diff: dict[str, object] = row["diff"] or {}  # type: ignore[index]
    return [AuditValue(name=name, value=_text(diff[name])) for name in sorted(diff)]


def _text(value: object) -> str:
    """Write a JSON value as people read it: texts without quotes."""
    return value if isinstance(value, str) else json.dumps(value)


@node_type(audit_entry, "One change of one object.", requires="audit.read")
class AuditEntry(RowType, Node):
    """A row of `audit_log`."""

    id: ID = node_id("AuditEntry")
    at: datetime = column("When it was made.")
    actor: str = column("Who made it, such as user:1 or client:3.")
    request_id: str | None = column("Request it was made in, as in the answer's X-Request-Id.")
    operation: str = column("Command that made it, such as adjustStock.")
    action: str = column("What was done, such as post or archive.")
    entity: str = column("Type of the object.")
    object_id: strawberry.ID = computed(
        "Id of the object; `node` finds it, if it is of a type one can ask for.",
        lambda row: encode_id(row["entity"], row["entity_id"]),
        needs=("entity", "entity_id"),
    )
    values: list[AuditValue] = computed("What it was about, by name.", _values, needs=("diff",))
    version: int | None = column(
        "Version of the object, once changed; null where such objects count none."
    )


@row_type("LiveSubscription", "A subscription that is told of changes at this moment.")
class LiveSubscription(RowType):
    """A row of `live_subscription`."""

    # not as id: it is no Node, which others of the company could ask for
    subscription_id: ID = node_id("LiveSubscription")
    operation_name: str | None = column("Name of the operation; null if it has none.")
    field: str = column("What it subscribes to, such as stockChanged.")
    transport: StreamTransport = column("How it reaches its client.")
    actor: str = column("Whose it is, such as user:1 or client:3.")
    own: bool = column("Whether it is yours, so that you can end it.")
    began_at: datetime = column("When it began.")
    delivered: str = computed(
        "How many answers it was told, up to some seconds ago.",
        lambda row: str(row["delivered"]),
        needs=("delivered",),
    )


@row_type("JobQueue", "Jobs of one queue that wait.")
class JobQueue(RowType):
    """A row of the report `state_of_operations`."""

    queue: str = column("Name of the queue.", of="name")
    depth: int = column("How many wait.", of="number")
    oldest_at: datetime = column("When the one that waits longest could have begun.", of="oldest")


@row_type("JobFailures", "Jobs of one kind that failed in the last 24 hours.")
class JobFailures(RowType):
    """A row of the report `state_of_operations`."""

    kind: str = column("What they were to do.", of="name")
    count: int = column("How many failed.", of="number")


@row_type("ConnectionPool", "Database connections of the process that answers.")
class ConnectionPool(RowType):
    """The state of one pool."""

    pool: str = column("What it is for: read or write.")
    limit: int = column("Most connections it may open.")
    in_use: int = column("Connections lent out when it was asked.")
    waiting: int = column("Operations that waited for one.")


@row_type("Operations", "How the installation is doing.")
class Operations(RowType):
    """What `read_operations` returns."""

    queues: list[JobQueue] = held("The company's queues in which jobs wait.", "queues", size=10)
    failures: list[JobFailures] = held(
        "Failed jobs of the company in the last 24 hours, by kind.", "failures", size=10
    )
    pools: list[ConnectionPool] = held("Connections of this process.", "pools", size=2)
    events_waiting: int = column(
        "Events, of all companies, that wait for longer than a second to be published; "
        "counted up to 100,000."
    )
    oldest_event_at: datetime | None = column("When the oldest of them was written.")
