"""Introduces sales orders to the registry."""

from resolvers.core.module import DataModule
from resolvers.sales.invariants import INVARIANTS
from resolvers.sales.tables import (
    DEMAND_OF_LINES,
    DEMAND_OF_ORDERS,
    ORDER_EVENTS,
    ORDER_NUMBERS,
    PARTNER_WITH_OPEN_SALES_ORDERS,
    PRODUCT_ON_OPEN_SALES_LINES,
    RESERVE_ORDER,
    WAREHOUSE_OF_LINES,
    sales_order,
    sales_order_line,
)

MODULE = DataModule(
    name="sales",
    tables=(sales_order, sales_order_line),
    functions=(
        PRODUCT_ON_OPEN_SALES_LINES,
        PARTNER_WITH_OPEN_SALES_ORDERS,
        WAREHOUSE_OF_LINES,
        DEMAND_OF_LINES,
        DEMAND_OF_ORDERS,
        ORDER_EVENTS,
        ORDER_NUMBERS,
        RESERVE_ORDER,
    ),
    invariants=INVARIANTS,
    permissions={
        "sales.read": "See sales orders.",
        "sales.write": "Place, confirm, reserve, hold, release and cancel sales orders.",
    },
)
