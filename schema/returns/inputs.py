"""Inputs of returns: filters, orders, what came back."""

from decimal import Decimal

import strawberry

from resolvers.returns.reads import goods_returns
from schema.core.connection import DateRange, order_input
from schema.reference.inputs import UOM
from schema.returns.enums import Disposition


@strawberry.input(description="Which returns to list; all conditions must hold.")
class GoodsReturnFilter:
    """Filter of `goodsReturns`."""

    numbers: list[str] | None = strawberry.field(default=None, description="With these numbers.")
    received_on: DateRange | None = strawberry.field(
        default=None, description="That came in this range of dates."
    )
    partner_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="From these customers."
    )
    warehouse_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="To these warehouses."
    )


GoodsReturnOrderBy = order_input(
    "GoodsReturn", goods_returns, {"RECEIVED_ON": "By the day they came."}
)


@strawberry.input(description="So much of a line of an order that came back.")
class ReturnLineInput:
    """One line of `returnGoods`."""

    sales_order_line_id: strawberry.ID = strawberry.field(description="Line of the order.")
    qty: Decimal = strawberry.field(description="How much of it came back, above 0.")
    disposition: Disposition = strawberry.field(
        default=Disposition.INSPECT, description="What becomes of it."
    )
    lot_number: str | None = strawberry.field(
        default=None,
        description="Number of the lot, or serial number, of a product that is tracked; it must "
        "have left with this line.",
    )
    uom: str | None = strawberry.field(default=None, description=UOM)
