"""Introduces order to cash to the schema."""

from schema.core.module import SchemaModule
from schema.order_to_cash.mutation import Mutation

MODULE = SchemaModule(name="order_to_cash", mutation=Mutation)
