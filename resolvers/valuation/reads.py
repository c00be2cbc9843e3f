"""Lists of what changed the worth of stock, and what it was worth on a day."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from resolvers.core.context import Context
from resolvers.core.listing import Between, Listing, OneOf
from resolvers.valuation.loaders import stock_valuation, valuation_entry

_entry = valuation_entry.columns

valuation_entries = Listing(
    name="valuationEntries",
    entity=valuation_entry,
    orders={"POSTED_AT": ("posted_at",)},
    default_order="POSTED_AT",
    default_descending=True,
    filters={
        "kinds": OneOf(_entry["kind"]),
        "product_ids": OneOf(_entry["product_id"], "Product"),
        "posted_at": Between(_entry["posted_at"]),
    },
)


async def read_stock_valuation(context: Context, day: date) -> Mapping[str, Any]:
    """Return what the company had at the end of a day, and what that was worth."""
    found = await stock_valuation.rows(
        context.reads, frozenset(stock_valuation.columns), {"day": day}
    )
    rows = [row for row in found if row["warehouse_id"] is not None]
    # of the rows without a warehouse those with a category are between warehouses
    [total] = [row for row in found if row["warehouse_id"] is row["category_id"] is None]
    value = total["value"]
    return {
        "as_of": day,
        "currency": total["currency"],
        "value": value,
        "in_transit": None if value is None else total["in_transit"],
        "rows": rows,
    }
