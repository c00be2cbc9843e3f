"""Introduces partners to the schema."""

from schema.core.module import SchemaModule
from schema.partners.mutation import Mutation
from schema.partners.query import Query

MODULE = SchemaModule(name="partners", query=Query, mutation=Mutation)
