"""Introduces sales to the schema."""

from schema.core.module import SchemaModule
from schema.sales import extends
from schema.sales.query import Query

MODULE = SchemaModule(name="sales", query=Query, extensions=extends)
