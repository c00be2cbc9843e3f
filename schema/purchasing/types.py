"""Purchase orders with their lines, goods receipts, offers and reorder rules."""

from datetime import date, datetime
from decimal import Decimal

from resolvers.catalog.loaders import product_by_id
from resolvers.inventory.loaders import reorder_rule, warehouse_by_id
from resolvers.partners.loaders import partner_by_id
from resolvers.purchasing.loaders import (
    goods_receipt,
    goods_receipt_line,
    lots_by_receipt_line,
    moves_by_receipt,
    offer_by_rule,
    purchase_by_id,
    purchase_line_by_id,
    purchase_lines_by_order,
    purchase_order,
    purchase_order_line,
    receipt_by_id,
    receipt_lines_by_receipt,
    receipts_by_order,
    supplier_by_rule,
    supplier_offer,
)
from resolvers.purchasing.rules import purchase_actions
from resolvers.reference.loaders import unit_by_id
from schema.catalog.types import Product
from schema.core.fields import ID, Money, RowType, column, computed, money, node_id, related
from schema.core.node import Node, node_type
from schema.core.scalars import CurrencyCode
from schema.inventory.types import Lot, StockMove, Warehouse
from schema.partners.types import Partner
from schema.purchasing.enums import BillStatus, PurchaseAction, PurchaseOrderState, ReceiptStatus
from schema.reference.types import UnitOfMeasure


@node_type(
    supplier_offer,
    "What a supplier asks for a product, from a quantity on.",
    requires="purchasing.read",
)
class SupplierOffer(RowType, Node):
    """A row of `supplier_offer`."""

    id: ID = node_id("SupplierOffer")
    product: Product = related("Product it is for.", product_by_id, "product_id")
    supplier: Partner = related("Who offers it.", partner_by_id, "partner_id")
    supplier_sku: str | None = column("The supplier's own number of the product.")
    min_qty: Decimal = column("From this quantity on.", of="min_quantity")
    price: Money | None = money("Price of one unit, without tax.", "price", requires="cost.read")
    lead_days: int = column("Days from the order until the goods arrive.")
    priority: int = column("Order in which suppliers are asked; 1 is the first choice.")
    archived_at: datetime | None = column("When the offer ended; null while it holds.")


@node_type(purchase_order_line, "One product on a purchase order.", requires="purchasing.read")
class PurchaseOrderLine(RowType, Node):
    """A row of `purchase_order_line`."""

    id: ID = node_id("PurchaseOrderLine")
    seq: int = column("Position on the order, from 1.", of="position")
    product: Product = related("Product ordered.", product_by_id, "product_id")
    supplier_sku: str | None = column("The supplier's own number of the product.")
    description: str = column("Text on the order.")
    uom: UnitOfMeasure = related("Unit of the quantities.", unit_by_id, "uom_id")
    qty: Decimal = column("Quantity ordered.", of="quantity")
    qty_entered: Decimal = column(
        "Quantity as it was entered, in uomEntered; qty where no unit was named."
    )
    uom_entered: str = column("Code of the unit it was entered in: a pack, or another unit.")
    unit_price: Money | None = money("Price of one unit.", "unit_price", requires="cost.read")
    net: Money | None = money("Amount without tax.", "net", requires="cost.read")
    tax: Money | None = money("Tax on it.", "tax", requires="cost.read")
    expected_on: date = column("Date it is expected, as the supplier said last.")
    qty_received: Decimal = column("Received so far, what was rejected included.", of="received")
    qty_canceled: Decimal = column("Canceled.", of="canceled")
    qty_outstanding: Decimal = column(
        "Still to come; 0 where more came than was ordered.", of="outstanding"
    )
    qty_billed: Decimal = column("Billed by the supplier so far.", of="billed")
    over_receipt_pct: Decimal = column(
        "How much more than ordered is accepted, in percent.", of="over_receipt_percent"
    )
    order: "PurchaseOrder" = related("Order it is on.", purchase_by_id, "order_id")


@node_type(
    goods_receipt_line,
    "How much of one line of a purchase order arrived in a delivery.",
    requires="purchasing.read",
)
class GoodsReceiptLine(RowType, Node):
    """A row of `goods_receipt_line`."""

    id: ID = node_id("GoodsReceiptLine")
    seq: int = column("Position on the receipt, from 1.", of="position")
    product: Product = related("Product that arrived.", product_by_id, "product_id")
    qty: Decimal = column("How much arrived, in the product's unit.", of="quantity")
    qty_rejected: Decimal = column(
        "How much of that was put aside to be looked at before it is sold.", of="rejected"
    )
    order_line: PurchaseOrderLine = related(
        "Line of the order it was delivered for.", purchase_line_by_id, "order_line_id"
    )
    receipt: "GoodsReceipt" = related("Receipt it is on.", receipt_by_id, "receipt_id")
    lots: list[Lot] | None = related(
        "Lots that came with it, if the product is tracked.",
        lots_by_receipt_line,
        "id",
        requires="stock.read",
        size=2,
    )


