"""Rules of webhooks."""

from datetime import UTC, datetime

import pytest

from resolvers.webhooks.rules import (
    ATTEMPTS_AFTER_A_DEAD_LETTER,
    attempts_within,
    is_given_up,
    pause,
    seconds_asked,
)

NOW = datetime(2026, 6, 30, 12, tzinfo=UTC)


def test_pauses_grow_up_to_an_hour() -> None:
    """Each is twice the one before, half of it at random."""
    assert [pause(n, 1.0) for n in (1, 2, 3, 4)] == [5, 10, 20, 40]
    assert [pause(n, 0.0) for n in (1, 2, 3)] == [2.5, 5, 10]
    assert pause(12, 1.0) == pause(1_000, 1.0) == 3_600


def test_a_receiver_may_ask_for_more_but_not_for_less() -> None:
    """Retry-After counts up to an hour."""
    assert pause(1, 1.0, 60) == 60
    assert pause(4, 1.0, 1) == 40
    assert pause(1, 1.0, 1e9) == 3_600


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120),
        ("Tue, 30 Jun 2026 12:01:00 GMT", 60),
        ("Tue, 30 Jun 2026 11:00:00 GMT", 0),
        ("soon", None),
        ("Tue, 30 Jun 2026 12:01:00 +99999999999999999999", None),
        ("-5", None),
        ("9" * 400, 999_999_999),
    ],
)
def test_what_retry_after_asks_for(header: str | None, seconds: float | None) -> None:
    """A number of seconds or a date; what is neither asks for nothing."""
    assert seconds_asked(header, NOW) == seconds


def test_attempts_fill_the_time_they_have() -> None:
    """About twenty hours are thirty attempts, an hour ten."""
    assert attempts_within(0) == 1
    assert attempts_within(3_600) == 11
    waited = sum(pause(n, 0.5) for n in range(1, attempts_within(20 * 3_600)))
    assert 20 * 3_600 <= waited < 21 * 3_600


def test_after_a_dead_letter_the_next_is_not_waited_for_as_long() -> None:
    """The first is tried to the end, what comes behind it only a few times."""
    assert not is_given_up(29, 0, 30)
    assert is_given_up(30, 0, 30)
    assert is_given_up(ATTEMPTS_AFTER_A_DEAD_LETTER, 1, 30)
