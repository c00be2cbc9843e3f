"""Introduces catalog to the schema."""

from schema.catalog.mutation import Mutation
from schema.catalog.query import Query
from schema.core.module import SchemaModule

MODULE = SchemaModule(name="catalog", query=Query, mutation=Mutation)
