"""Lists of shipments."""

from resolvers.core.listing import Between, Listing, OneOf
from resolvers.fulfillment.loaders import shipment

_shipment = shipment.columns

shipments = Listing(
    name="shipments",
    entity=shipment,
    orders={"PLANNED_ON": ("planned_on",)},
    default_order="PLANNED_ON",
    default_descending=True,
    filters={
        "numbers": OneOf(_shipment["number"]),
        "tracking_nos": OneOf(_shipment["tracking_no"]),
        "states": OneOf(_shipment["state"]),
        "planned_on": Between(_shipment["planned_on"]),
        "partner_ids": OneOf(_shipment["partner_id"], "Partner"),
        "warehouse_ids": OneOf(_shipment["warehouse_id"], "Warehouse"),
    },
)
