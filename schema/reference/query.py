"""Root fields of currencies and units."""

import strawberry

from resolvers.reference.reads import currencies, units_of_measure
from schema.core.connection import Connection, connection
from schema.reference.types import Currency, UnitOfMeasure


@strawberry.type
class Query:
    """Root fields of this module."""

    currencies: Connection[Currency] = connection("The currencies in use, by code.", currencies)
    units_of_measure: Connection[UnitOfMeasure] = connection(
        "The units of measure, by code.", units_of_measure
    )
