"""Introduces order to cash to the registry."""

from resolvers.core.module import DataModule

MODULE = DataModule(name="order_to_cash", tables=())
