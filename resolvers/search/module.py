"""Introduces search to the registry."""

from resolvers.core.module import DataModule
from resolvers.search.tables import SEARCH

MODULE = DataModule(name="search", tables=(), functions=(SEARCH,))
