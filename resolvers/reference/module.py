"""Introduces currencies, units and taxes to the registry."""

from resolvers.core.module import DataModule
from resolvers.reference.tables import currency, currency_rate, tax, unit_of_measure

MODULE = DataModule(name="reference", tables=(currency, currency_rate, unit_of_measure, tax))
