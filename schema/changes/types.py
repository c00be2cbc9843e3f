"""A change of whatever it is, and what its stream tells besides."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import strawberry

from resolvers.fulfillment.reads import shipments
from resolvers.inventory.reads import stock_levels
from resolvers.operations.reads import jobs
from resolvers.sales.reads import sales_orders
from schema.changes.enums import ChangeTopic
from schema.core.connection import Connection, connection
from schema.core.fields import ID, RowType, column, computed, held
from schema.core.ids import encode_id
from schema.core.kinds import related_any
from schema.core.node import Node, row_type
from schema.core.stream import StreamNotice, document_id
from schema.fulfillment.inputs import ShipmentFilter, ShipmentOrderBy
from schema.fulfillment.types import Shipment
from schema.inventory.aggregates import StockLevelConnection
from schema.inventory.inputs import StockLevelFilter, StockLevelOrderBy
from schema.operations.inputs import JobFilter
from schema.operations.types import Job
from schema.sales.aggregates import SalesOrderConnection
from schema.sales.inputs import SalesOrderFilter, SalesOrderOrderBy


@row_type("ChangeValue", "One value that a change tells.")
class ChangeValue(RowType):
    """One entry of an event's payload."""

    name: str = column("What the value is, such as on_hand or previous_state.")
    value: str | None = column("The value: a text as it is, anything else as JSON, null if null.")


def _entity_id(row: Mapping[str, Any]) -> str | None:
    return None if row["entity"] is None else encode_id(row["entity"], row["key"])


@strawberry.interface(
    name="ChangeStreamItem",
    description="What `changes` tells: a change, or the state in place of changes, or a notice.",
)
class ChangeStreamItem(RowType):
    """What all items have; null in those that have no such thing."""

    event_id: strawberry.ID | None = column(
        "Id of the event, unique for ever; null for what is no event."
    )
    seq: str = column(
        "Place in the log of changes: grows with every change, as a decimal string. What to resume "
        "after is the seq of the extensions."
    )
    at: datetime | None = column("When the change was made, or the state read.")
    topic: ChangeTopic | None = column("What it is of; null for what is no change.")
    entity: str | None = column("Type of the object that changed; null for what is no change.")
    entity_id: ID | None = computed(
        "Id of the object that changed; null for what is no change.",
        _entity_id,
        needs=("entity", "key"),
    )
    cause: str | None = column(
        "Why, such as SHIPMENT; EXTERNAL if made outside the gateway, null where nobody says."
    )
    reason: str | None = column(
        "Why you are told what is no change: STARTED or TOO_OLD of a state in place of changes, "
        "DROPPED or CAUGHT_UP of a notice. Null for a change."
    )
    document_id: ID | None = computed(
        "Id of the order, shipment or other document that it was done for; null if none is known.",
        lambda row: document_id(row["document"]),
        needs=("document",),
    )
    coalesced: int = column(
        "How many changes this one stands for: 1, unless several were told as one; 0 for what is "
        "no change."
    )
    payload: list[ChangeValue] = held(
        "What was before and what is after, by the names the log has, in the order of these; "
        "nothing for what is no change.",
        "payload",
        size=16,
    )
    node: Node | None = related_any(
        "The object as it is now; null where it is not yours to see.", "kind", "key"
    )


NOTHING: Final[Mapping[str, Any]] = {
    **dict.fromkeys(
        ("event_id", "at", "topic", "entity", "kind", "key", "cause", "reason", "document")
    ),
    "coalesced": 0,
    "payload": [],
}
"""What the row of an item has that is no change."""


@row_type("Change", "A change of something: told once, after it was committed.")
class Change(ChangeStreamItem):
    """An event of the log."""

    event_id: strawberry.ID = column("Id of the event, unique for ever.")
    at: datetime = column("When the change was made.")
    topic: ChangeTopic = column("What it is of.")
    entity: str = column("Type of the object that changed.")
    entity_id: ID = computed("Id of the object that changed.", _entity_id, needs=("entity", "key"))


@row_type(
    "ChangeGap",
    "In place of changes that you are not told, all of the topics up to its seq: the state that "
    "you select, of one moment, which shows all of them. Replace what you have, then apply what is "
    "told after it.",
)
class ChangeGap(ChangeStreamItem):
    """What the stream of all changes begins with, or tells in place of those that are gone."""

    at: datetime = column("When the state was read.")
    reason: str = column(
        "Why you are told it: STARTED, you asked to begin with the state; TOO_OLD, changes after "
        "your cursor are not kept any more."
    )
    topics: list[ChangeTopic] = column("What they may have been of: the topics you asked for.")
    kept_after: str = column(
        "The log is kept after this place. To be told what there still is before seq, too, "
        "subscribe after it; what is up to it is gone."
    )
    stock_levels: StockLevelConnection | None = connection(
        "The stock at that moment, as the root field of this name lists it.",
        stock_levels,
        filter_input=StockLevelFilter,
        order=StockLevelOrderBy,
        requires="availability.read",
    )
    sales_orders: SalesOrderConnection | None = connection(
        "The sales orders at that moment, as the root field of this name lists them.",
        sales_orders,
        filter_input=SalesOrderFilter,
        order=SalesOrderOrderBy,
        requires="sales.read",
    )
    shipments: Connection[Shipment] | None = connection(
        "The shipments at that moment, as the root field of this name lists them.",
        shipments,
        filter_input=ShipmentFilter,
        order=ShipmentOrderBy,
        requires="shipments.read",
    )
    jobs: Connection[Job] | None = connection(
        "The jobs at that moment, as the root field of this name lists them.",
        jobs,
        filter_input=JobFilter,
        requires="operations.read",
    )


@row_type("ChangeStreamNotice", "Something about the stream of all changes itself, in its order.")
class ChangeStreamNotice(ChangeStreamItem, StreamNotice):
    """What a subscriber is told in place of changes that it missed."""


def text_of(value: object) -> str | None:
    """Write a JSON value as it is told: texts without quotes."""
    return value if value is None or isinstance(value, str) else json.dumps(value)
