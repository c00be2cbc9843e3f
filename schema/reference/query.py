"""Root fields of currencies, units and taxes."""

import strawberry

from resolvers.reference.reads import currencies, currency_rates, taxes, units_of_measure
from schema.core.connection import Connection, connection
from schema.reference.inputs import (
    CurrencyRateFilter,
    CurrencyRateOrderBy,
    TaxFilter,
    TaxOrderBy,
)
from schema.reference.types import Currency, CurrencyRate, Tax, UnitOfMeasure


@strawberry.type
class Query:
    """Root fields of this module."""

    currencies: Connection[Currency] = connection("The currencies in use, by code.", currencies)
    currency_rates: Connection[CurrencyRate] = connection(
        "Exchange rates, the latest first: the first one of two currencies that begins to hold on "
        "a day or before it holds on that day.",
        currency_rates,
        filter_input=CurrencyRateFilter,
        order=CurrencyRateOrderBy,
    )
    units_of_measure: Connection[UnitOfMeasure] = connection(
        "The units of measure, by code.", units_of_measure
    )
    taxes: Connection[Tax] = connection(
        "The company's taxes, by code.", taxes, filter_input=TaxFilter, order=TaxOrderBy
    )
