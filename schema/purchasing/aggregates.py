"""What purchase orders add up to."""

from datetime import date

import strawberry

from resolvers.inventory.loaders import warehouse_by_id
from resolvers.partners.loaders import partner_by_id
from resolvers.purchasing.reads import purchase_order_aggregates
from schema.core.aggregates import BY_COUNT, NOT_GROUPED, aggregates, group_type
from schema.core.connection import Connection
from schema.core.fields import Money, RowType, column, money, related
from schema.inventory.types import Warehouse
from schema.partners.types import Partner
from schema.purchasing.enums import PurchaseOrderState, ReceiptStatus
from schema.purchasing.types import PurchaseOrder


@strawberry.type(
    description="Amounts of a group of purchase orders, in the company's currency at their rates."
)
class PurchaseOrderMeasures(RowType):
    """What is measured of a group of purchase orders."""

    subtotal: Money | None = money(
        "Without tax; null in a group without rows.", "subtotal", requires="cost.read"
    )
    tax_total: Money | None = money(
        "Tax; null in a group without rows.", "tax_total", requires="cost.read"
    )
    total: Money | None = money(
        "Amount to pay; null in a group without rows.", "total", requires="cost.read"
    )


@group_type("PurchaseOrder", purchase_order_aggregates, PurchaseOrderMeasures)
class PurchaseOrderGroup(RowType):
    """Purchase orders with the same keys."""

    day: date | None = column(f"Date of the orders; {NOT_GROUPED}.")
    month: date | None = column(f"First day of the month of the orders; {NOT_GROUPED}.")
    supplier: Partner | None = related(f"Supplier; {NOT_GROUPED}.", partner_by_id, "supplier_id")
    warehouse: Warehouse | None = related(
        f"Warehouse; {NOT_GROUPED}.", warehouse_by_id, "warehouse_id"
    )
    state: PurchaseOrderState | None = column(f"Where they are in their life; {NOT_GROUPED}.")
    receipt_status: ReceiptStatus | None = column(f"How much has arrived; {NOT_GROUPED}.")


@strawberry.type(description="A page of purchase orders, and what the whole list adds up to.")
class PurchaseOrderConnection(Connection[PurchaseOrder]):
    """Purchase orders with their aggregates."""

    aggregates: list[PurchaseOrderGroup] = aggregates(
        "PurchaseOrder",
        purchase_order_aggregates,
        PurchaseOrderGroup,
        group_by={
            "DAY": "The date of the order.",
            "MONTH": "The month of the order.",
            "SUPPLIER": "The supplier.",
            "WAREHOUSE": "The warehouse the goods go to.",
            "STATE": "Where the order is in its life.",
            "RECEIPT_STATUS": "How much has arrived.",
        },
        order_by={
            **BY_COUNT,
            "sum_subtotal": "By the sum without tax.",
            "sum_tax_total": "By the tax.",
            "sum_total": "By the sum to pay.",
        },
    )
