"""Introduces the stream of all changes to the schema."""

from schema.changes.subscription import Subscription
from schema.changes.types import Change, ChangeGap, ChangeStreamNotice
from schema.core.module import SchemaModule

MODULE = SchemaModule(
    name="changes", subscription=Subscription, types=(Change, ChangeGap, ChangeStreamNotice)
)
