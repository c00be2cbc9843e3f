"""What sales publish: how far an order is, and which subscribers want to know."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ARRAY, BigInteger, any_, select, text

from resolvers.core.broker import PublishedEvent
from resolvers.core.context import Reads
from resolvers.core.statement import Statement, compile_statement, unseen
from resolvers.core.stream import Told
from resolvers.sales.rules import AXES, OrderAxis, axes_changed
from resolvers.sales.tables import UNFINISHED, sales_order

ORDER_STATUS_CHANGED = "order.status_changed"
"""Topic of the events that the triggers on `sales_order` write."""

MOST_ORDERS: Final = 10_000
"""Most orders that a state shows."""


def axes_of(event: PublishedEvent) -> Sequence[OrderAxis]:
    """Return what an event is of: one axis, or several where it was written before 0039."""
    axis = event.payload.get("axis")
    return axes_changed(event.payload) if axis is None else (OrderAxis(axis),)


def axis_of_order(event: PublishedEvent) -> Any:
    """Return what an event is of, to be told as one with others: an axis of one order.

    One that is of several axes is told by itself.
    """
    axis = event.payload.get("axis")
    return event.entity_id, event.event_id if axis is None else OrderAxis(axis)


def is_order_as_before(told: Told) -> bool:
    """Tell whether after several changes an axis of an order is what it was before them."""
    return told.number > 1 and told.first.payload["from"] == told.last.payload["to"]


@dataclass(frozen=True, slots=True)
class OrderInterest:
    """Which changes a subscriber wants; all conditions must hold, None is no condition."""

    order_ids: frozenset[int] | None = None
    partner_ids: frozenset[int] | None = None
    axes: frozenset[OrderAxis] | None = None
    own: int | None = None
    """The partner whose orders alone the caller may see."""

    @property
    def index(self) -> tuple[str, frozenset[Any]] | None:
        """Return the narrowest field that decides."""
        if self.order_ids is not None:
            return "order_id", self.order_ids
        if self.own is not None:
            return "partner_id", frozenset({self.own})
        return None if self.partner_ids is None else ("partner_id", self.partner_ids)

    def accepts(self, event: PublishedEvent) -> bool:
        """Tell whether the subscriber wants ``event``."""
        told = event.payload
        if self.own is not None and told["partner_id"] != self.own:
            return False
        if self.order_ids is not None and told["order_id"] not in self.order_ids:
            return False
        if self.partner_ids is not None and told["partner_id"] not in self.partner_ids:
            return False
        return self.axes is None or not self.axes.isdisjoint(axes_of(event))


@dataclass(frozen=True, slots=True)
class OrderChange:
    """A change of one axis of an order, or several told as one: from the first to the last."""

    axis: OrderAxis
    before: str | None
    after: str | None

    @classmethod
    def of(cls, told: Told, interest: OrderInterest) -> "OrderChange":
        """Read events of the topic `ORDER_STATUS_CHANGED`; of several axes the first wanted."""
        wanted = interest.axes
        axis = next(one for one in axes_of(told.last) if wanted is None or one in wanted)
        status = AXES[axis]
        return cls(axis, told.first.payload[f"previous_{status}"], told.last.payload[status])


_STATEMENTS: Final[dict[frozenset[str], Statement]] = {}


def _orders(given: frozenset[str]) -> Statement:
    """Return the statement that finds the orders of an interest, by which conditions it has."""
    found = _STATEMENTS.get(given)
    if found is None:
        order = sales_order.c
        conditions = {
            "order_ids": order.id == any_(unseen("order_ids", ARRAY(BigInteger))),
            "partner_ids": order.partner_id == any_(unseen("partner_ids", ARRAY(BigInteger))),
        }
        chosen: list[Any] = [one for name, one in conditions.items() if name in given]
        if "order_ids" not in given:
            chosen.append(text(UNFINISHED))  # literally, or its index is not seen to serve
        wanted = select(order.id).where(*chosen).order_by(order.id.desc()).limit(MOST_ORDERS + 1)
        found = _STATEMENTS[given] = compile_statement(wanted, "orders of a stream")
    return found


async def orders_of(reads: Reads, interest: OrderInterest) -> Sequence[int]:
    """Return the ids of the orders ``interest`` names, else of those of which more is to come.

    The newest first; where there is one more than `MOST_ORDERS`, there may be more yet.
    """
    given: dict[str, Any] = {}
    if interest.order_ids is not None:
        given["order_ids"] = sorted(interest.order_ids)
    if interest.partner_ids is not None:
        given["partner_ids"] = sorted(interest.partner_ids)
    return [row[0] for row in await reads.fetch(_orders(frozenset(given)), given)]
