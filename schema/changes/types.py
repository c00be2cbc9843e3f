"""A change of whatever it is."""

import json
from datetime import datetime

import strawberry

from schema.changes.enums import ChangeTopic
from schema.core.fields import ID, RowType, column, computed, held
from schema.core.ids import encode_id
from schema.core.kinds import related_any
from schema.core.node import Node, row_type
from schema.core.stream import document_id


@row_type("ChangeValue", "One value that a change tells.")
class ChangeValue(RowType):
    """One entry of an event's payload."""

    name: str = column("What the value is, such as on_hand or previous_state.")
    value: str | None = column("The value: a text as it is, anything else as JSON, null if null.")


@row_type("Change", "A change of something: told once, after it was committed.")
class Change(RowType):
    """An event of the log."""

    event_id: strawberry.ID = column("Id of the event, unique for ever.")
    seq: str = column(
        "Place in the log of changes: grows with every change, as a decimal string. Give the last "
        "one back as after, to resume."
    )
    at: datetime = column("When the change was made.")
    topic: ChangeTopic = column("What it is of.")
    entity: str = column("Type of the object that changed.")
    entity_id: ID = computed(
        "Id of the object that changed.",
        lambda row: encode_id(row["entity"], row["key"]),
        needs=("entity", "key"),
    )
    cause: str | None = column(
        "Why, such as SHIPMENT; EXTERNAL if made outside the gateway, null where nobody says."
    )
    document_id: ID | None = computed(
        "Id of the order, shipment or other document that it was done for; null if none is known.",
        lambda row: document_id(row["document"]),
        needs=("document",),
    )
    coalesced: int = column(
        "How many changes this one stands for: 1, unless several were told as one."
    )
    payload: list[ChangeValue] = held(
        "What was before and what is after, by the names the log has, in the order of these.",
        "payload",
        size=16,
    )
    node: Node | None = related_any(
        "The object as it is now; null where it is not yours to see.", "kind", "key"
    )


def text_of(value: object) -> str | None:
    """Write a JSON value as it is told: texts without quotes."""
    return value if value is None or isinstance(value, str) else json.dumps(value)
