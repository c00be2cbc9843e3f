"""Introduces returns to the schema."""

from schema.core.module import SchemaModule
from schema.returns import extends
from schema.returns.mutation import Mutation
from schema.returns.query import Query

MODULE = SchemaModule(name="returns", query=Query, mutation=Mutation, extensions=extends)
