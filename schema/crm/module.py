"""Introduces opportunities to the schema."""

from schema.core.module import SchemaModule
from schema.crm import extends
from schema.crm.query import Query

MODULE = SchemaModule(name="crm", query=Query, extensions=extends)
