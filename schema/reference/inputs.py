"""Filters and orders of rates and taxes."""

from typing import Final

import strawberry

from resolvers.reference.reads import currency_rates, taxes
from schema.core.connection import DateRange, order_input
from schema.reference.enums import TaxPosition, TaxUse

UOM: Final = (
    "Code of the unit the quantity is in: a pack of the product, or a unit of its unit's dimension;"
    " null: the product's own. What does not convert exactly is refused."
)
"""Describes the unit of a line that has a quantity."""


@strawberry.input(description="Which exchange rates to list; all conditions must hold.")
class CurrencyRateFilter:
    """Filter of `currencyRates`."""

    base: str | None = strawberry.field(
        default=None, description="Of one unit of this currency (ISO 4217)."
    )
    quote: str | None = strawberry.field(default=None, description="In this currency (ISO 4217).")
    valid_on: DateRange | None = strawberry.field(
        default=None, description="That begin to hold in this range of dates."
    )


@strawberry.input(description="Which taxes to list; all conditions must hold.")
class TaxFilter:
    """Filter of `taxes`."""

    use: TaxUse | None = strawberry.field(default=None, description="On this kind of document.")
    positions: list[TaxPosition] | None = strawberry.field(
        default=None, description="For parties in one of these positions."
    )


CurrencyRateOrderBy = order_input(
    "CurrencyRate", currency_rates, {"VALID_ON": "By the day they begin to hold."}
)
TaxOrderBy = order_input("Tax", taxes, {"CODE": "By code."})
