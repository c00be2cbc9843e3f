"""The history, day by day: goods arrive, customers order, warehouses ship."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from gateway.seeding.books import Books
from gateway.seeding.calendar import NEVER, Calendar
from gateway.seeding.demand import Basket, Demand
from gateway.seeding.fulfillment import Fulfillment
from gateway.seeding.partners import Partner
from gateway.seeding.purchasing import Purchasing
from gateway.seeding.warehousing import Warehousing

FAREWELL_DAYS = 45
"""A customer who left is archived so long after at the earliest."""
TRY_AGAIN_DAYS = 10
NIGHT = 22 * 3600


class History:
    """Lives through the days; rows of orders and moves pile up in their sheets meanwhile."""

    def __init__(
        self,
        calendar: Calendar,
        demand: Demand,
        fulfillment: Fulfillment,
        warehousing: Warehousing,
        purchasing: Purchasing,
        *,
        books: Books,
        edges: Iterable[tuple[int, Basket]],
        partners: Sequence[Partner],
    ) -> None:
        self._calendar = calendar
        self._demand = demand
        self._fulfillment = fulfillment
        self._warehousing = warehousing
        self._purchasing = purchasing
        self._books = books
        self._edges: dict[int, list[Basket]] = defaultdict(list)
        for day, basket in edges:
            self._edges[day].append(basket)
        self._leaving: dict[int, list[Partner]] = defaultdict(list)
        for partner in partners:
            if partner.left < NEVER:
                self._leaving[partner.left + FAREWELL_DAYS].append(partner)
        self.archived: list[tuple[int, str]] = []
        """Ids of the partners archived so far, and when."""

    def live(self, day: int) -> None:
        """Let a day pass."""
        baskets = self._demand.baskets(day) + self._edges.pop(day, [])
        self._warehousing.morning(day)
        self._warehousing.check(day, len(baskets))
        for basket in baskets:
            self._fulfillment.accept(day, basket)
        for order, line in self._fulfillment.ship_due(day):
            self._warehousing.shipped(day, order, line)
        self._warehousing.evening(day)
        self._books.evening(day)
        self._archive(day)

    def _archive(self, day: int) -> None:
        """Archive customers who left and to whom nothing more is to be shipped."""
        for partner in self._leaving.pop(day, ()):
            if self._fulfillment.has_running_orders(partner):
                self._leaving[day + TRY_AGAIN_DAYS].append(partner)
            else:
                self.archived.append((partner.id, self._calendar.moment(day, NIGHT)))

    def end(self) -> None:
        """Stop: what is not finished stays so."""
        self._fulfillment.leave_the_rest()
        self._purchasing.leave_the_rest()
        self._books.leave_the_rest()
