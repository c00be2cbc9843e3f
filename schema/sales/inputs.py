"""Filters and orders of sales orders, and the names of their axes."""

from collections.abc import Mapping
from typing import Final, NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

from resolvers.sales.reads import sales_order_lines, sales_orders
from schema.core.connection import DateRange, order_input
from schema.core.scalars import words_scalar
from schema.sales.enums import (
    InvoiceStatus,
    OrderAxis,
    OrderHold,
    OrderPaymentStatus,
    OrderState,
    ShipmentStatus,
)

OrderAxisName = NewType("OrderAxisName", str)
"""The word of an `OrderAxis`."""

SCALARS: Final[Mapping[object, ScalarDefinition]] = {
    OrderAxisName: words_scalar(
        "OrderAxisName",
        "In which respect a sales order got further, or back, as a string: "
        + ", ".join(f'"{axis.lower()}"' for axis in OrderAxis)
        + ". Means what the value of `OrderAxis` with this name does, which is taken as well.",
        OrderAxis,
    )
}
"""What these names are in the schema."""


@strawberry.input(description="Which sales orders to list; all conditions must hold.")
class SalesOrderFilter:
    """Filter of `salesOrders`."""

    numbers: list[str] | None = strawberry.field(default=None, description="With these numbers.")
    external_refs: list[str] | None = strawberry.field(
        default=None, description="With these ids in the system they came from."
    )
    states: list[OrderState] | None = strawberry.field(
        default=None, description="In one of these states."
    )
    shipment_status: list[ShipmentStatus] | None = strawberry.field(
        default=None, description="Shipped this far."
    )
    invoice_status: list[InvoiceStatus] | None = strawberry.field(
        default=None, description="Invoiced this far."
    )
    payment_status: list[OrderPaymentStatus] | None = strawberry.field(
        default=None, description="Paid this far."
    )
    hold: OrderHold | None = strawberry.field(default=None, description="Stopped for this reason.")
    placed_on: DateRange | None = strawberry.field(
        default=None, description="Ordered in this range of dates."
    )
    partner_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of these customers."
    )
    warehouse_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Shipping from these warehouses."
    )


SalesOrderOrderBy = order_input(
    "SalesOrder",
    sales_orders,
    {"PLACED_ON": "By date of the order.", "TOTAL": "By amount to pay, whatever the currency."},
)


@strawberry.input(description="Which sales order lines to list; all conditions must hold.")
class SalesOrderLineFilter:
    """Filter of `salesOrderLines`."""

    placed_on: DateRange | None = strawberry.field(
        default=None, description="Ordered in this range of dates."
    )
    states: list[OrderState] | None = strawberry.field(
        default=None, description="On orders in one of these states."
    )
    partner_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Ordered by these customers."
    )
    warehouse_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="On orders that ship from these warehouses."
    )
    product_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of these products."
    )


SalesOrderLineOrderBy = order_input(
    "SalesOrderLine", sales_order_lines, {"PLACED_ON": "By date of the order."}
)
