"""What pricing adds to lower modules' types."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from resolvers.core.context import Context
from resolvers.pricing.loaders import price_by_product, price_list_by_id
from schema.catalog.types import Product
from schema.core.extend import extend
from schema.core.fields import argument, related, related_with
from schema.core.info import Info
from schema.partners.types import PartnerTerms
from schema.pricing.inputs import PartnerId, PriceDate, check_quantity, price_arguments
from schema.pricing.types import PriceList, PriceQuote

ONE = Decimal(1)


def _bind(context: Context, given: Mapping[str, Any]) -> Mapping[str, Any]:
    asked = given.get("qty")
    quantity = ONE if asked is None else asked
    check_quantity(quantity, ("qty",))
    return {
        **price_arguments(context, given.get("partner_id"), given.get("on")),
        "quantity": quantity,
    }


@extend(Product)
class ProductPrice:
    """Prices of products."""

    @related_with(
        price_by_product,
        "id",
        "Price for a partner, at a quantity (default 1) and on a day (default today). Without a "
        "partner the list price; an API client bound to a partner gets that partner's price.",
        bind=_bind,
        requires="prices.read",
    )
    def price(
        root: Any,
        info: Info,
        partner_id: PartnerId = None,
        qty: Annotated[Decimal | None, argument("Quantity asked for; default 1.")] = None,
        on: PriceDate = None,
    ) -> PriceQuote | None:
        """Describe the arguments."""


@extend(PartnerTerms)
class PartnerTermsPrice:
    """Price lists of partners."""

    price_list: PriceList | None = related(
        "Price list the partner buys from.",
        price_list_by_id,
        "price_list_id",
        requires="prices.read",
    )
