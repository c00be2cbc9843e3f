"""Subscriptions to stock."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import strawberry

from resolvers.catalog.loaders import category_by_id, product_by_id
from resolvers.core.aggregation import MAX_GROUPS
from resolvers.core.broker import PublishedEvent
from resolvers.core.context import Context
from resolvers.core.errors import Invalid
from resolvers.core.stream import Told
from resolvers.inventory.events import (
    STOCK_CHANGED,
    StockInterest,
    SummaryInterest,
    is_stock_as_before,
    levels_of,
)
from resolvers.inventory.events import StockChange as StockChangeEvent
from resolvers.inventory.loaders import level_by_id, warehouse_by_id
from resolvers.inventory.reads import sums_of
from schema.catalog.types import Product, ProductCategory
from schema.core.aggregates import NOT_GROUPED
from schema.core.fields import ID, RowType, argument, column, computed, held, listed, related
from schema.core.ids import wanted_keys
from schema.core.node import row_type
from schema.core.stream import SnapshotReason, Stream, StreamNotice, document_id, stream
from schema.inventory.enums import Crossing, StockGroup
from schema.inventory.inputs import StockChangeFilter
from schema.inventory.types import StockLevel, Warehouse


@row_type("StockChange", "A change of one stock level: told once, after it was committed.")
class StockChange(RowType):
    """An event of the topic stock.changed."""

    event_id: strawberry.ID = column("Id of the event, unique for ever.")
    seq: str = column(
        "Place in the log of changes: grows with every change, as a decimal string. What to resume "
        "after is the seq of the extensions."
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

    seq: str = column(
        "Place in the log that the state is of. What to resume after is the seq of the extensions."
    )
    at: datetime = column("When the state was read.")
    reason: SnapshotReason = column("Why you are told the state.")
    levels: list[StockLevel] = listed(
        "The levels that the filter wants changes of, at most 10,000.",
        level_by_id,
        "level_ids",
        size=1_000,
    )


StockStreamItem = Annotated[
    StockChange | StockSnapshot | StreamNotice,
    strawberry.union("StockStreamItem", description="What `stockChanged` tells."),
]


@row_type("StockSummaryGroup", "Stock levels with the same keys, added up.")
class StockSummaryGroup(RowType):
    """A group of levels."""

    warehouse: Warehouse | None = related(
        f"Warehouse; {NOT_GROUPED}.", warehouse_by_id, "warehouse_id"
    )
    product: Product | None = related(f"Product; {NOT_GROUPED}.", product_by_id, "product_id")
    category: ProductCategory | None = related(
        f"Category of the products; {NOT_GROUPED}.", category_by_id, "category_id"
    )
    count: int = column("How many levels are in the group.")
    on_hand: Decimal | None = column(
        "Physically there and sellable; null without levels.",
        of="sum_on_hand",
        requires="stock.read",
    )
    reserved: Decimal | None = column(
        "Promised to orders; null without levels.", of="sum_reserved", requires="stock.read"
    )
    available: Decimal | None = column(
        "What can be promised; null without levels.", of="sum_available"
    )


@row_type("StockSummary", "What stock levels add up to.")
class StockSummary(RowType):
    """What `sums_of` returns."""

    groups: list[StockSummaryGroup] = held(
        "The groups, by their keys; without `groupBy` there is one.", "groups", size=100
    )


_MOST_PER_SECOND: Final = 10


@strawberry.type
class Subscription:
    """Root fields of this module."""

    @stream(
        "What stock adds up to, at first, then whenever that is something else; worked out when "
        "stock changed that it is of, and at no other time.",
        item=StockSummary,
        requires="availability.read",
        coalesces=False,
        resumes=False,
    )
    def stock_summary_changed(
        context: Context,
        *,
        group_by: Annotated[
            list[StockGroup], argument("Keys: levels with the same values of all make a group.")
        ] = (),  # type: ignore[assignment]
        warehouse_ids: Annotated[
            list[strawberry.ID] | None, argument("In these warehouses; in all without it.")
        ] = None,
        product_ids: Annotated[
            list[strawberry.ID] | None, argument("Of these products; of all without it.")
        ] = None,
        category_ids: Annotated[
            list[strawberry.ID] | None,
            argument("Of products in these categories or below them; of all without it."),
        ] = None,
        first: Annotated[int, argument("At most so many groups, up to 1,000.")] = 100,
        max_per_second: Annotated[
            int, argument(f"Tell it at most so often, 1 to {_MOST_PER_SECOND} times a second.")
        ] = 1,
    ) -> Stream:
        """Tell the summary whenever it is another."""
        del context
        if not 1 <= max_per_second <= _MOST_PER_SECOND:
            message = f"maxPerSecond must be between 1 and {_MOST_PER_SECOND}."
            raise Invalid(message, path=("maxPerSecond",))
        if not 1 <= first <= MAX_GROUPS:
            raise Invalid(f"first must be between 1 and {MAX_GROUPS}.", path=("first",))
        return Stream(
            topics=(STOCK_CHANGED,),
            interest=SummaryInterest(
                warehouse_ids=wanted_keys(warehouse_ids, "Warehouse", "warehouseIds"),
                product_ids=wanted_keys(product_ids, "Product", "productIds"),
                category_ids=wanted_keys(category_ids, "ProductCategory", "categoryIds"),
                groups=tuple(dict.fromkeys(group_by)),
                first=first,
            ),
            tell=_summary,
            key=_all_as_one,
            snapshot=_summary_at_first,
            begins=True,
            coalesce_seconds=1 / max_per_second,
            distinct=True,
        )

    @stream(
        "Changes of stock, in the order they were published: from now on, or from where you were, "
        "or after the state as it is.",
        item=StockStreamItem,
        requires="availability.read",
        snapshot=True,
        notices=True,
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
            is_undone=is_stock_as_before,
            snapshot=_snapshot,
            notice=StreamNotice.of,
        )


def _interest(given: StockChangeFilter) -> StockInterest:
    return StockInterest(
        warehouse_ids=wanted_keys(given.warehouse_ids, "Warehouse", "filter", "warehouseIds"),
        product_ids=wanted_keys(given.product_ids, "Product", "filter", "productIds"),
        category_ids=wanted_keys(given.category_ids, "ProductCategory", "filter", "categoryIds"),
        available_below=given.available_below,
        crossing_only=bool(given.crossing_only),
        min_delta=given.min_delta,
    )


def _all_as_one(event: PublishedEvent) -> None:
    """Say that whatever changes, it is the one summary that does."""
    del event


def _summary(told: Told, interest: SummaryInterest) -> RowType:
    del told
    wrapped: RowType = StockSummary.to_read(_groups, interest)
    return wrapped


async def _groups(context: Context, interest: SummaryInterest) -> dict[str, Any]:
    return {"groups": list(await sums_of(context.reads, interest))}


async def _summary_at_first(
    interest: SummaryInterest, place: str, reason: SnapshotReason, context: Context
) -> Any:
    del place, reason
    return StockSummary.of(await _groups(context, interest))


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
