"""Jobs of the last weeks, and who archived what: what an operator finds on the first look."""

from collections.abc import Iterator, Sequence
from random import Random

from gateway.seeding.calendar import Calendar
from gateway.seeding.companies import Company, actor
from gateway.seeding.rows import Sheet, Value
from resolvers.operations.rules import JobState

JOB_DAYS = 30
"""Days whose jobs are still kept."""
NIGHTLY = (("replenishment", 2 * 3600), ("verify", 3 * 3600), ("closeChecks", 4 * 3600))
"""Jobs of every night, and the second of the day at which they begin."""
FAILING = 0.04
"""Share of the jobs that failed."""
ERRORS = (
    "The supplier's server did not answer within 10 s.",
    "Row 17 of the file has no SKU.",
    "The worker was stopped.",
)


def job_rows(
    companies: Sequence[Company], calendar: Calendar, days: int, rng: Random
) -> Iterator[Sheet]:
    """Yield the jobs: done ones of every night, and some of this morning that are not done yet."""
    jobs = Sheet(
        "job",
        *("company_id", "kind", "state", "progress_done", "progress_total", "attempts", "run_at"),
        *("worker", "error", "created_by", "created_at", "started_at", "finished_at"),
    )
    for company in companies:
        for day in range(max(0, days - JOB_DAYS), days):
            for kind, second in NIGHTLY:
                jobs.add(*_done(company.id, kind, calendar, (day, second), rng))
        _unfinished(jobs, company.id, calendar, days - 1)
        yield jobs


def _done(
    company_id: int, kind: str, calendar: Calendar, time: tuple[int, int], rng: Random
) -> tuple[Value, ...]:
    day, second = time
    total = rng.randrange(50, 5_000)
    failed = rng.random() < FAILING
    state = rng.choice((JobState.FAILED, JobState.DEAD)) if failed else JobState.SUCCEEDED
    begun = second + rng.randrange(60)
    asked = calendar.moment(day, second)
    return (
        company_id,
        kind,
        state,
        rng.randrange(total) if failed else total,
        total,
        5 if state is JobState.DEAD else 1,
        asked,
        f"worker-{rng.randrange(1, 4)}",
        rng.choice(ERRORS) if failed else None,
        "system",
        asked,
        calendar.moment(day, begun),
        calendar.moment(day, begun + rng.randrange(1, 600)),
    )


def _unfinished(jobs: Sheet, company_id: int, calendar: Calendar, day: int) -> None:
    asked, begun = calendar.moment(day, 23 * 3600), calendar.moment(day, 23 * 3600 + 5)
    who = actor(company_id)
    jobs.add(
        *(company_id, "importProducts", JobState.RUNNING, 12_000, 50_000, 1, asked),
        *("worker-1", None, who, asked, begun, None),
    )
    for kind in ("exportLedger", "importProducts", "exportLedger"):
        jobs.add(
            *(company_id, kind, JobState.QUEUED, 0, None, 0, asked),
            *(None, None, who, asked, None, None),
        )


def audit_rows(
    companies: Sequence[Company],
    archived: Sequence[tuple[str, int, str]],
) -> Iterator[Sheet]:
    """Yield who archived what: ``archived`` has the type, the id and the moment of each."""
    entries = Sheet(
        "audit_log",
        *("at", "company_id", "actor", "operation", "entity", "entity_id", "action", "diff"),
    )
    for number, (entity, id_, moment) in enumerate(archived):
        company = companies[number % len(companies)]
        entries.add(
            *(moment, company.id, "user:1", f"archive{entity}", entity, id_, "archive"),
            '{"archived": true}',
        )
    yield entries
