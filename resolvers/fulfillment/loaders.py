"""Shipments, packages and steps as readers know them, and how to get to them."""

from sqlalchemy import BigInteger, DateTime, Integer, Text

from resolvers.core.entity import entity
from resolvers.core.relation import by_key, children
from resolvers.core.report import Report
from resolvers.fulfillment.tables import package as package_table
from resolvers.fulfillment.tables import shipment as shipment_table
from resolvers.fulfillment.tables import shipment_line as line_table

shipment = entity("Shipment", shipment_table)
shipment_line = entity("ShipmentLine", line_table)
package = entity("Package", package_table)

shipment_by_id = by_key(shipment)
shipment_by_number = by_key(shipment, "number")
shipments_by_order = children(shipment, "order_id", order=("order_id", "id"))
shipment_lines_by_shipment = children(
    shipment_line, "shipment_id", order=("shipment_id", "position")
)
packages_by_shipment = children(package, "shipment_id", order=("shipment_id", "position"))
fulfillment_steps = Report(
    "FulfillmentSteps",
    "fulfillment_steps",
    {
        "order_id": BigInteger(),
        "place": Integer(),
        "step": Text(),
        "state": Text(),
        "attempts": Integer(),
        "last_error": Text(),
        "finished_at": DateTime(timezone=True),
    },
    order=("order_id", "place"),
    key="order_id",
)
steps_by_order = fulfillment_steps.relation(many=True)
