"""What returns add to lower modules' types."""

from resolvers.returns.loaders import return_line_by_id, returns_by_order
from schema.core.extend import extend
from schema.core.fields import related
from schema.inventory.types import StockMove
from schema.returns.types import GoodsReturn, GoodsReturnLine
from schema.sales.types import SalesOrder


@extend(SalesOrder)
class SalesOrderReturns:
    """Returns of sales orders."""

    returns: list[GoodsReturn] | None = related(
        "What came back of it, in the order it came.",
        returns_by_order,
        "id",
        requires="returns.read",
        size=1,
    )


@extend(StockMove)
class MoveReturns:
    """Returns that stock moves were made for."""

    return_line: GoodsReturnLine | None = related(
        "Line of the return that made it; null where something else did.",
        return_line_by_id,
        "return_line_id",
        requires="returns.read",
    )
