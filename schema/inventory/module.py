"""Introduces inventory to the schema."""

from schema.core.module import SchemaModule
from schema.inventory import extends
from schema.inventory.mutation import Mutation
from schema.inventory.query import Query
from schema.inventory.subscription import Subscription

MODULE = SchemaModule(
    name="inventory",
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    extensions=extends,
)
