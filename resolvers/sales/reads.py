"""Lists of sales orders and their lines, and what they add up to."""

from typing import Any

from sqlalchemy import ColumnElement, type_coerce

from resolvers.catalog.loaders import product
from resolvers.core.aggregation import Aggregation, Grouping, Outer, days_and_months
from resolvers.core.listing import Between, Equals, Filter, Listing, OneOf, Through
from resolvers.core.table import money
from resolvers.identity.loaders import company_currency
from resolvers.partners.loaders import address
from resolvers.sales.loaders import sales_order, sales_order_line

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
        "invoice_status": OneOf(_order["invoice_status"]),
        "payment_status": OneOf(_order["payment_status"]),
        "hold": Equals(_order["hold"]),
        "placed_on": Between(_order["placed_on"]),
        "partner_ids": OneOf(_order["partner_id"], "Partner"),
        "warehouse_ids": OneOf(_order["warehouse_id"], "Warehouse"),
    },
)

_line = sales_order_line.columns


def _of_order(filter_: Filter) -> Filter:
    return Through(_line["order_id"], _order["id"], filter_)


sales_order_lines = Listing(
    name="salesOrderLines",
    entity=sales_order_line,
    orders={"PLACED_ON": ("placed_on",)},
    default_order="PLACED_ON",
    default_descending=True,
    filters={
        "placed_on": Between(_line["placed_on"]),
        "states": _of_order(OneOf(_order["state"])),
        "partner_ids": OneOf(_line["partner_id"], "Partner"),
        "warehouse_ids": OneOf(_line["warehouse_id"], "Warehouse"),
        "product_ids": OneOf(_line["product_id"], "Product"),
    },
)


def _at_rate(amount: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return an amount of an order in the company's currency, at the order's rate."""
    return type_coerce(amount * _order["fx_rate"], money())


_ORDER_KEYS = {
    **days_and_months(_order["placed_on"]),
    "CUSTOMER": Grouping({"customer_id": _order["partner_id"]}),
    "COUNTRY": Grouping(
        {"country": address.columns["country"]},
        outer=Outer(
            sales_order.table, address.table, _order["ship_to_id"] == address.columns["id"]
        ),
    ),
    "WAREHOUSE": Grouping({"warehouse_id": _order["warehouse_id"]}),
    "CHANNEL": Grouping({"channel": _order["channel"]}),
}

sales_order_aggregates = Aggregation(
    name="SalesOrderGroup",
    listing=sales_orders,
    groups={**_ORDER_KEYS, "STATE": Grouping({"state": _order["state"]})},
    measures={
        "subtotal": _at_rate(_order["subtotal"]),
        "tax_total": _at_rate(_order["tax_total"]),
        "total": _at_rate(_order["total"]),
    },
    constants={"currency": company_currency},
)

_of_product = _line["product_id"] == product.columns["id"]

sales_order_line_aggregates = Aggregation(
    name="SalesOrderLineGroup",
    listing=sales_order_lines,
    groups={
        **_ORDER_KEYS,
        "WAREHOUSE": Grouping({"warehouse_id": _line["warehouse_id"]}),
        "PRODUCT": Grouping({"product_id": _line["product_id"]}),
        "CATEGORY": Grouping({"category_id": product.columns["category_id"]}, (_of_product,)),
    },
    measures={
        "net": _at_rate(_line["net"]),
        "tax": _at_rate(_line["tax"]),
        "qty": _line["quantity"],
        "qty_shipped": _line["shipped"],
    },
    constants={"currency": company_currency},
    where=(_line["order_id"] == _order["id"],),
)
