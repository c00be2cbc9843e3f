"""Currencies, units and taxes as readers know them, and how to get to them."""

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
