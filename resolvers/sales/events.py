"""What sales publish: how far an order is, and which subscribers want to know."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from resolvers.core.broker import PublishedEvent
from resolvers.core.context import Context
from resolvers.core.stream import changes
from resolvers.sales.rules import OrderAxis, axes_changed

ORDER_STATUS_CHANGED = "order.status_changed"
"""Topic of the events that the triggers on `sales_order` write."""


@dataclass(frozen=True, slots=True)
class OrderInterest:
    """Which changes a subscriber wants; all conditions must hold, None is no condition."""

    order_ids: frozenset[int] | None = None
    partner_ids: frozenset[int] | None = None
    axes: frozenset[OrderAxis] | None = None

    def accepts(self, event: PublishedEvent) -> bool:
        """Tell whether the subscriber wants ``event``."""
        told = event.payload
        if self.order_ids is not None and told["order_id"] not in self.order_ids:
            return False
        if self.partner_ids is not None and told["partner_id"] not in self.partner_ids:
            return False
        return self.axes is None or not self.axes.isdisjoint(axes_changed(told))


def order_changes(
    context: Context, interest: OrderInterest, after: int | None
) -> AsyncGenerator[PublishedEvent, None]:
    """Yield the changes of the caller's orders that ``interest`` wants; see `changes`."""
    own = context.principal.partner_id

    def accepts(event: PublishedEvent) -> bool:
        return (own is None or event.payload["partner_id"] == own) and interest.accepts(event)

    return changes(
        context.broker,
        context.log,
        company_id=context.principal.company_id,
        topic=ORDER_STATUS_CHANGED,
        accepts=accepts,
        after=after,
    )
