"""What fulfillment publishes: the work on shipments, and which subscribers want to know."""

from dataclasses import dataclass
from typing import Any

from resolvers.core.broker import PublishedEvent

SHIPMENT_WORK_CHANGED = "shipment.work_changed"
"""Topic of the events that the triggers on `shipment` and `shipment_line` write."""


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
