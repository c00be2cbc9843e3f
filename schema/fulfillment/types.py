"""Shipment, its lines and parcels, and the steps of an order."""

from datetime import date, datetime
from decimal import Decimal

from resolvers.catalog.loaders import product_by_id
from resolvers.fulfillment.loaders import (
    package,
    packages_by_shipment,
    shipment,
    shipment_line,
    shipment_lines_by_shipment,
)
from resolvers.fulfillment.rules import shipment_actions
from resolvers.inventory.loaders import location_by_id, lot_by_id, warehouse_by_id
from resolvers.partners.loaders import address_by_id
from resolvers.sales.loaders import line_by_id, order_by_id
from schema.catalog.types import Product
from schema.core.fields import ID, RowType, column, computed, node_id, related
from schema.core.node import Node, node_type, row_type
from schema.fulfillment.enums import (
    FulfillmentStepName,
    ShipmentAction,
    ShipmentState,
    StepState,
)
from schema.inventory.types import Lot, StockLocation, Warehouse
from schema.partners.types import Address
from schema.sales.types import SalesOrder, SalesOrderLine


@node_type(
    shipment_line,
    "How much of an order line is in a shipment, of one lot and from one location.",
    requires="shipments.read",
)
class ShipmentLine(RowType, Node):
    """A row of `shipment_line`."""

    id: ID = node_id("ShipmentLine")
    seq: int = column("Place in the shipment, from 1.", of="position")
    product: Product = related("What is shipped.", product_by_id, "product_id")
    qty: Decimal = column("Quantity that is shipped.", of="quantity")
    picked: Decimal = column("How much of it was picked so far.")
    location: StockLocation | None = related(
        "Where to take it from, and once it left where it was taken from; null until it is picked.",
        location_by_id,
        "location_id",
        requires="stock.read",
    )
    lot: Lot | None = related(
        "Which lot to take, and once it left which it was; null until it is picked, and for "
        "products that are not tracked.",
        lot_by_id,
        "lot_id",
        requires="stock.read",
    )
    order_line: SalesOrderLine | None = related(
        "Order line it is of.", line_by_id, "order_line_id", requires="sales.read"
    )


@node_type(package, "A parcel of a shipment.", requires="shipments.read")
class Package(RowType, Node):
    """A row of `package`."""

    id: ID = node_id("Package")
    seq: int = column("Place in the shipment, from 1.", of="position")
    tracking_no: str | None = column("Number of the carrier, to follow it.")


@row_type("FulfillmentStep", "One step of the work on an order.")
class FulfillmentStep(RowType):
    """A row of the report `fulfillment_steps`."""

    step: FulfillmentStepName = column("What is done.")
    state: StepState = column("How it went.")
    attempts: int = column("How often it was tried.")
    last_error: str | None = column("Why it failed the last time.")
    finished_at: datetime | None = column(
        "When it was done; RESERVE has none before a shipment is planned."
    )


@node_type(shipment, "What leaves a warehouse for an order at once.", requires="shipments.read")
class Shipment(RowType, Node):
    """A row of `shipment`."""

    id: ID = node_id("Shipment")
    number: str = column("Number, unique in the company.")
    state: ShipmentState = column("How far it is.")
    planned_on: date = column("Day it was planned for.")
    shipped_at: datetime | None = column("When it left.")
    delivered_on: date | None = column("Day it arrived.")
    carrier: str | None = column("Who carries it.")
    tracking_no: str | None = column("Number of the carrier, to follow it.")
    version: int = column("Counter of changes; send it back as the expected version of an edit.")
    available_actions: list[ShipmentAction] = computed(
        "What can be done with it now, the usual next thing first.",
        lambda row: shipment_actions(row["state"]),
        needs=("state",),
    )
    order: SalesOrder | None = related(
        "Order it is for.", order_by_id, "order_id", requires="sales.read"
    )
    warehouse: Warehouse = related("Warehouse it leaves.", warehouse_by_id, "warehouse_id")
    ship_to: Address | None = related("Where it goes.", address_by_id, "ship_to_id")
    lines: list[ShipmentLine] = related("What is in it.", shipment_lines_by_shipment, "id", size=5)
    packages: list[Package] = related("Its parcels.", packages_by_shipment, "id", size=2)
