"""What the worker does with jobs of upserts: in portions, each a command that is done once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from resolvers.bulk.commands import Keys, upsert_some
from resolvers.bulk.rules import OnError, Upsert, unpacked
from resolvers.core.bulk import MOST_TOLD
from resolvers.core.command import CommandRefused, Outcome
from resolvers.core.context import Context
from resolvers.operations.commands import JobFailed

PORTION: Final = 5_000
"""Rows of one transaction, where rows that are wrong do not keep the others from being written."""
AT_ONCE: Final = 2
"""Such transactions that run at once: while one is worked on here, the database is at the other."""

Progress = Callable[[int], Awaitable[None]]
"""Is told how much of a job is done."""


async def run_upsert(
    context: Context, job_id: int, kind: str, arguments: Mapping[str, Any], progress: Progress
) -> Outcome:
    """Write the rows of a job; run again after a crash it goes on where it was.

    Returns how many rows were ``accepted`` and ``rejected``, and the verdict on the first
    `MOST_TOLD` that were rejected.

    Raises:
        JobFailed: some rows are wrong, and everything is to be rejected then.

    """
    rows, on_error = unpacked(arguments)
    portion = PORTION if on_error is OnError.REJECT_FAILED_ROWS else len(rows)
    places = range(0, len(rows), portion)
    keys = Keys(Upsert(kind))
    # before any is written: of two that are written at once, either could be the first
    earlier = {first: keys.earlier(rows[first : first + portion]) for first in places}

    async def write(first: int) -> Outcome:
        try:
            return await upsert_some(
                context,
                f"job:{job_id}:{first}",
                Upsert(kind),
                rows[first : first + portion],
                on_error,
                first=first,
                earlier=earlier[first],
            )
        except CommandRefused as refusal:
            raise JobFailed(str(refusal), refusal.outcome) from refusal

    outcome: Outcome = {"accepted": 0, "rejected": 0, "rows": []}
    for turn in range(0, len(places), AT_ONCE):
        firsts = places[turn : turn + AT_ONCE]
        # none is left behind if another one fails
        for done in await asyncio.gather(*map(write, firsts), return_exceptions=True):
            if isinstance(done, BaseException):
                raise done
            outcome["accepted"] += done["accepted"]
            outcome["rejected"] += done["rejected"]
            outcome["rows"] = (outcome["rows"] + done["rows"])[:MOST_TOLD]
        await progress(min(firsts[-1] + portion, len(rows)))
    return outcome


HANDLERS = dict.fromkeys(map(str, Upsert), run_upsert)
"""What the worker runs, by the kind of the job."""
