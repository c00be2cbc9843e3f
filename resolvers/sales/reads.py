"""Lists of sales orders."""

from resolvers.core.listing import Between, Equals, Listing, OneOf
from resolvers.sales.loaders import sales_order

_order = sales_order.columns

sales_orders = Listing(
    name="salesOrders",
    entity=sales_order,
    orders={"PLACED_ON": ("placed_on",), "TOTAL": ("total_steps",)},
    default_order="PLACED_ON",
    default_descending=True,
    filters={
        "numbers": OneOf(_order["number"]),
        "external_refs": OneOf(_order["external_ref"]),
        "states": OneOf(_order["state"]),
        "shipment_status": OneOf(_order["shipment_status"]),
        "hold": Equals(_order["hold"]),
        "placed_on": Between(_order["placed_on"]),
        "partner_ids": OneOf(_order["partner_id"], "Partner"),
        "warehouse_ids": OneOf(_order["warehouse_id"], "Warehouse"),
    },
)
