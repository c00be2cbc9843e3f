"""What stock publishes: a change of a level, and which subscribers want it."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from decimal import Decimal

from resolvers.core.broker import PublishedEvent
from resolvers.core.context import Context
from resolvers.core.stream import changes
from resolvers.inventory.rules import Crossing, crossing

STOCK_CHANGED = "stock.changed"
"""Topic of the events that the triggers on `stock_level` write."""


@dataclass(frozen=True, slots=True)
class StockChange:
    """A change of one stock level, as its event tells it."""

    event: PublishedEvent
    on_hand: Decimal
    reserved: Decimal
    previous_on_hand: Decimal
    previous_reserved: Decimal

    @classmethod
    def of(cls, event: PublishedEvent) -> "StockChange":
        """Read an event of the topic `STOCK_CHANGED`."""
        told = event.payload
        return cls(
            event,
            Decimal(told["on_hand"]),
            Decimal(told["reserved"]),
            Decimal(told["previous_on_hand"]),
            Decimal(told["previous_reserved"]),
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
        """Return which threshold the change crossed."""
        return crossing(self.previous_available, self.available, threshold)


@dataclass(frozen=True, slots=True)
class StockInterest:
    """Which changes a subscriber wants; all conditions must hold, None is no condition."""

    warehouse_ids: frozenset[int] | None = None
    product_ids: frozenset[int] | None = None
    available_below: Decimal | None = None
    crossing_only: bool = False
    min_delta: Decimal | None = None

    def accepts(self, event: PublishedEvent) -> bool:
        """Tell whether the subscriber wants ``event``."""
        told = event.payload
        if self.warehouse_ids is not None and told["warehouse_id"] not in self.warehouse_ids:
            return False
        if self.product_ids is not None and told["product_id"] not in self.product_ids:
            return False
        if self.available_below is None and self.min_delta is None and not self.crossing_only:
            return True
        return self._wants(StockChange.of(event))

    def _wants(self, change: StockChange) -> bool:
        crossed = change.crossing(self.available_below) is not Crossing.NONE
        if self.crossing_only and not crossed:
            return False
        below = self.available_below
        if below is not None and not crossed and change.available >= below:
            return False
        delta = abs(change.available - change.previous_available)
        return self.min_delta is None or crossed or delta >= self.min_delta


def stock_changes(
    context: Context, interest: StockInterest, after: int | None
) -> AsyncGenerator[PublishedEvent, None]:
    """Yield the changes of the caller's company that ``interest`` wants; see `changes`."""
    return changes(
        context.broker,
        context.log,
        company_id=context.principal.company_id,
        topic=STOCK_CHANGED,
        accepts=interest.accepts,
        after=after,
    )
