"""Introduces pricing to the schema."""

from schema.core.module import SchemaModule
from schema.pricing import extends
from schema.pricing.query import Query

MODULE = SchemaModule(name="pricing", query=Query, extensions=extends)
