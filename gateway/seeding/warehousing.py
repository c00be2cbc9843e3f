"""What happens in the warehouses besides shipping: deliveries, returns, inspections, counts."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random

from gateway.seeding.books import Books
from gateway.seeding.calendar import NEVER, Calendar
from gateway.seeding.catalog import Product
from gateway.seeding.companies import Warehouse
from gateway.seeding.demand import Assortment
from gateway.seeding.fulfillment import Fulfillment
from gateway.seeding.orders import Line
from gateway.seeding.purchases import PurchaseLine, Receipt
from gateway.seeding.purchasing import Delivery, Purchasing
from gateway.seeding.replenishment import Replenishment
from gateway.seeding.stock import Stock

REJECTED = 0.02
"""Share of deliveries of which a part goes to quarantine first."""
RETURNED = 0.012
"""Share of shipped lines that come back, in part."""
RELEASED = 0.6
"""Share of what was in quarantine that turns out to be good."""
OVERFLOW = 0.25
"""Share of deliveries that do not fit where the product usually is."""
CHECKED = 0.03
"""Places looked at per order of the day: counted, and filled up from where the overflow is."""
MISCOUNTED = 0.4
"""Share of counts that find a difference."""
REVERSED = 0.1
"""Share of those differences that turn out to be a mistake on the next day."""
SELL_OFF_DAYS = 45
TRY_AGAIN_DAYS = 10
"""A discontinued product is archived so long after, or looked at again later and later."""

DAWN = 5 * 3600
"""Second of the first day at which the opening balances are taken over."""
MORNING = 6 * 3600
MORNING_TAKES = 3 * 3600
"""Seconds of the day at which deliveries begin to arrive, and for how long they do."""
LATE_MORNING = 10 * 3600
"""Second of the day at which places are checked."""

REASONS = ("Cycle count", "Damaged in the warehouse", "Found behind the rack", "Mislabeled")

Task = Callable[[int], None]
"""Something to do on a day, which it is given."""


class Warehousing:
    """Runs the warehouses of all companies."""

    def __init__(
        self,
        calendar: Calendar,
        stock: Stock,
        replenishment: Replenishment,
        purchasing: Purchasing,
        fulfillment: Fulfillment,
        *,
        books: Books,
        rng: Random,
    ) -> None:
        self._calendar = calendar
        self._stock = stock
        self._replenishment = replenishment
        self._purchasing = purchasing
        self._fulfillment = fulfillment
        self._books = books
        self._rng = rng
        self._agenda: dict[int, list[Task]] = defaultdict(list)
        self._stocked: list[int] = []
        self.archived: list[tuple[int, str]] = []
        """Ids of the products archived so far, and when."""

    def open(
        self,
        warehouses: Sequence[Warehouse],
        assortments: Mapping[int, Assortment],
        products: Sequence[Product],
    ) -> None:
        """Stock the warehouses on the first day, and note which products come and go later."""
        self._stock.at(0, DAWN)
        for product in products:
            if product.discontinued < NEVER:
                slots = [self._stock.slot(product, warehouse) for warehouse in warehouses]
                last_day = product.discontinued + SELL_OFF_DAYS
                self._agenda[last_day].append(partial(self._archive, product, slots))
        for warehouse in warehouses:
            assortment = assortments[warehouse.id]
            for product in (*assortment.products, *assortment.dead):
                slot = self._stock.slot(product, warehouse)
                if product.introduced:
                    self._agenda[product.introduced].append(partial(self._introduce, slot))
                else:
                    self._stocked.append(slot)
                    self._stock.open(slot, self._replenishment.opening(slot))

    def morning(self, day: int) -> None:
        """Do what is due: take in deliveries and returns, decide about what is in quarantine."""
        tasks = self._agenda.pop(day, [])
        for position, task in enumerate(tasks):
            self._stock.at(day, MORNING + position * MORNING_TAKES // len(tasks))
            task(day)

    def check(self, day: int, orders: int) -> None:
        """Count some places and fill up others."""
        self._stock.at(day, LATE_MORNING)
        for _ in range(int(orders * CHECKED + self._rng.random())):
            slot = self._rng.choice(self._stocked)
            if self._stock.product(slot).on_sale(day):
                self._fill_up(slot)
                self._count(day, slot)

    def evening(self, day: int) -> None:
        """Buy what is running out."""
        for arrival, delivery in self._purchasing.buy(day):
            self._agenda[arrival].append(partial(self._deliver, delivery))

    def shipped(self, day: int, line: Line) -> None:
        """Let a shipped line come back now and then, unless the product is sold off."""
        rng = self._rng
        if rng.random() < RETURNED and line.product.discontinued == NEVER:
            quantity = _part(line.shipped, line.product, rng.randint(20, 50))
            back = self._calendar.workday(day + rng.randint(5, 30))
            self._agenda[back].append(partial(self._take_back, line, quantity))

    def _introduce(self, slot: int, _day: int) -> None:
        """Have a new product bought for the first time."""
        self._replenishment.note(slot)
        self._stocked.append(slot)

    def _deliver(self, delivery: Delivery, day: int) -> None:
        """Take in a delivery, and say what becomes of what is missing."""
        arrived = [arrival for arrival in delivery.arrivals if arrival.quantity]
        if arrived:
            receipt = self._purchasing.open_receipt(day, delivery)
            for arrival in arrived:
                self._take_in(day, receipt, arrival.line, arrival.quantity)
            self._books.received(day, delivery.purchase, receipt)
        self._purchasing.settle(delivery)
        for arrival in delivery.arrivals:
            self._replenishment.note(arrival.line.slot)

    def _take_in(self, day: int, receipt: Receipt, line: PurchaseLine, quantity: int) -> None:
        """Take in what arrived of a line and promise it to those who wait."""
        rng, stock, slot = self._rng, self._stock, line.slot
        rejected = 0
        if rng.random() < REJECTED:
            rejected = min(quantity, _part(quantity, line.product, rng.randint(10, 30)))
        line_id = self._purchasing.receive(receipt, line, quantity, rejected)
        reason = f"Delivery from {line.offer.supplier.partner.name}"
        if rejected:
            stock.receive(slot, stock.warehouse(slot).quarantine, rejected, reason, line_id)
            self._inspect_after(day, slot, rejected)
        if quantity > rejected:
            place = stock.zone(slot, overflow=rng.random() < OVERFLOW)
            stock.receive(slot, place, quantity - rejected, reason, line_id)
            self._fulfillment.refill(day, slot)

    def _take_back(self, line: Line, quantity: int, day: int) -> None:
        """Take back a part of what was shipped."""
        self._stock.take_back(line.slot, quantity, line.id)
        self._inspect_after(day, line.slot, quantity)

    def _inspect_after(self, day: int, slot: int, quantity: int) -> None:
        """Have somebody look at what went to quarantine, some days later."""
        inspection = self._calendar.workday(day + self._rng.randint(1, 8))
        self._agenda[inspection].append(partial(self._inspect, slot, quantity))

    def _inspect(self, slot: int, quantity: int, day: int) -> None:
        """Decide about what is in quarantine: back to stock, or thrown away."""
        quarantine = self._stock.warehouse(slot).quarantine
        if self._rng.random() >= RELEASED:
            self._stock.scrap(slot, quarantine, quantity, "Failed inspection")
            return
        zone = self._stock.zone(slot)
        self._stock.transfer(slot, quarantine, zone, quantity, "Passed inspection")
        self._fulfillment.refill(day, slot)

    def _fill_up(self, slot: int) -> None:
        """Carry what did not fit to where the product usually is."""
        usual, overflow = self._stock.zone(slot), self._stock.zone(slot, overflow=True)
        quantity = self._stock.balance(slot, overflow)
        if quantity and overflow != usual:
            self._stock.transfer(slot, overflow, usual, quantity, "Filled up")

    def _count(self, day: int, slot: int) -> None:
        """Count a place; correct a difference, and now and then take the correction back."""
        rng = self._rng
        if rng.random() >= MISCOUNTED:
            return
        place = self._stock.zone(slot)
        step = self._stock.product(slot).leaf.order_size.step
        difference = rng.choice((-2, -1, -1, -1, 1, 2)) * step
        if not self._can_take(slot, place, -difference):
            return
        moves = self._stock.adjust(slot, place, difference, rng.choice(REASONS))
        self._replenishment.note(slot)
        self._fulfillment.refill(day, slot)
        if rng.random() < REVERSED:
            self._agenda[day + 1].append(partial(self._reverse, slot, place, difference, moves))

    def _reverse(
        self, slot: int, place: int, difference: int, moves: Sequence[int], day: int
    ) -> None:
        """Take a correction back by moves that point at it, if what was found is still there."""
        if self._can_take(slot, place, difference) and self._stock.reverse(
            slot, place, difference, moves, "Counted wrong"
        ):
            self._fulfillment.refill(day, slot)

    def _can_take(self, slot: int, place: int, quantity: int) -> bool:
        """Tell whether so much lies at a place and is promised to nobody."""
        return quantity <= min(self._stock.available(slot), self._stock.balance(slot, place))

    def _archive(self, product: Product, slots: Sequence[int], day: int) -> None:
        """Throw away what is left of a discontinued product and archive it, or try again later."""
        stock = self._stock
        if any(self._is_due(slot) for slot in slots):
            task = partial(self._archive, product, slots)
            self._agenda[day + TRY_AGAIN_DAYS].append(task)
            return
        for slot in slots:
            for place in stock.warehouse(slot).zones:
                left = stock.balance(slot, place)
                if left:
                    stock.scrap(slot, place, left, "Sold off")
        self.archived.append((product.id, self._calendar.moment(day, MORNING)))

    def _is_due(self, slot: int) -> bool:
        """Tell whether something is still to go out, to come in or to be looked at."""
        in_quarantine = self._stock.balance(slot, self._stock.warehouse(slot).quarantine)
        return bool(self._stock.outgoing[slot] or self._replenishment.coming(slot) or in_quarantine)


def _part(quantity: int, product: Product, percent: int) -> int:
    """Return about ``percent`` of a quantity, in whole steps, at least one."""
    step = product.leaf.order_size.step
    return max(step, quantity * percent // (100 * step) * step)
