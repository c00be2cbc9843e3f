"""Root fields of transfers and counts."""

from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.core.errors import Invalid
from resolvers.warehousing.loaders import (
    count_by_id,
    count_by_number,
    transfer_by_id,
    transfer_by_number,
)
from resolvers.warehousing.reads import stock_counts, stock_transfers
from schema.core.connection import Connection, connection
from schema.core.fields import argument, fetched, find
from schema.core.ids import decode_id
from schema.warehousing.inputs import (
    StockCountFilter,
    StockCountOrderBy,
    StockTransferFilter,
    StockTransferOrderBy,
)
from schema.warehousing.types import StockCount, StockTransfer


@strawberry.type
class Query:
    """Root fields of this module."""

    @fetched("One transfer, by its id or its number.", requires="stock.read")
    async def stock_transfer(
        context: Context,
        columns: frozenset[str],
        id: Annotated[strawberry.ID | None, argument("Id of the transfer.")] = None,
        number: Annotated[str | None, argument("Number of the transfer in the company.")] = None,
    ) -> StockTransfer | None:
        """Load a transfer by whichever key was given."""
        if (id is None) == (number is None):
            raise Invalid("Give either id or number.", path=("id",))
        if id is not None:
            return await find(context, transfer_by_id, decode_id(id, "StockTransfer"), columns)
        return await find(context, transfer_by_number, number, columns)

    stock_transfers: Connection[StockTransfer] | None = connection(
        "The transfers between warehouses, those sent last first.",
        stock_transfers,
        filter_input=StockTransferFilter,
        order=StockTransferOrderBy,
        requires="stock.read",
    )

    @fetched("One count, by its id or its number.", requires="stock.read")
    async def stock_count(
        context: Context,
        columns: frozenset[str],
        id: Annotated[strawberry.ID | None, argument("Id of the count.")] = None,
        number: Annotated[str | None, argument("Number of the count in the company.")] = None,
    ) -> StockCount | None:
        """Load a count by whichever key was given."""
        if (id is None) == (number is None):
            raise Invalid("Give either id or number.", path=("id",))
        if id is not None:
            return await find(context, count_by_id, decode_id(id, "StockCount"), columns)
        return await find(context, count_by_number, number, columns)

    stock_counts: Connection[StockCount] | None = connection(
        "The counts, those begun last first.",
        stock_counts,
        filter_input=StockCountFilter,
        order=StockCountOrderBy,
        requires="stock.read",
    )
