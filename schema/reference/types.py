"""Currency and UnitOfMeasure."""

from decimal import Decimal

from resolvers.reference.loaders import unit_of_measure
from schema.core.fields import ID, RowType, column, node_id
from schema.core.node import Node, node_type, row_type
from schema.core.scalars import CurrencyCode


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
