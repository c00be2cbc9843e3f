"""Lists of currencies and their rates, units and taxes."""

from resolvers.core.listing import Between, Equals, Listing, OneOf
from resolvers.reference.loaders import currency, currency_rate, tax, unit_of_measure

_rate = currency_rate.columns
_tax = tax.columns

currencies = Listing(
    name="currencies",
    entity=currency,
    orders={"CODE": ()},
    default_order="CODE",
    where=(currency.columns["archived_at"].is_(None),),
)
currency_rates = Listing(
    name="currencyRates",
    entity=currency_rate,
    orders={"VALID_ON": ("valid_on",)},
    default_order="VALID_ON",
    default_descending=True,
    filters={
        "base": Equals(_rate["base"]),
        "quote": Equals(_rate["quote"]),
        "valid_on": Between(_rate["valid_on"]),
    },
)
units_of_measure = Listing(
    name="unitsOfMeasure",
    entity=unit_of_measure,
    orders={"CODE": ("code",)},
    default_order="CODE",
)
taxes = Listing(
    name="taxes",
    entity=tax,
    orders={"CODE": ("code",)},
    default_order="CODE",
    filters={"use": Equals(_tax["use"]), "positions": OneOf(_tax["position"])},
    where=(_tax["archived_at"].is_(None),),
)
