"""Introduces currencies and units to the registry."""

from resolvers.core.module import DataModule
from resolvers.reference.tables import currency, unit_of_measure

MODULE = DataModule(name="reference", tables=(currency, unit_of_measure))
