"""Introduces the stream of all changes to the registry."""

from resolvers.core.module import DataModule

MODULE = DataModule(name="changes", tables=())
