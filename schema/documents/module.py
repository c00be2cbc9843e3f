"""Introduces documents to the schema."""

from schema.core.module import SchemaModule
from schema.documents import extends
from schema.documents.query import Query

MODULE = SchemaModule(name="documents", query=Query, extensions=extends)
