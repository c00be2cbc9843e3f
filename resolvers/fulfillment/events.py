"""What fulfillment publishes: the work on shipments, and which subscribers want to know."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Integer, bindparam, select, text

from resolvers.core.broker import PublishedEvent
from resolvers.core.context import Reads
from resolvers.core.errors import LimitExceeded
from resolvers.core.statement import compile_statement
from resolvers.fulfillment.tables import BEING_PREPARED, shipment

SHIPMENT_WORK_CHANGED = "shipment.work_changed"
"""Topic of the events that the triggers on `shipment` and `shipment_line` write."""

MOST_SHIPMENTS: Final = 1_000
"""Most shipments that a state shows."""


@dataclass(frozen=True, slots=True)
class ShipmentInterest:
    """Which changes a subscriber wants: those of one warehouse."""

    warehouse_id: int
    own: int | None = None
    """The partner whose shipments alone the caller may see."""

    @property
    def index(self) -> tuple[str, frozenset[Any]]:
        """Return the field that decides."""
        return "warehouse_id", frozenset({self.warehouse_id})

    def accepts(self, event: PublishedEvent) -> bool:
        """Tell whether the subscriber wants ``event``."""
        told = event.payload
        if self.own is not None and told["partner_id"] != self.own:
            return False
        wanted: bool = told["warehouse_id"] == self.warehouse_id
        return wanted


_PREPARED = compile_statement(
    select(shipment.c.id)
    .where(
        shipment.c.warehouse_id == bindparam("warehouse_id", type_=Integer),
        text(BEING_PREPARED),  # literally, or its index is not seen to serve
    )
    .order_by(shipment.c.planned_on, shipment.c.id)
    .limit(MOST_SHIPMENTS + 1),
    "shipments of a stream",
)


async def shipments_of(reads: Reads, interest: ShipmentInterest) -> Sequence[int]:
    """Return the ids of the shipments that are being prepared in a warehouse, by their day.

    Raises:
        LimitExceeded: there are more than `MOST_SHIPMENTS`.

    """
    rows = await reads.fetch(_PREPARED, {"warehouse_id": interest.warehouse_id})
    if len(rows) > MOST_SHIPMENTS:
        raise LimitExceeded(
            f"The state would be more than {MOST_SHIPMENTS:,} shipments; subscribe without it.",
            path=("snapshot",),
            details={"limit": "shipments of a snapshot", "maximum": MOST_SHIPMENTS},
        )
    return [row[0] for row in rows]
