"""Currencies, units and taxes as readers know them, and how to get to them."""

from typing import Any

from sqlalchemy import ColumnElement, Table, func, select

from resolvers.core.entity import entity
from resolvers.core.kept import kept
from resolvers.reference.tables import currency as currency_table
from resolvers.reference.tables import currency_rate as rate_table
from resolvers.reference.tables import tax as tax_table
from resolvers.reference.tables import unit_of_measure as unit_table

currency = entity("Currency", currency_table, key="code")
currency_rate = entity("CurrencyRate", rate_table)
unit_of_measure = entity("UnitOfMeasure", unit_table)
tax = entity("Tax", tax_table)

currency_by_code = kept(currency)
unit_by_id = kept(unit_of_measure)
tax_by_id = kept(tax)


def qty_entered(lines: Table) -> ColumnElement[Any]:
    """Return the quantity that was entered on lines: theirs where no other unit was named."""
    return func.coalesce(lines.c.entered_quantity, lines.c.quantity)


def uom_entered(lines: Table) -> ColumnElement[Any]:
    """Return the code of the unit it was entered in: theirs where no other one was named."""
    unit = unit_table.alias()
    own = select(unit.c.code).where(unit.c.id == lines.c.uom_id).scalar_subquery()
    return func.coalesce(lines.c.entered_uom, own)
