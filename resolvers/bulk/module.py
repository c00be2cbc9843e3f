"""Introduces upserts to the registry."""

from resolvers.core.module import DataModule

MODULE = DataModule(name="bulk", tables=())
