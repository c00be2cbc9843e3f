"""Introduces purchasing to the schema."""

from schema.core.module import SchemaModule
from schema.purchasing import extends
from schema.purchasing.query import Query

MODULE = SchemaModule(name="purchasing", query=Query, extensions=extends)
