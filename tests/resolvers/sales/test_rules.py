"""Rules of sales orders."""

import pytest

from resolvers.sales.rules import order_actions


@pytest.mark.parametrize(
    ("state", "hold", "reservation", "shipment", "expected"),
    [
        ("DRAFT", None, "NONE", "NONE", ["CONFIRM", "HOLD", "CANCEL"]),
        ("PLACED", "CREDIT", "NONE", "NONE", ["RELEASE_HOLD", "CANCEL"]),
        ("CONFIRMED", None, "NONE", "NONE", ["RESERVE", "HOLD", "CANCEL"]),
        ("CONFIRMED", None, "PARTIAL", "NONE", ["SHIP", "RESERVE", "HOLD", "CANCEL"]),
        ("CONFIRMED", None, "FULL", "PARTIAL", ["SHIP", "HOLD", "CANCEL", "RETURN_GOODS"]),
        ("CONFIRMED", "MANUAL", "FULL", "PARTIAL", ["RELEASE_HOLD", "CANCEL", "RETURN_GOODS"]),
        ("FULFILLED", None, "NONE", "SHIPPED", ["RETURN_GOODS"]),
        ("CANCELED", None, "NONE", "NONE", []),
        ("CANCELED", "PAYMENT", "NONE", "NONE", []),
    ],
)
def test_actions(
    state: str, hold: str | None, reservation: str, shipment: str, expected: list[str]
) -> None:
    """What can be done follows from the states; a hold stops all but giving up and going on."""
    assert order_actions(state, hold, reservation, shipment) == expected
