"""Introduces integrations to the schema."""

from schema.core.module import SchemaModule
from schema.integrations.query import Query

MODULE = SchemaModule(name="integrations", query=Query)
