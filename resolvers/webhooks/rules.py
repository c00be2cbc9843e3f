"""Words and rules of webhooks: states, and when what failed is tried again; pure, no I/O."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

FIRST_PAUSE: Final = 5.0
"""Seconds until what failed once is tried again; doubled with each attempt."""
LONGEST_PAUSE: Final = 3_600.0
"""Most seconds between two attempts."""
ATTEMPTS_AFTER_A_DEAD_LETTER: Final = 3
"""Attempts of an event while the one before it was given up: it is not the event that is wrong."""
MOST_DEAD_IN_A_ROW: Final = 10
"""Events that are given up one after another before the endpoint is stopped."""
OVERLAP_SECONDS: Final = 86_400
"""How long the secret before a rotation still signs, beside the new one."""
MAX_URL: Final = 2_000
MAX_DOCUMENT: Final = 20_000
MAX_VARIABLES: Final = 20_000
MOST_WEBHOOKS: Final = 100
"""Webhooks of one company; of one partner a tenth."""


class WebhookState(StrEnum):
    """Whether a webhook is told of changes."""

    ACTIVE = "ACTIVE"
    FAILING = "FAILING"
    PAUSED = "PAUSED"
    DISABLED = "DISABLED"


class DeliveryState(StrEnum):
    """What became of one change that was to be sent."""

    DELIVERED = "DELIVERED"
    RETRYING = "RETRYING"
    DEAD = "DEAD"


def pause(failures: int, share: float, asked: float | None = None) -> float:
    """Return for how many seconds to wait after so many failures of one event.

    ``share``, from 0 to 1, spreads what failed together: half of the time is fixed. ``asked`` is
    what the receiver wants at least; more than an hour nobody gets.
    """
    longest = min(FIRST_PAUSE * 2.0 ** min(failures - 1, 30), LONGEST_PAUSE)
    waited = longest * (0.5 + share / 2)
    return waited if asked is None else min(max(waited, asked), LONGEST_PAUSE)


def attempts_within(seconds: float) -> int:
    """Return how often an event is tried so that the pauses between add up to about ``seconds``."""
    attempts, waited = 1, 0.0
    while waited < seconds:
        waited += 0.75 * min(FIRST_PAUSE * 2.0 ** min(attempts - 1, 30), LONGEST_PAUSE)
        attempts += 1
    return attempts


def is_given_up(failures: int, dead_in_a_row: int, most: int) -> bool:
    """Tell whether an event that failed so often becomes a dead letter.

    ``most`` is how often the first one is tried. Once one was given up, the others are not waited
    for as long again: else what comes after them would be gone from the log by then.
    """
    return failures >= (ATTEMPTS_AFTER_A_DEAD_LETTER if dead_in_a_row else most)


def seconds_asked(retry_after: str | None, now: datetime) -> float | None:
    """Return what a Retry-After header asks for, None where it asks for nothing (RFC 9110, 10.2.3).

    It is a number of seconds or a date.
    """
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - now).total_seconds())


def message_id(webhook_id: int, seq: int) -> str:
    """Return what a change is called in the header webhook-id: the same at every attempt."""
    return f"msg_{webhook_id}_{seq}"
