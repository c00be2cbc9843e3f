"""Currencies and units as readers know them, and how to get to them."""

from resolvers.core.entity import entity
from resolvers.core.kept import kept
from resolvers.reference.tables import currency as currency_table
from resolvers.reference.tables import unit_of_measure as unit_table

currency = entity("Currency", currency_table, key="code")
unit_of_measure = entity("UnitOfMeasure", unit_table)

currency_by_code = kept(currency)
unit_by_id = kept(unit_of_measure)
