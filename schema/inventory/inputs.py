"""Inputs of stock: filters, orders, adjustments."""

from decimal import Decimal

import strawberry

from resolvers.inventory.reads import incoming, lots, stock_holds, stock_levels, stock_moves
from schema.core.connection import DateRange, DateTimeRange, DecimalRange, order_input
from schema.inventory.enums import HoldState, MoveKind
from schema.reference.inputs import UOM


@strawberry.input(description="Which stock levels to list; all conditions must hold.")
class StockLevelFilter:
    """Filter of `stockLevels`."""

    warehouse_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="In these warehouses."
    )
    product_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of these products."
    )
    available: DecimalRange | None = strawberry.field(
        default=None, description="With so much available."
    )
    below_reorder_point: bool | None = strawberry.field(
        default=None, description="At or below the point from which to order again, or above it."
    )
    has_stock: bool | None = strawberry.field(
        default=None, description="With stock on hand, or with none."
    )


@strawberry.input(description="Which holds of stock to list; all conditions must hold.")
class StockHoldFilter:
    """Filter of `stockHolds`."""

    states: list[HoldState] | None = strawberry.field(
        default=None, description="In one of these states."
    )
    partner_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="For these customers."
    )
    expires_at: DateTimeRange | None = strawberry.field(
        default=None, description="Ending in this range of time."
    )


StockHoldOrderBy = order_input(
    "StockHold", stock_holds, {"EXPIRES_AT": "By when they end by themselves."}
)


@strawberry.input(description="So much of a product that is to be held in a warehouse.")
class StockHoldLineInput:
    """One line of `holdStock`."""

    sku: str = strawberry.field(description="SKU of the product.")
    qty: Decimal = strawberry.field(description="How much of it, above 0, in the product's unit.")
    warehouse_id: strawberry.ID = strawberry.field(description="Where it is held.")


@strawberry.input(
    description="Which entries of the stock ledger to list; all conditions must hold."
)
class StockMoveFilter:
    """Filter of `stockMoves`."""

    kinds: list[MoveKind] | None = strawberry.field(default=None, description="Of these kinds.")
    product_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of these products."
    )
    posted_at: DateTimeRange | None = strawberry.field(
        default=None, description="Posted in this range."
    )
    lot_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of these lots."
    )


@strawberry.input(description="Which stock on its way to list; all conditions must hold.")
class IncomingStockFilter:
    """Filter of `incomingStock`."""

    warehouse_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="To these warehouses."
    )
    product_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of these products."
    )
    expected_on: DateRange | None = strawberry.field(
        default=None, description="Expected in this range of dates."
    )


StockLevelOrderBy = order_input(
    "StockLevel", stock_levels, {"AVAILABLE": "By what is available.", "ID": "In order of entry."}
)
StockMoveOrderBy = order_input("StockMove", stock_moves, {"POSTED_AT": "By when they were posted."})
IncomingStockOrderBy = order_input(
    "IncomingStock", incoming, {"EXPECTED_ON": "By the date they are expected."}
)


@strawberry.input(description="Which lots to list; all conditions must hold.")
class LotFilter:
    """Filter of `lots`."""

    numbers: list[str] | None = strawberry.field(default=None, description="With these numbers.")
    product_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of these products."
    )
    received_on: DateRange | None = strawberry.field(
        default=None, description="That first came in this range of dates."
    )
    expires_on: DateRange | None = strawberry.field(
        default=None, description="That expire in this range of dates."
    )


LotOrderBy = order_input("Lot", lots, {"RECEIVED_ON": "By the day they first came."})


@strawberry.input(
    description="One correction of stock at a location: a difference or a counted quantity."
)
class StockAdjustmentInput:
    """One line of `adjustStock`."""

    sku: str = strawberry.field(description="SKU of the product.")
    location_id: strawberry.ID = strawberry.field(
        description="Location inside a warehouse where stock is corrected."
    )
    delta: Decimal | None = strawberry.field(
        default=None, description='Difference to book, such as "-2"; not 0.'
    )
    counted_qty: Decimal | None = strawberry.field(
        default=None, description="Quantity found there; the difference is booked."
    )
    expected_version: str | None = strawberry.field(
        default=None,
        description="Version of the stock level you saw; CONFLICT_VERSION if it changed since.",
    )
    reason: str = strawberry.field(description="Why, for the ledger; 1 to 200 characters.")
    lot_number: str | None = strawberry.field(
        default=None,
        description="Number of the lot, or serial number, of a product that is tracked; one that is"
        " not known yet is made when goods are added.",
    )
    uom: str | None = strawberry.field(default=None, description=UOM)


@strawberry.input(description="Which changes of stock to be told; all conditions must hold.")
class StockChangeFilter:
    """Filter of `stockChanged`."""

    warehouse_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="In these warehouses."
    )
    product_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of these products."
    )
    category_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of products in these categories or below them."
    )
    available_below: Decimal | None = strawberry.field(
        default=None,
        description="While less than this is available, and when availability crosses it.",
    )
    crossing_only: bool | None = strawberry.field(
        default=None,
        description="Only when a threshold is crossed: `availableBelow`, else the reorder point; "
        "zero always is one.",
    )
    min_delta: Decimal | None = strawberry.field(
        default=None,
        description="When availability changed by at least this much, or crossed a threshold.",
    )
