"""Introduces operations to the schema."""

from schema.core.module import SchemaModule
from schema.operations.mutation import Mutation
from schema.operations.query import Query
from schema.operations.subscription import Subscription

MODULE = SchemaModule(name="operations", query=Query, mutation=Mutation, subscription=Subscription)