@node_type(
    goods_receipt,
    "What arrived of a purchase order in one delivery; it never changes.",
    requires="purchasing.read",
)
class GoodsReceipt(RowType, Node):
    """A row of `goods_receipt`."""

    id: ID = node_id("GoodsReceipt")
    number: str = column("Number on paper, unique in the company.")
    order: "PurchaseOrder" = related("Order it belongs to.", purchase_by_id, "order_id")
    supplier: Partner = related("Who delivered.", partner_by_id, "partner_id")
    warehouse: Warehouse = related("Warehouse the goods came to.", warehouse_by_id, "warehouse_id")
    delivery_note: str | None = column("Number on the supplier's delivery note.")
    received_on: date = column("Date the goods arrived.")
    posted_at: datetime = column("When it was posted.")
    posted_by: str = column("Who posted it: user:<number>, client:<number> or a process.")
    lines: list[GoodsReceiptLine] = related(
        "Lines, by position.", receipt_lines_by_receipt, "id", size=4
    )
    moves: list[StockMove] | None = related(
        "Entries it made in the stock ledger, in the order of its lines.",
        moves_by_receipt,
        "id",
        requires="stock.read",
        size=5,
    )


@node_type(purchase_order, "An order to a supplier.", requires="purchasing.read")
class PurchaseOrder(RowType, Node):
    """A row of `purchase_order`."""

    id: ID = node_id("PurchaseOrder")
    number: str = column("Number on paper, unique in the company.")
    state: PurchaseOrderState = column("Where the order is in its life.")
    receipt_status: ReceiptStatus = column("How much has arrived.")
    bill_status: BillStatus = column("How much the supplier has billed.")
    available_actions: list[PurchaseAction] = computed(
        "What can be done with it now, by its states; the usual next thing first.",
        lambda row: purchase_actions(row["state"], row["receipt_status"]),
        needs=("state", "receipt_status"),
    )
    supplier: Partner = related("Who it is sent to.", partner_by_id, "partner_id")
    warehouse: Warehouse = related("Warehouse the goods go to.", warehouse_by_id, "warehouse_id")
    currency: CurrencyCode = column("Currency of all amounts of the order.")
    supplier_ref: str | None = column("Number under which the supplier confirmed it.")
    ordered_on: date = column("Date of the order.")
    expected_on: date = column(
        "Date the goods were to arrive when they were ordered; lines know of changes."
    )
    subtotal: Money | None = money(
        "Sum of the lines without tax.", "subtotal", requires="cost.read"
    )
    tax_total: Money | None = money("Tax.", "tax_total", requires="cost.read")
    total: Money | None = money("Amount to pay.", "total", requires="cost.read")
    version: int = column("Counter of changes; send it back as the expected version of an edit.")
    created_at: datetime = column("When the order was entered.")
    confirmed_at: datetime | None = column("When the supplier confirmed it.")
    lines: list[PurchaseOrderLine] = related(
        "Lines, by position.", purchase_lines_by_order, "id", size=4
    )
    receipts: list[GoodsReceipt] = related(
        "Goods receipts, in the order they were posted.", receipts_by_order, "id", size=2
    )


@node_type(
    reorder_rule,
    "From which stock a product is to be ordered again for a warehouse, and how much.",
    requires="purchasing.read",
)
class ReorderRule(RowType, Node):
    """A row of `reorder_rule`."""

    id: ID = node_id("ReorderRule")
    product: Product = related("Product to watch.", product_by_id, "product_id")
    warehouse: Warehouse = related("Warehouse it is for.", warehouse_by_id, "warehouse_id")
    min_qty: Decimal = column("Projected stock at which to order again.", of="min_quantity")
    target_qty: Decimal = column("Stock to fill up to.", of="target_quantity")
    multiple: Decimal = column("Quantities are ordered in multiples of this.")
    projected: Decimal = column("onHand + incoming - outgoing of the product in the warehouse.")
    suggested_qty: Decimal = column(
        "How much to order now: up to targetQty in whole multiples once projected has fallen to "
        "minQty, else 0.",
        of="suggested_quantity",
    )
    supplier: Partner | None = related(
        "Supplier to order from: who makes the offer; null when nobody does.",
        supplier_by_rule,
        "id",
    )
    offer: SupplierOffer | None = related(
        "Offer to order by: of those that hold for suggestedQty the first choice, then the "
        "cheapest; of all where none does.",
        offer_by_rule,
        "id",
    )
