"""What fulfillment adds to lower modules' types."""

from resolvers.fulfillment.loaders import (
    shipments_by_order,
    steps_by_order,
)
from resolvers.fulfillment.reads import shipments
from schema.core.connection import Connection, connection
from schema.core.extend import extend
from schema.core.fields import related
from schema.fulfillment.inputs import ShipmentFilter, ShipmentOrderBy
from schema.fulfillment.types import FulfillmentStep, Shipment
from schema.inventory.types import Warehouse
from schema.sales.types import SalesOrder


@extend(SalesOrder)
class SalesOrderShipments:
    """Shipments of sales orders."""

    shipments: list[Shipment] | None = related(
        "Shipments of it, in the order they were planned.",
        shipments_by_order,
        "id",
        requires="shipments.read",
        size=2,
    )
    fulfillment_steps: list[FulfillmentStep] | None = related(
        "Steps of the work on it, in order, from when it is confirmed. While a shipment is "
        "prepared they tell how far that is, of several the one that is least far. Before, and "
        "when a part has left, they are those of what is left: RESERVE is done if all of that is "
        "reserved. Empty before it is confirmed, and some weeks after it is done.",
        steps_by_order,
        "id",
        requires="shipments.read",
        size=5,
    )


@extend(Warehouse)
class WarehouseShipments:
    """Shipments of warehouses."""

    shipments: Connection[Shipment] | None = connection(
        "Shipments that leave it, those planned latest first.",
        shipments,
        filter_input=ShipmentFilter,
        order=ShipmentOrderBy,
        parent="warehouse_id",
        requires="shipments.read",
    )
