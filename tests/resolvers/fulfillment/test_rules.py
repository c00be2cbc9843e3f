"""Rules of fulfillment: how lines are divided, and which steps are done."""

from decimal import Decimal

import pytest

from resolvers.fulfillment.rules import Part, added_up, divided, steps_done


def test_a_line_is_divided_by_what_was_found() -> None:
    """One part for each place and lot, in the order they first come, and what was not found."""
    found = added_up(
        [Part(1, 7, Decimal(2)), Part(2, None, Decimal(1)), Part(1, 7, Decimal("0.5"))]
    )
    assert found == [Part(1, 7, Decimal("2.5")), Part(2, None, Decimal(1))]
    assert divided(Decimal("3.5"), found) == found
    assert divided(Decimal(4), found) == [*found, Part(None, None, Decimal("0.5"))]
    assert divided(Decimal(4), []) == [Part(None, None, Decimal(4))]


@pytest.mark.parametrize(
    ("prepared", "left", "count"),
    [
        ([("PLANNED", False)], False, 1),
        ([("PACKED", True), ("PICKING", False)], True, 1),
        ([("PACKED", True), ("PACKED", False)], True, 3),
        ([("PACKED", True)], False, 4),
        ([], True, 5),
        ([], False, 1),
    ],
)
def test_the_shipment_that_is_least_far_tells(
    prepared: list[tuple[str, bool]],
    left: bool,  # noqa: FBT001
    count: int,
) -> None:
    """Reserved, picked, packed, labeled, shipped: so many steps are done."""
    assert len(steps_done(prepared, left=left)) == count
