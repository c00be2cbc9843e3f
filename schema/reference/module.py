"""Introduces reference to the schema."""

from schema.core.module import SchemaModule
from schema.reference.query import Query

MODULE = SchemaModule(name="reference", query=Query)
