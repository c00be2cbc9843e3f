"""Introduces the stream of all changes to the schema."""

from schema.changes.subscription import Subscription
from schema.core.module import SchemaModule

MODULE = SchemaModule(name="changes", subscription=Subscription)
