"""Introduces accounting to the schema."""

from schema.accounting import extends
from schema.accounting.query import Query
from schema.core.module import SchemaModule

MODULE = SchemaModule(name="accounting", query=Query, extensions=extends)
