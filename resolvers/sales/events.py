"""What sales publish: how far an order is, and which subscribers want to know."""

from dataclasses import dataclass
from typing import Any

from resolvers.core.broker import PublishedEvent
from resolvers.sales.rules import OrderAxis, axes_changed

ORDER_STATUS_CHANGED = "order.status_changed"
"""Topic of the events that the triggers on `sales_order` write."""


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
        return self.axes is None or not self.axes.isdisjoint(axes_changed(told))
