"""Introduces webhooks to the schema."""

from schema.core.module import SchemaModule
from schema.webhooks.mutation import Mutation
from schema.webhooks.query import Query

MODULE = SchemaModule(name="webhooks", query=Query, mutation=Mutation)
