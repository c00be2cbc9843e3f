"""Inputs of shipments: filters, orders, what is to leave."""

from decimal import Decimal

import strawberry

from resolvers.fulfillment.reads import shipments
from schema.core.connection import DateRange, order_input
from schema.fulfillment.enums import ShipmentState
from schema.reference.inputs import UOM


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


@strawberry.input(description="So much of a line of an order that is to leave.")
class ShipLineInput:
    """One line of `shipOrder`."""

    sales_order_line_id: strawberry.ID = strawberry.field(description="Line of the order.")
    qty: Decimal = strawberry.field(description="How much of it leaves, above 0.")
    lot_number: str | None = strawberry.field(
        default=None,
        description="Number of the lot, or serial number, it is taken from; null: what expires "
        "first, then what came first. Several lines may take one order line from several lots.",
    )
    uom: str | None = strawberry.field(default=None, description=UOM)


@strawberry.input(description="So much of a line of an order that is to be picked.")
class PlanLineInput:
    """One line of `planShipment`."""

    sales_order_line_id: strawberry.ID = strawberry.field(description="Line of the order.")
    qty: Decimal = strawberry.field(description="How much of it, above 0.")
    uom: str | None = strawberry.field(default=None, description=UOM)


@strawberry.input(description="So much of a line of a shipment that was picked from elsewhere.")
class PickedLineInput:
    """One line of `packShipment`."""

    shipment_line_id: strawberry.ID = strawberry.field(description="Line of the shipment.")
    qty: Decimal = strawberry.field(
        description="How much of it, above 0; all that is given of a line adds up to its quantity."
    )
    lot_number: str | None = strawberry.field(
        default=None,
        description="Number of the lot, or serial number, that was picked; null: what expires "
        "first. Several lines may tell of one line of the shipment.",
    )
    location_id: strawberry.ID | None = strawberry.field(
        default=None, description="Location it was picked from; null: wherever there is some."
    )
    uom: str | None = strawberry.field(default=None, description=UOM)
