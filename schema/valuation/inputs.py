"""Filters and orders of valuation."""

import strawberry

from resolvers.valuation.reads import valuation_entries
from schema.core.connection import DateTimeRange, order_input
from schema.valuation.enums import ValuationKind


@strawberry.input(description="Which entries of the value of stock to list; all must hold.")
class ValuationEntryFilter:
    """Filter of `valuationEntries`."""

    kinds: list[ValuationKind] | None = strawberry.field(
        default=None, description="Of these kinds."
    )
    product_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of these products."
    )
    posted_at: DateTimeRange | None = strawberry.field(
        default=None, description="Posted in this range."
    )


ValuationEntryOrderBy = order_input(
    "ValuationEntry", valuation_entries, {"POSTED_AT": "By when they were posted."}
)
