"""Introduces jobs and the audit trail to the registry."""

from resolvers.core.module import DataModule
from resolvers.operations.invariants import INVARIANTS
from resolvers.operations.tables import OPERATIONS_STATE, OUTBOX_WAITING, job

MODULE = DataModule(
    name="operations",
    tables=(job,),
    functions=(OUTBOX_WAITING, OPERATIONS_STATE),
    invariants=INVARIANTS,
    permissions={"operations.read": "See jobs, queues, and how the installation is doing."},
)
