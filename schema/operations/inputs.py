"""Filters of jobs and of the audit trail."""

import strawberry

from schema.core.connection import DateTimeRange
from schema.operations.enums import JobState


@strawberry.input(description="Which jobs to list; all conditions must hold.")
class JobFilter:
    """Filter of `jobs`."""

    states: list[JobState] | None = strawberry.field(default=None, description="This far.")
    kinds: list[str] | None = strawberry.field(
        default=None, description="Of these kinds, such as replenishment."
    )


@strawberry.input(description="Which entries of the audit trail to list; all conditions must hold.")
class AuditEntryFilter:
    """Filter of `auditEntries`."""

    entity: str | None = strawberry.field(
        default=None, description="About objects of this type, such as Product."
    )
    actor: str | None = strawberry.field(
        default=None, description="By this actor, such as user:1 or client:3."
    )
    at: DateTimeRange | None = strawberry.field(default=None, description="Made in this time.")
