"""Introduces purchasing to the schema."""

from schema.core.module import SchemaModule
from schema.purchasing import extends
from schema.purchasing.mutation import Mutation
from schema.purchasing.query import Query

MODULE = SchemaModule(name="purchasing", query=Query, mutation=Mutation, extensions=extends)
