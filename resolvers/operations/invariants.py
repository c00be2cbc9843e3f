"""What must always hold for jobs: each statement returns the rows that break it."""

from resolvers.core.module import Invariant

INVARIANTS = (
    Invariant(
        "job_times",
        """
        select id as job_id, kind, state, started_at, finished_at from job
        where (state in ('SUCCEEDED', 'FAILED', 'CANCELED', 'DEAD')) <> (finished_at is not null)
           or state in ('RUNNING', 'SUCCEEDED', 'FAILED', 'DEAD') and started_at is null
           or finished_at < started_at
        """,
        "A job's times do not fit its state: a worker ended without saying so; cancel or retry it.",
    ),
)
