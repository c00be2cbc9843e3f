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
    Invariant(
        "audit_of_companies",
        """
        with recursive named as (
          select min(company_id) as company_id from audit_log
          union all
          -- from one company to the next one by the index, not row by row
          select (select min(a.company_id) from audit_log a where a.company_id > n.company_id)
          from named n where n.company_id is not null)
        select company_id from named
        where company_id is not null and company_id not in (select id from company)
        """,
        "Audit entries name a company that is not there: it was deleted past the gateway.",
    ),
)
