"""Subscriptions to jobs."""

from typing import Annotated, Any

import strawberry

from resolvers.core.context import Context
from resolvers.core.stream import Told
from resolvers.operations.events import JOB_CHANGED, JobInterest, is_done
from resolvers.operations.loaders import job, job_by_id
from schema.core.fields import RowType, argument, find
from schema.core.ids import decode_id
from schema.core.stream import SnapshotReason, Stream, stream
from schema.operations.types import Job


@strawberry.type
class Subscription:
    """Root fields of this module."""

    @stream(
        "A job, as it is at first, then whenever its state or progress changed; ends with the job. "
        "Null where there is no such job.",
        item=Job | None,
        requires="operations.read",
        resumes=False,
    )
    def job_progress(
        context: Context,
        id: Annotated[strawberry.ID, argument("Id of the job.")],
    ) -> Stream:
        """Tell the job, then each change of it."""
        del context
        return Stream(
            topics=(JOB_CHANGED,),
            interest=JobInterest(decode_id(id, "Job", path=("id",))),
            tell=_job,
            snapshot=_state,
            begins=True,
            over=is_done,
        )


def _job(told: Told, interest: JobInterest) -> RowType:
    del told
    found: RowType = Job.found(job_by_id, interest.job_id)
    return found


async def _state(
    interest: JobInterest, place: str, reason: SnapshotReason, context: Context
) -> Any:
    del place, reason
    return Job.of(await find(context, job_by_id, interest.job_id, frozenset(job.columns)))
