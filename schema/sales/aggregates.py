"""What sales orders and their lines add up to."""

from datetime import date
from decimal import Decimal

import strawberry

from resolvers.catalog.loaders import category_by_id, product_by_id
from resolvers.inventory.loaders import warehouse_by_id
from resolvers.partners.loaders import partner_by_id
from resolvers.sales.reads import sales_order_aggregates, sales_order_line_aggregates
from schema.catalog.types import Product, ProductCategory
from schema.core.aggregates import BY_COUNT, NOT_GROUPED, aggregates, group_type
from schema.core.connection import Connection
from schema.core.fields import Money, RowType, column, money, related
from schema.inventory.types import Warehouse
from schema.partners.types import Partner
from schema.sales.enums import OrderState
from schema.sales.types import SalesOrder, SalesOrderLine

_GROUP_BY = {
    "DAY": "The date of the order.",
    "MONTH": "The month of the order.",
    "CUSTOMER": "The customer.",
    "COUNTRY": "The country the goods go to.",
    "WAREHOUSE": "The warehouse the order ships from.",
    "CHANNEL": "Where the order came from.",
}


class _Keys(RowType):
    """What orders and their lines are both grouped by."""

    day: date | None = column(f"Date of the orders; {NOT_GROUPED}.")
    month: date | None = column(f"First day of the month of the orders; {NOT_GROUPED}.")
    customer: Partner | None = related(f"Customer; {NOT_GROUPED}.", partner_by_id, "customer_id")
    country: str | None = column(
        "Country the goods go to (ISO 3166-1 alpha-2); null as well for orders without an address."
    )
    warehouse: Warehouse | None = related(
        f"Warehouse; {NOT_GROUPED}.", warehouse_by_id, "warehouse_id"
    )
    channel: str | None = column(f"Where the orders came from; {NOT_GROUPED}.")


@strawberry.type(
    description="Amounts of a group of orders, in the company's currency at the orders' rates."
)
class SalesOrderMeasures(RowType):
    """What is measured of a group of orders."""

    subtotal: Money | None = money("Without tax; null in a group without rows.", "subtotal")
    tax_total: Money | None = money("Tax; null in a group without rows.", "tax_total")
    total: Money | None = money("Amount to pay; null in a group without rows.", "total")


@group_type("SalesOrder", sales_order_aggregates, SalesOrderMeasures)
class SalesOrderGroup(_Keys):
    """Orders with the same keys."""

    state: OrderState | None = column(f"Where the orders are in their life; {NOT_GROUPED}.")


@strawberry.type(description="A page of sales orders, and what the whole list adds up to.")
class SalesOrderConnection(Connection[SalesOrder]):
    """Orders with their aggregates."""

    aggregates: list[SalesOrderGroup] = aggregates(
        "SalesOrder",
        sales_order_aggregates,
        SalesOrderGroup,
        group_by={**_GROUP_BY, "STATE": "Where the order is in its life."},
        order_by={
            **BY_COUNT,
            "sum_subtotal": "By the sum without tax.",
            "sum_tax_total": "By the tax.",
            "sum_total": "By the sum to pay.",
        },
    )


@strawberry.type(
    description=(
        "Amounts and quantities of a group of sales order lines; amounts in the company's currency"
        " at the orders' rates, quantities in the units of the products."
    )
)
class SalesOrderLineMeasures(RowType):
    """What is measured of a group of lines."""

    net: Money | None = money("Without tax; null in a group without rows.", "net")
    tax: Money | None = money("Tax; null in a group without rows.", "tax")
    qty: Decimal | None = column("Ordered; null in a group without rows.")
    qty_shipped: Decimal | None = column("Shipped; null in a group without rows.")


@group_type("SalesOrderLine", sales_order_line_aggregates, SalesOrderLineMeasures)
class SalesOrderLineGroup(_Keys):
    """Lines with the same keys."""

    product: Product | None = related(f"Product; {NOT_GROUPED}.", product_by_id, "product_id")
    category: ProductCategory | None = related(
        f"Category of the products; {NOT_GROUPED}.", category_by_id, "category_id"
    )


@strawberry.type(description="A page of sales order lines, and what the whole list adds up to.")
class SalesOrderLineConnection(Connection[SalesOrderLine]):
    """Lines with their aggregates."""

    aggregates: list[SalesOrderLineGroup] = aggregates(
        "SalesOrderLine",
        sales_order_line_aggregates,
        SalesOrderLineGroup,
        group_by={
            **_GROUP_BY,
            "PRODUCT": "The product.",
            "CATEGORY": "The category of the product.",
        },
        order_by={
            **BY_COUNT,
            "sum_net": "By the sum without tax.",
            "sum_tax": "By the tax.",
            "sum_qty": "By the quantity ordered.",
            "sum_qty_shipped": "By the quantity shipped.",
        },
    )
