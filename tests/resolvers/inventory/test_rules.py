"""The pure rules of stock: adjustments and threshold crossings."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.core.errors import ErrorCode
from resolvers.inventory.rules import (
    AdjustmentLine,
    Crossing,
    StockPlace,
    check_adjustment_lines,
    crossing,
    plan_adjustments,
)

PLACE = StockPlace(
    product_id=1,
    warehouse_id=1,
    sellable=True,
    level_id=10,
    level_on_hand=Decimal(100),
    level_reserved=Decimal(40),
    level_version=7,
    allow_negative=False,
    balance_id=20,
    balance_on_hand=Decimal(60),
    loss_balance_id=21,
)
LINE = AdjustmentLine("A-1", 5, "counted", delta=Decimal(-1))
quantities = st.decimals(-1000, 1000, places=4)


def test_a_difference_is_booked_as_it_is() -> None:
    """A delta becomes one adjustment of that size."""
    adjustments, errors = plan_adjustments([LINE], {0: PLACE})
    assert errors == []
    assert [a.delta for a in adjustments] == [Decimal(-1)]


@pytest.mark.parametrize(
    ("on_hand", "delta", "elsewhere", "code"),
    [
        (0, 1, False, None),
        (1, -1, False, None),
        (1, 1, False, ErrorCode.VALIDATION),
        (0, 2, False, ErrorCode.VALIDATION),
        (0, -1, False, ErrorCode.VALIDATION),
        (0, 1, True, ErrorCode.VALIDATION),
        (1, -1, True, None),
    ],
)
def test_a_serial_number_is_one_unit_at_one_place(
    on_hand: int, delta: int, *, elsewhere: bool, code: ErrorCode | None
) -> None:
    """It comes where it is not, from nowhere else, and goes from where it is."""
    place = replace(PLACE, balance_on_hand=Decimal(on_hand), serial=True, elsewhere=elsewhere)
    line = replace(LINE, delta=Decimal(delta), lot_number="SN1")
    adjustments, errors = plan_adjustments([line], {0: place})
    assert [error.code for error in errors] == ([] if code is None else [code])
    assert len(adjustments) == (code is None)


def test_a_count_books_the_difference_to_what_is_there() -> None:
    """A counted quantity is compared with the balance of the location, not with the level."""
    line = replace(LINE, delta=None, counted=Decimal(55))
    adjustments, _ = plan_adjustments([line], {0: PLACE})
    assert [a.delta for a in adjustments] == [Decimal(-5)]


def test_a_right_count_books_nothing() -> None:
    """A count that finds what is booked is no adjustment and no error."""
    line = replace(LINE, delta=None, counted=Decimal(60))
    assert plan_adjustments([line], {0: PLACE}) == ([], [])


def test_not_more_than_is_at_the_location() -> None:
    """Taking more than the balance is refused and names what is there."""
    line = replace(LINE, delta=Decimal("-60.0001"))
    adjustments, [error] = plan_adjustments([line], {0: PLACE})
    assert adjustments == []
    assert error.code is ErrorCode.INSUFFICIENT_STOCK
    assert error.details["onHand"] == "60"


def test_not_what_is_promised() -> None:
    """A level never falls below what is reserved on it, over all lines of the command."""
    lines = [replace(LINE, delta=Decimal(-50)), replace(LINE, location_id=6, delta=Decimal(-11))]
    other = replace(PLACE, balance_id=21)
    adjustments, [error] = plan_adjustments(lines, {0: PLACE, 1: other})
    assert [a.delta for a in adjustments] == [Decimal(-50)]
    assert error.path == ("lines", "1")
    assert error.details["reserved"] == "40"


def test_a_location_that_is_not_sellable_leaves_the_level_alone() -> None:
    """Stock in quarantine is not promised, so taking all of it is allowed."""
    quarantine = replace(PLACE, sellable=False, level_on_hand=Decimal(40))
    _, errors = plan_adjustments([replace(LINE, delta=Decimal(-60))], {0: quarantine})
    assert errors == []


def test_a_warehouse_may_allow_negative_stock() -> None:
    """Where negative stock is allowed nothing is refused for want of it."""
    lenient = replace(PLACE, allow_negative=True)
    _, errors = plan_adjustments([replace(LINE, delta=Decimal(-500))], {0: lenient})
    assert errors == []


def test_a_stale_version_is_a_conflict_with_what_is_now() -> None:
    """The version the caller saw must be the one that is locked."""
    _, [error] = plan_adjustments([replace(LINE, expected_version=6)], {0: PLACE})
    assert error.code is ErrorCode.CONFLICT_VERSION
    assert error.details == {"sku": "A-1", "version": "7", "onHand": "100", "reserved": "40"}


@pytest.mark.parametrize(
    ("line", "where"),
    [
        (replace(LINE, delta=None), ("lines", "0")),
        (replace(LINE, counted=Decimal(1)), ("lines", "0")),
        (replace(LINE, delta=Decimal(0)), ("lines", "0", "delta")),
        (replace(LINE, delta=Decimal("0.00001")), ("lines", "0", "delta")),
        (replace(LINE, delta=Decimal(10) ** 14), ("lines", "0", "delta")),
        (replace(LINE, delta=None, counted=Decimal(-1)), ("lines", "0", "countedQty")),
        (replace(LINE, reason="  "), ("lines", "0", "reason")),
        (replace(LINE, reason="x" * 201), ("lines", "0", "reason")),
    ],
)
def test_lines_that_make_no_sense_are_refused(line: AdjustmentLine, where: tuple[str, ...]) -> None:
    """Every refusal names the field at fault."""
    [error] = check_adjustment_lines([line])
    assert error.path == where


def test_one_line_per_product_and_location() -> None:
    """The same place twice would make counted quantities ambiguous."""
    [error] = check_adjustment_lines([LINE, replace(LINE, delta=Decimal(3))])
    assert error.path == ("lines", "1")


@given(st.lists(quantities.filter(bool), min_size=1, max_size=5))
def test_booked_lines_never_break_the_level(deltas: list[Decimal]) -> None:
    """Whatever is asked, what is booked keeps reserved <= on hand and no balance below zero."""
    lines = [replace(LINE, location_id=n, delta=d) for n, d in enumerate(deltas)]
    places = {n: replace(PLACE, balance_id=n) for n in range(len(deltas))}
    adjustments, _ = plan_adjustments(lines, places)
    assert PLACE.level_on_hand + sum(a.delta for a in adjustments) >= PLACE.level_reserved or all(
        a.delta > 0 for a in adjustments
    )
    assert all(a.place.balance_on_hand + a.delta >= 0 for a in adjustments)


@pytest.mark.parametrize(
    ("previous", "current", "threshold", "expected"),
    [
        (5, 4, 5, Crossing.FELL_BELOW),
        (4, 5, 5, Crossing.ROSE_ABOVE),
        (5, 5, 5, Crossing.NONE),
        (6, 5, 5, Crossing.NONE),
        (5, 0, 3, Crossing.OUT_OF_STOCK),
        (0, 5, 3, Crossing.BACK_IN_STOCK),
        (5, 4, None, Crossing.NONE),
        (1, -1, None, Crossing.OUT_OF_STOCK),
    ],
)
def test_crossings(previous: int, current: int, threshold: int | None, expected: Crossing) -> None:
    """A threshold is crossed downwards by getting below it, upwards by reaching it."""
    limit = None if threshold is None else Decimal(threshold)
    assert crossing(Decimal(previous), Decimal(current), limit) is expected
