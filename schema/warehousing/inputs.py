"""Inputs of transfers and counts: filters, orders, lines."""

from decimal import Decimal

import strawberry

from resolvers.warehousing.reads import stock_counts, stock_transfers
from schema.core.connection import DateRange, order_input
from schema.reference.inputs import UOM
from schema.warehousing.enums import CountState, TransferState


@strawberry.input(description="Which transfers to list; all conditions must hold.")
class StockTransferFilter:
    """Filter of `stockTransfers`."""

    numbers: list[str] | None = strawberry.field(default=None, description="With these numbers.")
    states: list[TransferState] | None = strawberry.field(
        default=None, description="In one of these states."
    )
    sent_on: DateRange | None = strawberry.field(
        default=None, description="Sent in this range of dates."
    )
    from_warehouse_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="From these warehouses."
    )
    to_warehouse_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="To these warehouses."
    )


@strawberry.input(description="Which counts to list; all conditions must hold.")
class StockCountFilter:
    """Filter of `stockCounts`."""

    numbers: list[str] | None = strawberry.field(default=None, description="With these numbers.")
    states: list[CountState] | None = strawberry.field(
        default=None, description="In one of these states."
    )
    started_on: DateRange | None = strawberry.field(
        default=None, description="Begun in this range of dates."
    )
    warehouse_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="In these warehouses."
    )


StockTransferOrderBy = order_input(
    "StockTransfer", stock_transfers, {"SENT_ON": "By the day they were sent on."}
)
StockCountOrderBy = order_input(
    "StockCount", stock_counts, {"STARTED_ON": "By the day they were begun on."}
)


@strawberry.input(description="So much of a product that is carried to another warehouse.")
class TransferLineInput:
    """One line of `transferStock`."""

    sku: str = strawberry.field(description="SKU of the product.")
    qty: Decimal = strawberry.field(description="How much of it, above 0.")
    lot_number: str | None = strawberry.field(
        default=None,
        description="Number of the lot, or serial number, it is taken from; null: what expires "
        "first, then what came first.",
    )
    uom: str | None = strawberry.field(default=None, description=UOM)


@strawberry.input(description="So much of a line of a transfer that came.")
class TransferReceiptInput:
    """One line of `receiveTransfer`."""

    transfer_line_id: strawberry.ID = strawberry.field(description="Line of the transfer.")
    qty: Decimal = strawberry.field(description="How much of it came, above 0.")
    uom: str | None = strawberry.field(default=None, description=UOM)


@strawberry.input(description="What was found of a line of a count.")
class CountedLineInput:
    """One line of `recordStockCount`."""

    line_id: strawberry.ID = strawberry.field(description="Line of the count.")
    counted_qty: Decimal = strawberry.field(description="How much was found there; 0 is allowed.")
    again: bool = strawberry.field(
        default=False,
        description="True: it was counted once more, because goods moved meanwhile; what was found "
        "is then compared with what should be there now.",
    )
    uom: str | None = strawberry.field(default=None, description=UOM)
