"""Introduces jobs and the audit trail to the registry."""

from resolvers.core.module import DataModule
from resolvers.operations.invariants import INVARIANTS
from resolvers.operations.tables import (
    JOB_EVENTS,
    OPERATIONS_STATE,
    OUTBOX_WAITING,
    job,
    live_subscription,
)

MODULE = DataModule(
    name="operations",
    tables=(job, live_subscription),
    functions=(OUTBOX_WAITING, OPERATIONS_STATE, JOB_EVENTS),
    invariants=INVARIANTS,
    permissions={
        "operations.read": "See jobs, queues, everybody's live subscriptions, and how the "
        "installation is doing.",
        "subscriptions.end": "End everybody's live subscriptions in the company.",
    },
)
