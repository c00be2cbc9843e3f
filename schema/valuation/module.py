"""Introduces valuation to the schema."""

from schema.core.module import SchemaModule
from schema.valuation import extends
from schema.valuation.query import Query

MODULE = SchemaModule(name="valuation", query=Query, extensions=extends)
