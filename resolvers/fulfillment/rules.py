"""Words and rules of fulfillment; pure, no I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class ShipmentState(StrEnum):
    """How far a shipment is."""

    PLANNED = "PLANNED"
    PICKING = "PICKING"
    PACKED = "PACKED"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    CANCELED = "CANCELED"


class ShipmentAction(StrEnum):
    """What can be done with a shipment."""

    START_PICKING = "START_PICKING"
    PACK = "PACK"
    SHIP = "SHIP"
    CONFIRM_DELIVERY = "CONFIRM_DELIVERY"
    CANCEL = "CANCEL"


class FulfillmentStepName(StrEnum):
    """What is done for an order, one after the other."""

    RESERVE = "RESERVE"
    PICK = "PICK"
    PACK = "PACK"
    LABEL = "LABEL"
    SHIP = "SHIP"


class StepState(StrEnum):
    """How a step went."""

    PENDING = "PENDING"
    DONE = "DONE"
    FAILED = "FAILED"


OPEN = (ShipmentState.PLANNED, ShipmentState.PICKING, ShipmentState.PACKED)
"""States in which a shipment is being prepared."""
LEFT = (ShipmentState.SHIPPED, ShipmentState.DELIVERED)
"""States in which the goods have left the warehouse."""

_ACTIONS = {
    ShipmentState.PLANNED: (ShipmentAction.START_PICKING, ShipmentAction.CANCEL),
    ShipmentState.PICKING: (ShipmentAction.PACK, ShipmentAction.CANCEL),
    ShipmentState.PACKED: (ShipmentAction.SHIP, ShipmentAction.CANCEL),
    ShipmentState.SHIPPED: (ShipmentAction.CONFIRM_DELIVERY,),
    ShipmentState.DELIVERED: (),
    ShipmentState.CANCELED: (),
}


def shipment_actions(state: str) -> Sequence[ShipmentAction]:
    """Return what can be done with a shipment in this state, the usual next thing first."""
    return list(_ACTIONS[ShipmentState(state)])


def steps_done(
    prepared: Sequence[tuple[str, bool]], *, left: bool
) -> Sequence[FulfillmentStepName]:
    """Return which steps of an order are done, by its shipments that are being ``prepared``.

    Of each its state, and whether the carrier has labeled it; the one that is least far tells.
    Where there is none, all is done if the last of them ``left``.
    """
    steps = tuple(FulfillmentStepName)
    if not prepared:
        return steps if left else steps[:1]
    if any(state != ShipmentState.PACKED for state, _ in prepared):
        return steps[:1]
    return steps[: 4 if all(labeled for _, labeled in prepared) else 3]


@dataclass(frozen=True, slots=True)
class Part:
    """So much of a line that is at one location, of one lot if it is tracked; None: not found."""

    location_id: int | None
    lot_id: int | None
    quantity: Decimal


def added_up(parts: Iterable[Part]) -> list[Part]:
    """Return one part for each location and lot, in the order they first come."""
    sums: dict[tuple[int | None, int | None], Decimal] = {}
    for part in parts:
        place = (part.location_id, part.lot_id)
        sums[place] = sums.get(place, Decimal(0)) + part.quantity
    return [Part(*place, quantity) for place, quantity in sums.items()]


def divided(quantity: Decimal, found: Sequence[Part]) -> list[Part]:
    """Return the parts of a line of so much: those that were found, then what was not."""
    rest = quantity - sum((part.quantity for part in found), Decimal(0))
    return [*found, Part(None, None, rest)] if rest else list(found)
