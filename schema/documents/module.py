"""Introduces captured documents to the schema."""

from schema.core.module import SchemaModule
from schema.documents.query import Query

MODULE = SchemaModule(name="documents", query=Query)
