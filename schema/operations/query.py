"""Root fields of operations."""

import strawberry

from resolvers.core.context import Context
from resolvers.operations.reads import audit_entries, jobs, read_live_subscriptions, read_operations
from schema.core.connection import Connection, connection
from schema.core.fields import fetched
from schema.operations.inputs import AuditEntryFilter, JobFilter
from schema.operations.types import AuditEntry, Job, LiveSubscription, Operations


@strawberry.type
class Query:
    """Root fields of this module."""

    @fetched("How the installation is doing at this moment.", requires="operations.read")
    async def ops(context: Context, columns: frozenset[str]) -> Operations | None:
        """Look at queues, failures, connections and events."""
        return await read_operations(context, columns)  # type: ignore[return-value]

    @fetched(
        "Your live subscriptions with the company acted for, on all processes, newest first, at "
        "most 1,000; with operations.read those of everybody in the company. One that begins or "
        "ends shows within some seconds. Webhooks are not among them.",
        metadata={"assumed_size": 20},
    )
    async def live_subscriptions(
        context: Context, columns: frozenset[str]
    ) -> list[LiveSubscription]:
        """List who is told of changes at this moment."""
        return await read_live_subscriptions(context)  # type: ignore[return-value]

    jobs: Connection[Job] | None = connection(
        "The company's jobs, latest first.",
        jobs,
        filter_input=JobFilter,
        requires="operations.read",
    )
    audit_entries: Connection[AuditEntry] | None = connection(
        "Who changed what in the company, latest first.",
        audit_entries,
        filter_input=AuditEntryFilter,
        requires="audit.read",
    )
