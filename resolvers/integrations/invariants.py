"""What must always hold for runs: each statement returns the rows that break it."""

from resolvers.core.module import Invariant

INVARIANTS = (
    Invariant(
        "failures_are_counted",
        """
        select r.id as run_id, r.failed, count(f.id) as found
        from sync_run r left join sync_failure f on f.run_id = r.id
        group by r.id having r.failed <> count(f.id)
        """,
        "A run counts other failures than it wrote down: run it again.",
    ),
)
