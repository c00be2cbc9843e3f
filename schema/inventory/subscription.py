"""Subscriptions to stock."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import strawberry

from resolvers.core.context import Context
from resolvers.core.stream import Told
from resolvers.inventory.events import STOCK_CHANGED, StockInterest, levels_of
from resolvers.inventory.events import StockChange as StockChangeEvent
from resolvers.inventory.loaders import level_by_id
from schema.core.fields import ID, RowType, argument, column, computed, listed, related
from schema.core.ids import decode_ids
from schema.core.node import row_type
from schema.core.stream import SnapshotReason, Stream, StreamNotice, document_id, stream
from schema.inventory.enums import Crossing
from schema.inventory.inputs import StockChangeFilter
from schema.inventory.types import StockLevel


@row_type("StockChange", "A change of one stock level: told once, after it was committed.")
class StockChange(RowType):
    """An event of the topic stock.changed."""

    event_id: strawberry.ID = column("Id of the event, unique for ever.")
    seq: str = column(
        "Place in the log of changes: grows with every change, as a decimal string. Give the last "
        "one back as after, to resume."
    )
    at: datetime = column("When the change was made.")
    cause: str = column(
        "Why: a kind of stock move, such as ADJUSTMENT; EXTERNAL if made outside the gateway."
    )
    document_id: ID | None = computed(
        "Id of the order, shipment or other document that it was done for; null if none is known.",
        lambda row: document_id(row["document"]),
        needs=("document",),
        requires="stock.read",
    )
    crossing: Crossing = column(
        "Which threshold availability crossed: `availableBelow` of the filter, else the reorder "
        "point of the level; zero always is one."
    )
    previous_available: Decimal = column("What could be promised before.")
    available: Decimal = column("What can be promised after.")
    delta: Decimal = column("Difference of what can be promised, after less before.")
    previous_on_hand: Decimal | None = column("On hand before.", requires="stock.read")
    on_hand: Decimal | None = column("On hand after.", requires="stock.read")
    coalesced: int = column(
        "How many changes this one stands for: 1, unless several were told as one."
    )
    level: StockLevel = related("The level as it is now.", level_by_id, "level_id")


@row_type("StockSnapshot", "The state of stock at a place in the log; changes after it follow.")
class StockSnapshot(RowType):
    """What a stream of stock begins with, or goes on from."""

    seq: str = column("Place in the log that the state is of; resume after it.")
    at: datetime = column("When the state was read.")
    reason: SnapshotReason = column("Why you are told the state.")
    levels: list[StockLevel] = listed(
        "The levels that the filter wants changes of, at most 10,000.",
        level_by_id,
        "level_ids",
        size=100,
    )


StockStreamItem = Annotated[
    StockChange | StockSnapshot | StreamNotice,
    strawberry.union("StockStreamItem", description="What `stockChanged` tells."),
]


@strawberry.type
class Subscription:
    """Root fields of this module."""

    @stream(
        "Changes of stock, in the order they were published: from now on, or from where you were, "
        "or after the state as it is.",
        item=StockStreamItem,
        requires="availability.read",
        snapshot=True,
    )
    def stock_changed(
        context: Context,
        filter: Annotated[
            StockChangeFilter | None, argument("Which changes to be told; all without it.")
        ] = None,
    ) -> Stream:
        """Tell each change of the levels wanted."""
        del context
        return Stream(
            topics=(STOCK_CHANGED,),
            interest=_interest(filter or StockChangeFilter()),
            tell=_change,
            snapshot=_snapshot,
            notices=True,
        )


def _interest(given: StockChangeFilter) -> StockInterest:
    return StockInterest(
        warehouse_ids=_ids(given.warehouse_ids, "Warehouse", "warehouseIds"),
        product_ids=_ids(given.product_ids, "Product", "productIds"),
        category_ids=_ids(given.category_ids, "ProductCategory", "categoryIds"),
        available_below=given.available_below,
        crossing_only=bool(given.crossing_only),
        min_delta=given.min_delta,
    )


def _ids(given: list[strawberry.ID] | None, type_name: str, name: str) -> frozenset[int] | None:
    return None if given is None else frozenset(decode_ids(given, type_name, ("filter", name)))


def _change(told: Told, interest: StockInterest) -> RowType:
    change, event = StockChangeEvent.of(told), told.last
    row = {
        "event_id": event.event_id,
        "seq": str(event.seq),
        "at": event.created_at,
        "cause": event.payload["cause"],
        "document": event.payload["document"],
        "crossing": change.crossing(interest.available_below),
        "previous_available": change.previous_available,
        "available": change.available,
        "delta": change.available - change.previous_available,
        "previous_on_hand": change.previous_on_hand,
        "on_hand": change.on_hand,
        "coalesced": told.number,
        "level_id": event.payload["level_id"],
    }
    wrapped: RowType = StockChange.of(row)
    return wrapped


async def _snapshot(
    interest: StockInterest, place: str, reason: SnapshotReason, context: Context
) -> Any:
    return StockSnapshot.of(
        {
            "seq": place,
            "at": context.clock(),
            "reason": reason,
            "level_ids": await levels_of(context.reads, interest),
        }
    )
