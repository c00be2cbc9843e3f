"""Inputs of pricing: for whom, when and of how much a price is asked."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

import strawberry

from resolvers.core.context import Context
from resolvers.core.errors import Invalid
from schema.core.fields import argument
from schema.core.ids import decode_id

PartnerId = Annotated[strawberry.ID | None, argument("Partner whose price is asked for.")]
PriceDate = Annotated[date | None, argument("Day the price is for; default today, in UTC.")]


@strawberry.input(description="A product and how much of it is wanted.")
class QuoteItemInput:
    """One line of `quotePrices`."""

    sku: str = strawberry.field(description="SKU of the product.")
    qty: Decimal = strawberry.field(description="Quantity; more than 0.")


def priced_for(context: Context, partner_id: str | None) -> int | None:
    """Return whose price is asked for: a bound client's own partner, whatever it asks.

    Raises:
        Invalid: a bound client asked for another partner's price.

    """
    own = context.principal.partner_id
    if partner_id is None:
        return own
    asked = decode_id(partner_id, "Partner", path=("partnerId",))
    if own is not None and asked != own:
        raise Invalid("partnerId is not the partner this key is bound to.", path=("partnerId",))
    return asked


def check_quantity(quantity: Decimal, path: tuple[str, ...]) -> None:
    """Refuse a quantity that nobody can buy.

    Raises:
        Invalid: it is not more than 0.

    """
    if quantity <= 0:
        raise Invalid("qty must be more than 0.", path=path)


def price_arguments(context: Context, partner_id: str | None, on: date | None) -> dict[str, Any]:
    """Return the price relation's arguments but for the quantities."""
    arguments: dict[str, Any] = {"on": on or context.clock().date()}
    partner = priced_for(context, partner_id)
    if partner is not None:
        arguments["partner_id"] = partner
    return arguments
