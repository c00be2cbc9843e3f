"""Currencies and units as readers know them, and how to get to them."""

from resolvers.core.entity import entity
from resolvers.core.relation import by_key
from resolvers.reference.tables import currency as currency_table
from resolvers.reference.tables import unit_of_measure as unit_table

currency = entity("Currency", currency_table, key="code")
unit_of_measure = entity("UnitOfMeasure", unit_table)

currency_by_code = by_key(currency)
unit_by_id = by_key(unit_of_measure)
