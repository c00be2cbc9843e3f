"""What the warehouses need: stock that falls to a minimum is to be filled up to a target."""

from array import array
from collections.abc import Iterable, Iterator
from random import Random

from gateway.seeding.amounts import amount_text
from gateway.seeding.calendar import Calendar
from gateway.seeding.demand import whole
from gateway.seeding.rows import Sheet
from gateway.seeding.stock import Stock

MINIMUM_DAYS = 25
"""The minimum lasts so many days: the lead time and a reserve."""
TARGET_DAYS = 150
"""The target lasts so many days."""
FEWEST_ORDERS = 4
"""The target is good for so many ordinary orders at least."""
LOW = 50
"""Stock is low when no more than this percent of what fits above the minimum is there."""


class Replenishment:
    """Decides how much is needed, and knows what is on its way; quantities by slot of the stock."""

    def __init__(
        self, calendar: Calendar, stock: Stock, daily: Iterable[tuple[int, float]], rng: Random
    ) -> None:
        self._calendar = calendar
        self._stock = stock
        self._rng = rng
        self._minimum = array("q", bytes(8 * stock.slots))
        self._target = array("q", bytes(8 * stock.slots))
        self._coming = array("q", bytes(8 * stock.slots))
        self._noted: dict[int, None] = {}
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
        return self._minimum[slot] + whole(self.lot(slot) * self._rng.uniform(0.1, 1), pack)

    def planned(self) -> Iterator[int]:
        """Yield the slots that are filled up when they run out."""
        return (slot for slot in range(self._stock.slots) if self._target[slot])

    def note(self, slot: int) -> None:
        """Remember that stock went down, to look at it when the day's orders are known."""
        self._noted[slot] = None

    def noted(self) -> dict[int, None]:
        """Hand over the slots that went down since the last time."""
        noted, self._noted = self._noted, {}
        return noted

    def needed(self, slot: int, *, on_sale: bool) -> int:
        """Return how much to buy: up to the target, or no more than is missing in a sell-off."""
        projected = self._projected(slot)
        if on_sale and projected <= self._minimum[slot]:
            return whole(self._target[slot] - projected, self._pack(slot))
        return max(0, -projected)

    def low(self, slot: int) -> int:
        """Return how much to buy along with other things of what is low, though not yet needed."""
        projected = self._projected(slot)
        if 100 * (projected - self._minimum[slot]) > LOW * self.lot(slot):
            return 0
        return whole(self._target[slot] - projected, self._pack(slot))

    def lot(self, slot: int) -> int:
        """Return how much fits above the minimum."""
        return self._target[slot] - self._minimum[slot]

    def _projected(self, slot: int) -> int:
        stock = self._stock
        return stock.on_hand[slot] - stock.outgoing[slot] + self._coming[slot]

    def ordered(self, slot: int, quantity: int) -> None:
        """Note that so much is on its way."""
        self._coming[slot] += quantity

    def arrived(self, slot: int, quantity: int) -> None:
        """Note that so much is on its way no more: it came, or it never will."""
        self._coming[slot] -= quantity

    def coming(self, slot: int) -> int:
        """Return what is on its way, confirmed or not."""
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
