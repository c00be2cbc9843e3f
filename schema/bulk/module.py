"""Introduces upserts to the schema."""

from schema.bulk.mutation import Mutation
from schema.core.module import SchemaModule

MODULE = SchemaModule(name="bulk", mutation=Mutation)
