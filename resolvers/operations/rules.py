"""Words of jobs and of live subscriptions; pure, no I/O."""

from enum import StrEnum


class JobState(StrEnum):
    """How far a job is; the last four are final."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    DEAD = "DEAD"


_FINAL = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED, JobState.DEAD)


def is_final(state: str) -> bool:
    """Tell whether nothing more becomes of a job in this state."""
    return state in _FINAL


class StreamTransport(StrEnum):
    """How a live subscription reaches its client."""

    WEBSOCKET = "WEBSOCKET"
    SSE = "SSE"
