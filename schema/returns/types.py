"""Returns with their lines."""

from datetime import date, datetime
from decimal import Decimal

from resolvers.catalog.loaders import product_by_id
from resolvers.inventory.loaders import warehouse_by_id
from resolvers.returns.loaders import (
    goods_return,
    goods_return_line,
    lines_by_return,
    lots_by_return_line,
    return_by_id,
)
from resolvers.sales.loaders import line_by_id, order_by_id
from schema.catalog.types import Product
from schema.core.fields import ID, RowType, column, node_id, related
from schema.core.node import Node, node_type
from schema.inventory.types import Lot, Warehouse
from schema.returns.enums import Disposition
from schema.sales.types import SalesOrder, SalesOrderLine


@node_type(
    goods_return_line,
    "How much of an order line came back, and what becomes of it.",
    requires="returns.read",
)
class GoodsReturnLine(RowType, Node):
    """A row of `goods_return_line`."""

    id: ID = node_id("GoodsReturnLine")
    seq: int = column("Place in the return, from 1.", of="position")
    product: Product = related("What came back.", product_by_id, "product_id")
    qty: Decimal = column("How much came back.", of="quantity")
    disposition: Disposition = column("What becomes of it.")
    order_line: SalesOrderLine | None = related(
        "Order line it is of.", line_by_id, "order_line_id", requires="sales.read"
    )
    goods_return: "GoodsReturn" = related("Return it is in.", return_by_id, "return_id")
    lots: list[Lot] | None = related(
        "Lots that came back, if the product is tracked.",
        lots_by_return_line,
        "id",
        requires="stock.read",
        size=1,
    )


@node_type(
    goods_return,
    "What came back of an order at once; it never changes.",
    requires="returns.read",
)
class GoodsReturn(RowType, Node):
    """A row of `goods_return`."""

    id: ID = node_id("GoodsReturn")
    number: str = column("Number on paper, unique in the company.")
    order: SalesOrder | None = related(
        "Order it is of.", order_by_id, "order_id", requires="sales.read"
    )
    warehouse: Warehouse = related("Warehouse it came to.", warehouse_by_id, "warehouse_id")
    reason: str = column("Why it came back.")
    received_on: date = column("Date it came.")
    posted_at: datetime = column("When it was posted.")
    posted_by: str = column("Who posted it: user:<number>, client:<number> or a process.")
    lines: list[GoodsReturnLine] = related("Lines, by position.", lines_by_return, "id", size=2)
