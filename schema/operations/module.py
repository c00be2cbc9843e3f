"""Introduces operations to the schema."""

from schema.core.module import SchemaModule
from schema.operations.query import Query

MODULE = SchemaModule(name="operations", query=Query)
