"""Introduces transfers and counts to the schema."""

from schema.core.module import SchemaModule
from schema.warehousing import extends
from schema.warehousing.mutation import Mutation
from schema.warehousing.query import Query

MODULE = SchemaModule(name="warehousing", query=Query, mutation=Mutation, extensions=extends)
