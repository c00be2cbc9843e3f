"""Introduces search to the schema."""

from schema.core.module import SchemaModule
from schema.search.query import Query

MODULE = SchemaModule(name="search", query=Query)
