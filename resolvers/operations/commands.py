"""Jobs are asked for in the transaction of the command that needs them."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import func, insert, literal, select

from resolvers.core.context import Context
from resolvers.core.transaction import Transaction
from resolvers.operations.tables import job

JOB_CHANNEL: Final = "erp_job"
"""PostgreSQL notification channel that tells workers of jobs that may begin."""


class JobFailed(Exception):
    """A job cannot be done, however often it is tried; ``outcome`` tells of what it found."""

    def __init__(self, message: str, outcome: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.outcome = dict(outcome)


async def enqueue(
    context: Context,
    connection: Transaction,
    kind: str,
    arguments: Mapping[str, Any],
    *,
    total: int | None = None,
) -> int:
    """Ask for a job, begun once the transaction commits; return its id.

    ``total`` is how much there is to do, if that is known.
    """
    now = context.clock()
    made = await connection.execute(
        insert(job)
        .values(
            company_id=context.principal.company_id,
            kind=kind,
            arguments=dict(arguments),
            progress_total=total,
            created_by=context.principal.actor,
            created_at=now,
            run_at=now,
        )
        .returning(job.c.id)
    )
    job_id = int(made.scalar_one())
    await connection.execute(select(func.pg_notify(literal(JOB_CHANNEL), literal(""))))
    return job_id
