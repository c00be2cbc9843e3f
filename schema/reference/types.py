"""Currencies and their rates, units, and taxes."""

from datetime import date
from decimal import Decimal

from resolvers.reference.loaders import currency_rate, tax, unit_of_measure
from schema.core.fields import ID, RowType, column, node_id
from schema.core.node import Node, node_type, row_type
from schema.core.scalars import CurrencyCode
from schema.reference.enums import TaxKind, TaxPosition, TaxUse


@row_type("Currency", "A currency.")
class Currency(RowType):
    """A row of `currency`."""

    code: CurrencyCode = column("ISO 4217 code, such as EUR.")
    name: str = column("English name.")
    digits: int = column("Decimals an amount is shown with: 2 for EUR, 0 for JPY.")
    symbol: str | None = column("Symbol, such as €.")


@node_type(unit_of_measure, "A unit in which quantities are counted.", requires=None)
class UnitOfMeasure(RowType, Node):
    """A row of `unit_of_measure`."""

    id: ID = node_id("UnitOfMeasure")
    code: str = column("Short code, such as pcs or kg.")
    name: str = column("Full name, such as kilogram.")
    dimension: str = column("What it measures; units of one dimension convert into each other.")
    factor: Decimal = column("How many reference units of the dimension one of it is.")
    rounding: Decimal = column("Smallest step a quantity in this unit can have.")


@node_type(currency_rate, "What one currency is worth in another from a day on.", requires=None)
class CurrencyRate(RowType, Node):
    """A row of `currency_rate`."""

    id: ID = node_id("CurrencyRate")
    base: CurrencyCode = column("The currency whose worth it is.")
    quote: CurrencyCode = column("The currency it is worth so much in.")
    valid_on: date = column("Day it begins to hold; until there is a later one.")
    rate: Decimal = column("What one unit of base is worth in quote.")
    source: str = column("Where it is from, such as MANUAL.")


@node_type(tax, "What is added to the net amounts of documents.", requires=None)
class Tax(RowType, Node):
    """A row of `tax`."""

    id: ID = node_id("Tax")
    code: str = column("Code, unique in the company.")
    name: str = column("What it is called.")
    use: TaxUse = column("On what kind of document it is.")
    position: TaxPosition = column("Where the other party is when it applies.")
    kind: TaxKind = column("What the rate is of.")
    rate: Decimal = column("Percent, or the amount for each unit.")
    valid_from: date = column("First day it applies.")
    valid_to: date | None = column("Day from which on it applies no more; null if none is known.")
