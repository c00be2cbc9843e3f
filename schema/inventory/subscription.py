"""Subscriptions to stock."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from resolvers.core.broker import PublishedEvent
from resolvers.inventory.events import StockChange as StockChangeEvent
from resolvers.inventory.events import StockInterest, stock_changes
from resolvers.inventory.loaders import level_by_id
from schema.core.fields import argument, column, field, related
from schema.core.ids import decode_ids
from schema.core.info import Info
from schema.core.node import row_type
from schema.core.stream import After, Change, place_after
from schema.inventory.enums import Crossing
from schema.inventory.inputs import StockChangeFilter
from schema.inventory.types import StockLevel


@row_type("StockChange", "A change of one stock level: told once, after it was committed.")
class StockChange(Change):
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
    crossing: Crossing = column("Which threshold availability crossed.")
    previous_available: Decimal = column("What could be promised before.")
    available: Decimal = column("What can be promised after.")
    previous_on_hand: Decimal | None = column("On hand before.", requires="stock.read")
    on_hand: Decimal | None = column("On hand after.", requires="stock.read")
    level: StockLevel = related("The level as it is now.", level_by_id, "level_id")


@strawberry.type
class Subscription:
    """Root fields of this module."""

    @field(
        "Changes of stock, in the order they were published: from now on, or from where you were.",
        requires="availability.read",
        subscription=True,
    )
    async def stock_changed(
        self,
        info: Info,
        filter: Annotated[
            StockChangeFilter | None, argument("Which changes to be told; all without it.")
        ] = None,
        after: After = None,
    ) -> AsyncGenerator[StockChange, None]:
        """Subscribe, then tell each change."""
        interest = _interest(filter or StockChangeFilter())
        place = place_after(info.context, after)
        async with aclosing(stock_changes(info.context, interest, place)) as events:
            async for event in events:
                yield StockChange.of(_row(event, interest))


def _interest(given: StockChangeFilter) -> StockInterest:
    return StockInterest(
        warehouse_ids=_ids(given.warehouse_ids, "Warehouse", "warehouseIds"),
        product_ids=_ids(given.product_ids, "Product", "productIds"),
        available_below=given.available_below,
        crossing_only=bool(given.crossing_only),
        min_delta=given.min_delta,
    )


def _ids(given: list[strawberry.ID] | None, type_name: str, name: str) -> frozenset[int] | None:
    return None if given is None else frozenset(decode_ids(given, type_name, ("filter", name)))


def _row(event: PublishedEvent, interest: StockInterest) -> dict[str, object]:
    change = StockChangeEvent.of(event)
    return {
        "event_id": event.event_id,
        "seq": str(event.seq),
        "at": event.created_at,
        "cause": event.payload["cause"],
        "crossing": change.crossing(interest.available_below),
        "previous_available": change.previous_available,
        "available": change.available,
        "previous_on_hand": change.previous_on_hand,
        "on_hand": change.on_hand,
        "level_id": event.payload["level_id"],
    }
