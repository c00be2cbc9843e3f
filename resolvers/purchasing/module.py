"""Introduces purchasing to the registry."""

from resolvers.core.module import DataModule
from resolvers.purchasing.invariants import INVARIANTS
from resolvers.purchasing.tables import (
    INCOMING_OF_LINES,
    INCOMING_OF_ORDERS,
    LANDED_COST_VALUED,
    PARTNER_WITH_OPEN_PURCHASE_ORDERS,
    PRODUCT_ON_OPEN_PURCHASE_LINES,
    PURCHASE_NUMBERS,
    RECEIPT_NUMBERS,
    goods_receipt,
    goods_receipt_line,
    landed_cost,
    purchase_order,
    purchase_order_line,
    supplier_offer,
)

MODULE = DataModule(
    name="purchasing",
    tables=(
        purchase_order,
        purchase_order_line,
        goods_receipt,
        goods_receipt_line,
        landed_cost,
        supplier_offer,
    ),
    functions=(
        INCOMING_OF_LINES,
        INCOMING_OF_ORDERS,
        PRODUCT_ON_OPEN_PURCHASE_LINES,
        PARTNER_WITH_OPEN_PURCHASE_ORDERS,
        RECEIPT_NUMBERS,
        PURCHASE_NUMBERS,
        LANDED_COST_VALUED,
    ),
    invariants=INVARIANTS,
    permissions={
        "purchasing.read": (
            "See purchase orders, goods receipts, suppliers' offers and what to order again."
        ),
        "purchasing.write": "Make, send, confirm and cancel purchase orders.",
        "purchasing.approve": "Approve purchase orders over the company's limit.",
        "purchasing.receive": "Take in what comes of purchase orders.",
    },
)
