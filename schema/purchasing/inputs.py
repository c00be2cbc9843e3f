"""Inputs of purchasing: filters, orders, what came."""

from datetime import date
from decimal import Decimal

import strawberry

from resolvers.purchasing.reads import (
    goods_receipts,
    purchase_orders,
    reorder_suggestions,
    supplier_offers,
)
from schema.core.connection import DateRange, order_input
from schema.purchasing.enums import BillStatus, PurchaseOrderState, ReceiptStatus
from schema.reference.inputs import UOM


@strawberry.input(description="Which purchase orders to list; all conditions must hold.")
class PurchaseOrderFilter:
    """Filter of `purchaseOrders`."""

    numbers: list[str] | None = strawberry.field(default=None, description="With these numbers.")
    supplier_refs: list[str] | None = strawberry.field(
        default=None, description="Confirmed by the supplier under these numbers."
    )
    states: list[PurchaseOrderState] | None = strawberry.field(
        default=None, description="In one of these states."
    )
    receipt_status: list[ReceiptStatus] | None = strawberry.field(
        default=None, description="Received this far."
    )
    bill_status: list[BillStatus] | None = strawberry.field(
        default=None, description="Billed this far."
    )
    ordered_on: DateRange | None = strawberry.field(
        default=None, description="Ordered in this range of dates."
    )
    expected_on: DateRange | None = strawberry.field(
        default=None, description="Expected in this range of dates."
    )
    late_on: date | None = strawberry.field(
        default=None,
        description="Late on this day: confirmed, expected before it and not all received. For "
        "what is late now, give today.",
    )
    supplier_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="From these suppliers."
    )
    warehouse_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="To these warehouses."
    )


@strawberry.input(description="Which goods receipts to list; all conditions must hold.")
class GoodsReceiptFilter:
    """Filter of `goodsReceipts`."""

    numbers: list[str] | None = strawberry.field(default=None, description="With these numbers.")
    order_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of these purchase orders."
    )
    supplier_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="From these suppliers."
    )
    warehouse_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="At these warehouses."
    )
    received_on: DateRange | None = strawberry.field(
        default=None, description="Received in this range of dates."
    )


@strawberry.input(description="Which suppliers' offers to list; all conditions must hold.")
class SupplierOfferFilter:
    """Filter of `supplierOffers`."""

    supplier_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of these suppliers."
    )
    product_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="For these products."
    )
    supplier_skus: list[str] | None = strawberry.field(
        default=None, description="Under these numbers of the suppliers' own."
    )


@strawberry.input(description="Which suggestions to list; all conditions must hold.")
class ReorderSuggestionFilter:
    """Filter of `reorderSuggestions`."""

    warehouse_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="For these warehouses."
    )
    product_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of these products."
    )


PurchaseOrderOrderBy = order_input(
    "PurchaseOrder",
    purchase_orders,
    {
        "ORDERED_ON": "By date of the order.",
        "EXPECTED_ON": "By the date the goods were to arrive.",
    },
)
GoodsReceiptOrderBy = order_input(
    "GoodsReceipt", goods_receipts, {"RECEIVED_ON": "By the date the goods arrived."}
)
SupplierOfferOrderBy = order_input(
    "SupplierOffer",
    supplier_offers,
    {"PRODUCT": "By product in order of entry, the first choice of each first."},
)
ReorderSuggestionOrderBy = order_input(
    "ReorderSuggestion", reorder_suggestions, {"ID": "In order of entry of the rules."}
)


@strawberry.input(description="So much of a product that is bought.")
class PurchaseLineInput:
    """One line of `createPurchaseOrder`."""

    sku: str = strawberry.field(description="SKU of the product.")
    qty: Decimal = strawberry.field(description="How much of it, above 0.")
    unit_price: Decimal | None = strawberry.field(
        default=None,
        description="Price of one of the product's unit, whatever uom is; null: that of the "
        "supplier's offer for so much.",
    )
    uom: str | None = strawberry.field(default=None, description=UOM)


@strawberry.input(description="So much of a line of a purchase order that came.")
class ReceiveLineInput:
    """One line of `receiveGoods`."""

    purchase_order_line_id: strawberry.ID = strawberry.field(
        description="Line of the purchase order."
    )
    qty: Decimal = strawberry.field(description="How much came, above 0.")
    qty_rejected: Decimal | None = strawberry.field(
        default=None,
        description="How much of it is put aside and not sold; null: nothing.",
    )
    lot_number: str | None = strawberry.field(
        default=None,
        description="Number of the lot, or serial number, of a product that is tracked; several "
        "lines may name one line of the order, with a lot each.",
    )
    expires_on: date | None = strawberry.field(
        default=None, description="Day a new lot expires on."
    )
    uom: str | None = strawberry.field(default=None, description=UOM)
