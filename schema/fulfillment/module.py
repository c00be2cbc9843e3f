"""Introduces fulfillment to the schema."""

from schema.core.module import SchemaModule
from schema.fulfillment import extends
from schema.fulfillment.mutation import Mutation
from schema.fulfillment.query import Query
from schema.fulfillment.subscription import Subscription

MODULE = SchemaModule(
    name="fulfillment",
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    extensions=extends,
)
