"""What the warehouses buy: stock that falls to a minimum is filled up to a target, weeks later."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from random import Random

from gateway.seeding.amounts import amount_text
from gateway.seeding.calendar import Calendar
from gateway.seeding.catalog import Product
from gateway.seeding.demand import whole
from gateway.seeding.rows import Sheet
from gateway.seeding.stock import Stock

LEAD_SHAPE = 4.0
LEAD_SCALE = 3.0
"""Lead times are gamma-distributed, 12 days on average."""
LATE = 0.08
LATE_FACTOR = 3
"""Share of late deliveries, and how much longer they take."""
SHORT = 0.03
SHORTEST = 60
"""Share of short deliveries, and the percent that arrives at least."""
MINIMUM_DAYS = 25
"""The minimum lasts so many days: the lead time and a reserve."""
TARGET_DAYS = 150
"""The target lasts so many days."""
FEWEST_ORDERS = 8
"""The target is good for so many ordinary orders at least."""
OUTAGE = 0.04
OUTAGE_DAYS = 30
"""Share of products whose suppliers deliver nothing during the last days."""


class Replenishment:
    """Decides what is bought, and knows what is on its way; quantities by slot of the stock."""

    def __init__(
        self,
        calendar: Calendar,
        stock: Stock,
        daily: Iterable[tuple[int, float]],
        products: Sequence[Product],
        rng: Random,
    ) -> None:
        self._calendar = calendar
        self._stock = stock
        self._rng = rng
        self._minimum = array("q", bytes(8 * stock.slots))
        self._target = array("q", bytes(8 * stock.slots))
        self._coming = array("q", bytes(8 * stock.slots))
        self._noted: dict[int, None] = {}
        self._outage = {p.id for p in products if rng.random() < OUTAGE}
        for slot, quantity in daily:
            pack = self._pack(slot)
            self._minimum[slot] = whole(max(quantity * MINIMUM_DAYS, pack), pack)
            self._target[slot] = whole(max(quantity * TARGET_DAYS, FEWEST_ORDERS * pack), pack)

    def _pack(self, slot: int) -> int:
        """Return the multiples in which a product is bought."""
        return self._stock.product(slot).leaf.order_size.usual

    def opening(self, slot: int) -> int:
        """Return what a warehouse has of a product when the history begins."""
        pack = self._pack(slot)
        if not self._target[slot]:
            return pack * self._rng.randint(1, FEWEST_ORDERS)  # dead stock
        above = self._target[slot] - self._minimum[slot]
        return self._minimum[slot] + whole(above * self._rng.uniform(0.1, 1), pack)

    def note(self, slot: int) -> None:
        """Remember that stock went down, to look at it when the day's orders are known."""
        self._noted[slot] = None

    def buy(self, day: int) -> Iterator[tuple[int, int, int]]:
        """Order what runs out; yield the day each delivery arrives, its slot and its quantity."""
        noted, self._noted = self._noted, {}
        for slot in noted:
            product = self._stock.product(slot)
            quantity = self._needed(slot, on_sale=product.on_sale(day))
            if quantity:
                self._coming[slot] += quantity
                yield self._arrival(day, product), slot, quantity

    def _needed(self, slot: int, *, on_sale: bool) -> int:
        """Return how much to buy: up to the target, or no more than is missing in a sell-off."""
        stock = self._stock
        projected = stock.on_hand[slot] - stock.outgoing[slot] + self._coming[slot]
        if on_sale and projected <= self._minimum[slot]:
            return whole(self._target[slot] - projected, self._pack(slot))
        return max(0, -projected)

    def _arrival(self, day: int, product: Product) -> int:
        rng = self._rng
        lead = 2 + rng.gammavariate(LEAD_SHAPE, LEAD_SCALE)
        if rng.random() < LATE:
            lead *= LATE_FACTOR
        arrival = self._calendar.workday(day + int(lead))
        if product.id in self._outage and arrival >= self._calendar.days - OUTAGE_DAYS:
            return self._calendar.days
        return arrival

    def arrived(self, slot: int, quantity: int) -> int:
        """Take a delivery off the list; return how much of it really came."""
        self._coming[slot] -= quantity
        if self._rng.random() >= SHORT:
            return quantity
        step = self._stock.product(slot).leaf.order_size.step
        return max(step, quantity * self._rng.randint(SHORTEST, 95) // (100 * step) * step)

    def coming(self, slot: int) -> int:
        """Return what is on its way."""
        return self._coming[slot]

    def rules(self) -> Iterator[Sheet]:
        """Yield the reorder rules of all that is still on sale, some at a time."""
        sheet = Sheet(
            "reorder_rule",
            "id",
            "company_id",
            "product_id",
            "warehouse_id",
            "min_quantity",
            "target_quantity",
            "multiple",
        )
        number = 0
        for slot, company, product, warehouse in self._stock.places():
            if self._target[slot] and product.on_sale(self._calendar.days):
                number += 1
                sheet.add(
                    number,
                    company.id,
                    product.id,
                    warehouse.id,
                    amount_text(self._minimum[slot]),
                    amount_text(self._target[slot]),
                    amount_text(self._pack(slot)),
                )
                yield sheet
