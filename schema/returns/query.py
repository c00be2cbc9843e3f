"""Root fields of returns."""

import strawberry

from resolvers.returns.reads import goods_returns
from schema.core.connection import Connection, connection
from schema.returns.inputs import GoodsReturnFilter, GoodsReturnOrderBy
from schema.returns.types import GoodsReturn


@strawberry.type
class Query:
    """Root fields of this module."""

    goods_returns: Connection[GoodsReturn] | None = connection(
        "What customers sent back, the latest first.",
        goods_returns,
        filter_input=GoodsReturnFilter,
        order=GoodsReturnOrderBy,
        requires="returns.read",
    )
