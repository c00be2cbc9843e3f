"""Words of jobs; pure, no I/O."""

from enum import StrEnum


class JobState(StrEnum):
    """How far a job is; the last four are final."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    DEAD = "DEAD"
