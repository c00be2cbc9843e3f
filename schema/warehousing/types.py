"""Transfers between warehouses, and counts, with their lines."""

from datetime import date, datetime
from decimal import Decimal

from resolvers.catalog.loaders import product_by_id
from resolvers.inventory.loaders import location_by_id, lot_by_id, warehouse_by_id
from resolvers.warehousing.loaders import (
    count_by_id,
    lines_by_count,
    lines_by_transfer,
    stock_count,
    stock_count_line,
    stock_transfer,
    stock_transfer_line,
    transfer_by_id,
)
from resolvers.warehousing.rules import count_actions, transfer_actions
from schema.catalog.types import Product
from schema.core.fields import ID, RowType, column, computed, node_id, related
from schema.core.node import Node, node_type
from schema.inventory.types import Lot, StockLocation, Warehouse
from schema.warehousing.enums import CountAction, CountState, TransferAction, TransferState


@node_type(
    stock_transfer_line,
    "So much of one product, of one lot if it is tracked, in a transfer.",
    requires="stock.read",
)
class StockTransferLine(RowType, Node):
    """A row of `stock_transfer_line`."""

    id: ID = node_id("StockTransferLine")
    seq: int = column("Position in the transfer, from 1.", of="position")
    product: Product = related("Product that is carried.", product_by_id, "product_id")
    lot: Lot | None = related(
        "Which lot it is; null for products that are not tracked.", lot_by_id, "lot_id"
    )
    qty: Decimal = column("How much was sent, in the product's unit.", of="quantity")
    qty_received: Decimal = column("How much of it came.", of="received")
    qty_returned: Decimal = column("How much of it went back.", of="returned")
    qty_in_transit: Decimal = column("How much of it is on its way.", of="in_transit")
    transfer: "StockTransfer" = related("Transfer it is in.", transfer_by_id, "transfer_id")


@node_type(
    stock_transfer,
    "Goods that are carried from one warehouse to another; in transit they are in neither.",
    requires="stock.read",
)
class StockTransfer(RowType, Node):
    """A row of `stock_transfer`."""

    id: ID = node_id("StockTransfer")
    number: str = column("Number on paper, unique in the company.")
    state: TransferState = column("Where the goods are.")
    available_actions: list[TransferAction] = computed(
        "What can be done with it now; the usual next thing first.",
        lambda row: transfer_actions(row["state"]),
        needs=("state",),
    )
    from_warehouse: Warehouse = related(
        "Warehouse the goods left.", warehouse_by_id, "from_warehouse_id"
    )
    to_warehouse: Warehouse = related(
        "Warehouse the goods go to.", warehouse_by_id, "to_warehouse_id"
    )
    sent_on: date = column("Date the goods left.")
    expected_on: date = column("Date the goods are expected.")
    sent_at: datetime = column("When the goods left.")
    sent_by: str = column("Who sent them: user:<number>, client:<number> or a process.")
    ended_at: datetime | None = column("When the last of them came or went back.")
    version: int = column("Counter of changes; send it back as the expected version of an edit.")
    lines: list[StockTransferLine] = related("Lines, by position.", lines_by_transfer, "id", size=3)


@node_type(
    stock_count_line,
    "What should be at a place, and what was found there.",
    requires="stock.read",
)
class StockCountLine(RowType, Node):
    """A row of `stock_count_line`."""

    id: ID = node_id("StockCountLine")
    seq: int = column("Position in the count, from 1.", of="position")
    product: Product = related("Product that is counted.", product_by_id, "product_id")
    location: StockLocation = related("Where it is counted.", location_by_id, "location_id")
    lot: Lot | None = related(
        "Which lot is counted; null for products that are not tracked.", lot_by_id, "lot_id"
    )
    expected_qty: Decimal = column(
        "How much should be there by the ledger, when the count began or it was counted again.",
        of="expected",
    )
    counted_qty: Decimal | None = column("How much was found; null until then.", of="counted")
    difference: Decimal | None = column(
        "What was found too much, or too little if below 0; null until it was counted."
    )
    counted_at: datetime | None = column("When it was counted; null until then.")
    counted_by: str | None = column("Who counted it: user:<number>, client:<number>.")
    count: "StockCount" = related("Count it is in.", count_by_id, "count_id")


@node_type(stock_count, "Places of a warehouse that are counted at once.", requires="stock.read")
class StockCount(RowType, Node):
    """A row of `stock_count`."""

    id: ID = node_id("StockCount")
    number: str = column("Number on paper, unique in the company.")
    state: CountState = column("How far it is.")
    available_actions: list[CountAction] = computed(
        "What can be done with it now; the usual next thing first.",
        lambda row: count_actions(row["state"]),
        needs=("state",),
    )
    warehouse: Warehouse = related("Warehouse that is counted.", warehouse_by_id, "warehouse_id")
    note: str | None = column("What whoever began it wrote.")
    started_on: date = column("Date it began.")
    started_at: datetime = column("When it began.")
    started_by: str = column("Who began it: user:<number>, client:<number> or a process.")
    ended_at: datetime | None = column("When it was posted or given up.")
    version: int = column("Counter of changes; send it back as the expected version of an edit.")
    lines: list[StockCountLine] = related(
        "Lines, in the order of places.", lines_by_count, "id", size=50
    )
