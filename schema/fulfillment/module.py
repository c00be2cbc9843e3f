"""Introduces fulfillment to the schema."""

from schema.core.module import SchemaModule
from schema.fulfillment import extends
from schema.fulfillment.mutation import Mutation
from schema.fulfillment.query import Query

MODULE = SchemaModule(name="fulfillment", query=Query, mutation=Mutation, extensions=extends)
