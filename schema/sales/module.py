"""Introduces sales to the schema."""

from schema.core.module import SchemaModule
from schema.sales import extends
from schema.sales.inputs import SCALARS
from schema.sales.mutation import Mutation
from schema.sales.query import Query
from schema.sales.subscription import (
    OrderSnapshot,
    OrderStatusChange,
    OrderStreamNotice,
    Subscription,
)

MODULE = SchemaModule(
    name="sales",
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=(OrderStatusChange, OrderSnapshot, OrderStreamNotice),
    scalars=SCALARS,
    extensions=extends,
)
