"""The topics of the stream of all changes, and which of their events subscribers want."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from resolvers.changes.rules import ChangeTopic
from resolvers.core.broker import PublishedEvent
from resolvers.core.stream import Told
from resolvers.fulfillment.events import SHIPMENT_WORK_CHANGED
from resolvers.inventory.events import STOCK_CHANGED, is_stock_as_before
from resolvers.operations.events import JOB_CHANGED
from resolvers.sales.events import ORDER_STATUS_CHANGED, axis_of_order, is_order_as_before

TOPICS: Final[Mapping[ChangeTopic, str]] = {
    ChangeTopic.STOCK: STOCK_CHANGED,
    ChangeTopic.ORDER_STATUS: ORDER_STATUS_CHANGED,
    ChangeTopic.SHIPMENT_WORK: SHIPMENT_WORK_CHANGED,
    ChangeTopic.JOB: JOB_CHANGED,
}
"""The topic in the log of each word."""
WORDS: Final = {topic: word for word, topic in TOPICS.items()}

_AS_BEFORE: Final[Mapping[str, Callable[[Told], bool]]] = {
    STOCK_CHANGED: is_stock_as_before,
    ORDER_STATUS_CHANGED: is_order_as_before,
}


def thing_of(event: PublishedEvent) -> Any:
    """Return what an event is of, to be told as one with others of the same."""
    orders = event.topic == ORDER_STATUS_CHANGED
    return event.topic, axis_of_order(event) if orders else event.entity_id


def is_undone(told: Told) -> bool:
    """Tell whether what changed several times is as it was, of what events tell all that it was."""
    as_before = _AS_BEFORE.get(told.last.topic)
    return as_before is not None and as_before(told)


@dataclass(frozen=True, slots=True)
class ChangesInterest:
    """Every change of the topics; of one partner's, where the caller is bound to it."""

    topics: tuple[ChangeTopic, ...]
    own: int | None = None

    @property
    def index(self) -> tuple[str, frozenset[Any]] | None:
        """Return the partner, where there is one."""
        return None if self.own is None else ("partner_id", frozenset({self.own}))

    def accepts(self, event: PublishedEvent) -> bool:
        """Tell whether the subscriber wants ``event``."""
        return self.own is None or event.payload.get("partner_id") == self.own
