"""Root fields of pricing."""

from typing import Annotated, Any

import strawberry

from resolvers.catalog.loaders import product_by_sku
from resolvers.core.context import Context
from resolvers.core.errors import Invalid
from resolvers.core.listing import MAX_PAGE
from resolvers.pricing.loaders import price_by_product
from resolvers.pricing.reads import price_lists
from schema.core.connection import Connection, connection
from schema.core.fields import argument, fetched
from schema.pricing.inputs import (
    PartnerId,
    PriceDate,
    QuoteItemInput,
    check_quantity,
    price_arguments,
)
from schema.pricing.types import PriceList, PriceQuote


@strawberry.type
class Query:
    """Root fields of this module."""

    price_lists: Connection[PriceList] | None = connection(
        "The price lists.", price_lists, requires="prices.read"
    )

    @fetched(
        "Prices for a basket, in its order, each at its own quantity; null for an unknown SKU.",
        requires="prices.read",
        metadata={"assumed_size": 50},
    )
    async def quote_prices(
        context: Context,
        columns: frozenset[str],
        items: Annotated[list[QuoteItemInput], argument("The basket.")],
        partner_id: PartnerId = None,
        on: PriceDate = None,
    ) -> list[PriceQuote | None] | None:
        """Resolve all prices of the basket in two statements."""
        if len(items) > MAX_PAGE:
            raise Invalid(f"items takes at most {MAX_PAGE} lines.", path=("items",))
        for position, item in enumerate(items):
            check_quantity(item.qty, ("items", str(position), "qty"))
        arguments = price_arguments(context, partner_id, on)
        skus = sorted({item.sku for item in items})
        products = await product_by_sku.batch(context.reads, skus, frozenset({"id"}), {})
        ids = {sku: row["id"] for sku, row in zip(skus, products, strict=True) if row is not None}
        asked = [(place, item) for place, item in enumerate(items) if item.sku in ids]
        rows = await price_by_product.rows(
            context.reads,
            [ids[item.sku] for _, item in asked],
            columns,
            {**arguments, "quantities": [item.qty for _, item in asked]},
        )
        quotes: list[Any] = [None] * len(items)
        for (place, _), row in zip(asked, rows, strict=True):
            quotes[place] = row
        return quotes
