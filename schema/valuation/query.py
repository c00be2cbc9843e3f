"""Root fields of valuation."""

from datetime import date
from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.valuation.reads import read_stock_valuation, valuation_entries
from schema.core.connection import Connection, connection
from schema.core.fields import argument, fetched
from schema.valuation.inputs import ValuationEntryFilter, ValuationEntryOrderBy
from schema.valuation.types import StockValuation, ValuationEntry


@strawberry.type
class Query:
    """Root fields of this module."""

    valuation_entries: Connection[ValuationEntry] | None = connection(
        "What changed the worth of stock, latest first.",
        valuation_entries,
        filter_input=ValuationEntryFilter,
        order=ValuationEntryOrderBy,
        requires="cost.read",
    )

    @fetched(
        "What the company's stock was worth at the end of a day, at what it cost.",
        requires="cost.read",
    )
    async def stock_valuation(
        context: Context,
        columns: frozenset[str],
        as_of: Annotated[
            date | None, argument("At the end of this day; today if left out.")
        ] = None,
    ) -> StockValuation | None:
        """Work out what stock is worth."""
        del columns
        day = as_of or context.clock().date()
        return await read_stock_valuation(context, day)  # type: ignore[return-value]
