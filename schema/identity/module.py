"""Introduces identity to the schema."""

from schema.core.module import SchemaModule
from schema.identity.query import Query

MODULE = SchemaModule(name="identity", query=Query)
