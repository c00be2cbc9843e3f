"""Filters and orders of shipments."""

import strawberry

from resolvers.fulfillment.reads import shipments
from schema.core.connection import DateRange, order_input
from schema.fulfillment.enums import ShipmentState


@strawberry.input(description="Which shipments to list; all conditions must hold.")
class ShipmentFilter:
    """Filter of `shipments`."""

    numbers: list[str] | None = strawberry.field(default=None, description="With these numbers.")
    tracking_nos: list[str] | None = strawberry.field(
        default=None, description="With these numbers of the carrier."
    )
    states: list[ShipmentState] | None = strawberry.field(default=None, description="This far.")
    planned_on: DateRange | None = strawberry.field(
        default=None, description="Planned for this range of dates."
    )
    partner_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="To these customers."
    )
    warehouse_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="From these warehouses."
    )


ShipmentOrderBy = order_input(
    "Shipment", shipments, {"PLANNED_ON": "By the day they were planned for."}
)
