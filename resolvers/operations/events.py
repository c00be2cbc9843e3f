"""What jobs publish: how far they are, and which subscribers want to know."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resolvers.core.broker import PublishedEvent
from resolvers.operations.rules import is_final

JOB_CHANGED = "job.changed"
"""Topic of the events that the triggers on `job` write."""


@dataclass(frozen=True, slots=True)
class JobInterest:
    """Which changes a subscriber wants: those of one job."""

    job_id: int

    @property
    def index(self) -> tuple[str, frozenset[Any]]:
        """Return the field that decides."""
        return "job_id", frozenset({self.job_id})

    def accepts(self, event: PublishedEvent) -> bool:
        """Tell whether the subscriber wants ``event``."""
        wanted: bool = event.payload["job_id"] == self.job_id
        return wanted


def is_done(told: Mapping[str, Any]) -> bool:
    """Tell of an event's payload, or of a job, whether nothing more will become of it."""
    return is_final(told["state"])
