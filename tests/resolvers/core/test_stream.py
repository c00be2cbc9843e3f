"""Cursors: what they say comes back, and nothing else does."""

import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from resolvers.core.stream import MOST_SHOWN, Batch, Place, Shown

LARGEST = 2**63 - 1
numbers = st.integers(0, LARGEST)


@st.composite
def places(draw: st.DrawFn) -> Place:
    """Draw a place: of any kind, with what is shown in runs and far apart."""
    before, seq, until = sorted(draw(st.sets(numbers, min_size=3, max_size=3)))
    batch = draw(st.sampled_from([None, Batch(before, until)]))
    written: set[int] = set()
    number = draw(st.integers(0, 5_000)) + 1
    for skipped, length in draw(
        st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 300)), max_size=12)
    ):
        written |= set(range(number, number + length))
        number += length + skipped
    if not written:
        return Place(seq, batch)
    last = max(written) + draw(st.sampled_from([0, 1, 10**6]))
    return Place(seq, batch, Shown(last, frozenset(written)))


@given(places())
def test_a_cursor_says_what_it_was_made_of(place: Place) -> None:
    """And in letters that a header, an event stream and JSON take as they are."""
    assert Place.read(place.text) == place
    assert set(place.text) <= set("0123456789.~-")


@given(st.text("0123456789.~-", max_size=40) | st.text(max_size=20))
@example("5~")
@example("5~9")
@example("5~9.")
@example("5~9.0-1")
@example("5~9.0-0")
@example("5~9.0.0")
@example("5~09.1")
@example("5~9.00")
@example("5~9.9")
@example("5~9.1-9")
@example("5~9.1-9999")
@example("5.1~9.1")
@example("5~9.1~9.1")
@example("~9.1")
@example("5~" + "9" * 19 + ".1")
@example("5~9.\u0661")
def test_what_was_never_given_is_no_cursor(text: str) -> None:
    """Whatever is read is written the same again, but for zeros in front of a place."""
    place = Place.read(text)
    if place is None:
        return
    _, tilde, shown = text.partition("~")
    assert place.text.partition("~")[2] == shown
    assert bool(tilde) == (place.shown is not None)
    assert "~" not in text or min(place.shown.written) > 0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text", ["5~", "5~9", "5~9.0-1", "5~9.0-0", "5~9.0.0", "5~9.9", "5~9.1-9", "5~9.1-9999", "~9.1"]
)
def test_these_are_none(text: str) -> None:
    """No state shows nothing, and there is one text for what it shows."""
    assert Place.read(text) is None


def test_a_cursor_stays_short() -> None:
    """As many as it names are few enough for a header; more in one run are still too many."""
    one_run = Shown(MOST_SHOWN + 1, frozenset(range(2, MOST_SHOWN + 2)))
    assert one_run.fits
    assert one_run.text == f"~{MOST_SHOWN + 1}.0-{MOST_SHOWN}"
    assert Place.read(f"7{one_run.text}") == Place(7, None, one_run)
    longer = Shown(MOST_SHOWN + 1, frozenset(range(1, MOST_SHOWN + 2)))
    assert not longer.fits
    assert Place.read(f"7{longer.text}") is None
    apart = Shown(4_000, frozenset(range(2, 4_002, 2)))
    assert not apart.fits
    assert Place.read(f"7{apart.text}") is None


@pytest.mark.parametrize("run", [".0", ".0-9", ".0-"])
def test_what_is_too_long_is_not_looked_at(run: str) -> None:
    """A megabyte that is no cursor takes no more memory than its text."""
    text = f"5~{9}{run * 400_000}"
    tracemalloc.start()
    try:
        assert Place.read(text) is None
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2 * len(text)
