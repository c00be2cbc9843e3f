"""Jobs and audit entries as readers know them, and how to get to them."""

from sqlalchemy import BigInteger, DateTime, Text

from resolvers.core.entity import entity
from resolvers.core.records import audit_log
from resolvers.core.relation import by_key
from resolvers.core.report import Report
from resolvers.operations.tables import job as job_table

job = entity("Job", job_table)
audit_entry = entity("AuditEntry", audit_log)

state_of_operations = Report(
    "OperationsState",
    "operations_state",
    {
        "section": Text(),
        "name": Text(),
        "number": BigInteger(),
        "oldest": DateTime(timezone=True),
    },
    {"since": DateTime(timezone=True)},
    order=("section", "name"),
)
job_by_id = by_key(job)
