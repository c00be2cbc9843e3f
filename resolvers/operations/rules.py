"""Words of jobs; pure, no I/O."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class JobState(StrEnum):
    """How far a job is; the last four are final."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    DEAD = "DEAD"


class JobFailed(Exception):
    """A job cannot be done, however often it is tried; ``outcome`` tells of what it found."""

    def __init__(self, message: str, outcome: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.outcome = dict(outcome)
