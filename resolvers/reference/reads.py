"""Lists of currencies and units."""

from resolvers.core.listing import Listing
from resolvers.reference.loaders import currency, unit_of_measure

currencies = Listing(
    name="currencies",
    entity=currency,
    orders={"CODE": ()},
    default_order="CODE",
    where=(currency.columns["archived_at"].is_(None),),
)
units_of_measure = Listing(
    name="unitsOfMeasure",
    entity=unit_of_measure,
    orders={"CODE": ("code",)},
    default_order="CODE",
)
