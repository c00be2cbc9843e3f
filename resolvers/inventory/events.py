"""What stock publishes: a change of a level, and which subscribers want it."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import ARRAY, BigInteger, Numeric, any_, bindparam, exists, select

from resolvers.catalog.loaders import category, product
from resolvers.core.broker import PublishedEvent
from resolvers.core.context import Reads
from resolvers.core.errors import LimitExceeded
from resolvers.core.statement import Statement, compile_statement, unseen
from resolvers.core.stream import Told
from resolvers.inventory.rules import Crossing, StockGroup, crossing
from resolvers.inventory.tables import stock_level

STOCK_CHANGED = "stock.changed"
"""Topic of the events that the triggers on `stock_level` write."""

MOST_LEVELS: Final = 10_000
"""Most levels that a state shows."""


@dataclass(frozen=True, slots=True)
class StockChange:
    """A change of one stock level, or several told as one: from before the first to the last."""

    on_hand: Decimal
    reserved: Decimal
    previous_on_hand: Decimal
    previous_reserved: Decimal
    reorder_point: Decimal | None
    """What availability should not fall below, as it was known when the last was written."""

    @classmethod
    def of(cls, told: Told) -> "StockChange":
        """Read events of the topic `STOCK_CHANGED`."""
        before, after = told.first.payload, told.last.payload
        point = after.get("reorder_point")
        return cls(
            Decimal(after["on_hand"]),
            Decimal(after["reserved"]),
            Decimal(before["previous_on_hand"]),
            Decimal(before["previous_reserved"]),
            None if point is None else Decimal(point),
        )

    @property
    def available(self) -> Decimal:
        """What can be promised after the change."""
        return self.on_hand - self.reserved

    @property
    def previous_available(self) -> Decimal:
        """What could be promised before the change."""
        return self.previous_on_hand - self.previous_reserved

    def crossing(self, threshold: Decimal | None) -> Crossing:
        """Return which threshold the change crossed, the reorder point if none is given."""
        given = self.reorder_point if threshold is None else threshold
        return crossing(self.previous_available, self.available, given)


def is_stock_as_before(told: Told) -> bool:
    """Tell whether after several changes a level has what it had before them."""
    change = StockChange.of(told)
    return (
        told.number > 1
        and change.on_hand == change.previous_on_hand
        and change.reserved == change.previous_reserved
    )


@dataclass(frozen=True, slots=True)
class StockInterest:
    """Which changes a subscriber wants; all conditions must hold, None is no condition."""

    warehouse_ids: frozenset[int] | None = None
    product_ids: frozenset[int] | None = None
    category_ids: frozenset[int] | None = None
    available_below: Decimal | None = None
    crossing_only: bool = False
    min_delta: Decimal | None = None

    @property
    def index(self) -> tuple[str, frozenset[Any]] | None:
        """Return the narrowest field that decides."""
        if self.product_ids is not None:
            return "product_id", self.product_ids
        if self.category_ids is not None:
            return "category_ids", self.category_ids
        return None if self.warehouse_ids is None else ("warehouse_id", self.warehouse_ids)

    def accepts(self, event: PublishedEvent) -> bool:
        """Tell whether the subscriber wants ``event``."""
        told = event.payload
        if self.warehouse_ids is not None and told["warehouse_id"] not in self.warehouse_ids:
            return False
        if self.product_ids is not None and told["product_id"] not in self.product_ids:
            return False
        # its own and all above it; none where the event was written before they were
        categories = told.get("category_ids") or ()
        if self.category_ids is not None and self.category_ids.isdisjoint(categories):
            return False
        if self.available_below is None and self.min_delta is None and not self.crossing_only:
            return True
        return self._wants(StockChange.of(Told.one(event)))

    def _wants(self, change: StockChange) -> bool:
        crossed = change.crossing(self.available_below) is not Crossing.NONE
        if self.crossing_only and not crossed:
            return False
        below = self.available_below
        if below is not None and not crossed and change.available >= below:
            return False
        delta = abs(change.available - change.previous_available)
        return self.min_delta is None or crossed or delta >= self.min_delta


@dataclass(frozen=True, slots=True)
class SummaryInterest:
    """Which levels a summary adds up, in which groups, and so which changes make it another."""

    warehouse_ids: frozenset[int] | None
    product_ids: frozenset[int] | None
    category_ids: frozenset[int] | None
    groups: tuple[StockGroup, ...]
    first: int

    @property
    def changes(self) -> StockInterest:
        """Return which changes are of a level that is added up."""
        return StockInterest(self.warehouse_ids, self.product_ids, self.category_ids)

    @property
    def index(self) -> tuple[str, frozenset[Any]] | None:
        """Return the narrowest field that decides."""
        return self.changes.index

    def accepts(self, event: PublishedEvent) -> bool:
        """Tell whether ``event`` is of a level that is added up."""
        return self.changes.accepts(event)


_categories = category.table
_category = _categories.alias()
_BELOW = select(_categories.c.id).where(
    exists().where(
        _category.c.id == any_(unseen("category_ids", ARRAY(BigInteger))),
        _categories.c.path.startswith(_category.c.path),
    )
)
OF_CATEGORIES: Final = stock_level.c.product_id.in_(
    select(product.columns["id"]).where(product.columns["category_id"].in_(_BELOW))
)
"""Condition of the levels whose products are in the categories ``category_ids``, or below them."""
_STATEMENTS: dict[frozenset[str], Statement] = {}


def _levels(given: frozenset[str]) -> Statement:
    """Return the statement that finds the levels of an interest, by which conditions it has."""
    found = _STATEMENTS.get(given)
    if found is None:
        level = stock_level.c
        conditions = {
            "warehouse_ids": level.warehouse_id == any_(unseen("warehouse_ids", ARRAY(BigInteger))),
            "product_ids": level.product_id == any_(unseen("product_ids", ARRAY(BigInteger))),
            "category_ids": OF_CATEGORIES,
            "below": level.on_hand - level.reserved < bindparam("below", type_=Numeric),
        }
        chosen = [condition for name, condition in conditions.items() if name in given]
        wanted = select(level.id).where(*chosen).order_by(level.id).limit(MOST_LEVELS + 1)
        found = _STATEMENTS[given] = compile_statement(wanted, "levels of a stream")
    return found


async def levels_of(reads: Reads, interest: StockInterest) -> Sequence[int]:
    """Return the ids of the levels that the changes ``interest`` wants are of.

    Raises:
        LimitExceeded: there are more than `MOST_LEVELS`.

    """
    given: dict[str, Any] = {}
    if interest.warehouse_ids is not None:
        given["warehouse_ids"] = sorted(interest.warehouse_ids)
    if interest.product_ids is not None:
        given["product_ids"] = sorted(interest.product_ids)
    if interest.category_ids is not None:
        given["category_ids"] = sorted(interest.category_ids)
    if interest.available_below is not None:
        given["below"] = interest.available_below
    rows = await reads.fetch(_levels(frozenset(given)), given)
    if len(rows) > MOST_LEVELS:
        raise LimitExceeded(
            f"The state would be more than {MOST_LEVELS:,} levels; narrow the filter.",
            path=("filter",),
            details={"limit": "levels of a snapshot", "maximum": MOST_LEVELS},
        )
    return [row[0] for row in rows]
