"""Who orders what from whom, and what of it is delivered when."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from gateway.seeding.amounts import SCALE
from gateway.seeding.calendar import DAY_SECONDS, NEVER, SATURDAY, Calendar
from gateway.seeding.companies import APPROVED_FROM
from gateway.seeding.offers import Offer, Offers, Supplier
from gateway.seeding.purchases import Purchase, PurchaseBook, PurchaseLine, Receipt
from gateway.seeding.replenishment import Replenishment
from gateway.seeding.rows import Sheet
from gateway.seeding.stock import Stock
from resolvers.purchasing.rules import PurchaseOrderState

AFTERNOON = 16 * 3600
AFTERNOON_TAKES = 2 * 3600
"""Seconds of the day at which orders begin to be written, and for how long they are."""
SECOND_CHOICE = 0.05
"""Share of lines that are ordered from the second choice, where there is one."""
DECLINED = 0.015
"""Share of orders that the supplier declines; they are canceled and the goods ordered anew."""
REFERENCED = 0.6
"""Share of suppliers' confirmations that carry a number."""
NEWEST_DAYS = 14
UNCONFIRMED = 0.9
"""Share of the newest orders that nobody confirmed yet; it falls to none over those days."""

ADVANCE = 40
"""One product in so many, the best sellers, is ordered far ahead for the next season."""
ADVANCE_ORDERS = (20, 13, 6)
ADVANCE_DAYS = 40
"""Days before the end of the history on which that is done, and days it takes at least."""

RECENT_DAYS = 30
"""Suppliers are less reliable than usual in so many days, so that screens show something to do."""
LATE = 0.08
RECENT_LATE = 0.5
LATE_FACTOR = (1.3, 3.0)
"""Share of late deliveries, and how many times their lead time they take."""
SHORT = 0.03
RECENT_SHORT = 0.2
SHORTEST = 60
"""Share of lines of which a part is missing, and the percent that comes at least."""
BEHIND = 0.03
"""Share of lines that come later than the others of their order."""
CALLED_OFF = 0.4
"""Share of missing parts that the supplier will not deliver any more."""
FOLLOWS_IN = (4, 25)
"""Days until the rest comes, at least and at most."""
GENEROUS = 0.05
"""Share of lines with more than was ordered, from suppliers who may deliver more."""
OUTAGE = 0.04
"""Share of products whose suppliers deliver nothing in the recent days."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """How much of a line comes with a delivery.

    ``rest_on`` is the day for which what is missing is promised, None where nothing is missing or
    ``called_off`` says that it will not come.
    """

    line: PurchaseLine
    quantity: int
    rest_on: int | None = None
    called_off: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """What comes of an order on one day."""

    purchase: Purchase
    arrivals: tuple[Arrival, ...]


class Purchasing:
    """Orders what runs out, from each supplier on its day of the week."""

    def __init__(
        self,
        calendar: Calendar,
        stock: Stock,
        replenishment: Replenishment,
        *,
        offers: Offers,
        book: PurchaseBook,
        rng: Random,
    ) -> None:
        self._calendar = calendar
        self._stock = stock
        self._replenishment = replenishment
        self._offers = offers
        self._book = book
        self._rng = rng
        self._last_day = next(d for d in reversed(range(calendar.days)) if calendar.workday(d) == d)
        self._advance = {calendar.workday(calendar.days - ago) for ago in ADVANCE_ORDERS}
        self._running: dict[int, Purchase] = {}
        self._waiting: dict[int, dict[int, None]] = defaultdict(dict)
        """Slots that went down, by the day of the week on which their supplier is asked."""
        self._shelves: dict[tuple[int, int], list[int]] = defaultdict(list)
        """Slots of a warehouse that a supplier is the first choice for."""
        for slot in replenishment.planned():
            supplier = offers.of(stock.product(slot))[0].supplier
            self._shelves[stock.warehouse(slot).id, supplier.partner.id].append(slot)
        goods = dict.fromkeys(stock.product(slot).id for slot in replenishment.planned())
        self._outage = {product_id for product_id in goods if rng.random() < OUTAGE}

    def buy(self, day: int) -> Iterator[tuple[int, Delivery]]:
        """Order what runs out; yield the days on which something is delivered, and what it is."""
        for slot in self._replenishment.noted():
            supplier = self._offers.of(self._stock.product(slot))[0].supplier
            self._waiting[supplier.partner.id % SATURDAY][slot] = None
        wanted = self._wanted(day, self._due(day))
        for position, lines in enumerate(wanted):
            second = AFTERNOON + position * AFTERNOON_TAKES // len(wanted)
            yield from self._place(day, self._book.open(day, second, lines))
        if day in self._advance:
            self._order_ahead(day)

    def _order_ahead(self, day: int) -> None:
        """Order best sellers for the next season, which comes after the history."""
        by_house: dict[int, list[int]] = defaultdict(list)
        for slot in self._replenishment.planned():
            if self._stock.product(slot).discontinued == NEVER:
                by_house[self._stock.warehouse(slot).id].append(slot)
        for slots in by_house.values():
            slots.sort(key=lambda slot: -self._stock.product(slot).popularity)
            by_supplier: dict[int, list[tuple[int, int, Offer]]] = defaultdict(list)
            for slot in slots[: len(slots) // ADVANCE]:
                offer = self._offers.of(self._stock.product(slot))[0]
                lot = self._replenishment.lot(slot)
                by_supplier[offer.supplier.partner.id].append((slot, lot, offer))
            for lines in by_supplier.values():
                purchase = self._book.open(day, AFTERNOON, lines, ADVANCE_DAYS)
                self._take_up(purchase)
                self._confirm(day, purchase)

    def _due(self, day: int) -> dict[int, None]:
        """Return the slots to look at on a day; all that wait on the last day that is for work."""
        if day == self._last_day:
            waiting, self._waiting = self._waiting, defaultdict(dict)
            return {slot: None for slots in waiting.values() for slot in slots}
        return self._waiting.pop(self._calendar.weekday(day), {})

    def _wanted(self, day: int, due: dict[int, None]) -> list[list[tuple[int, int, Offer]]]:
        """Return what to order of each supplier for a warehouse: what is needed and what is low."""
        wanted: dict[tuple[int, int], list[tuple[int, int, Offer]]] = defaultdict(list)
        taken = set[int]()
        for slot in due:
            product = self._stock.product(slot)
            quantity = self._replenishment.needed(slot, on_sale=product.on_sale(day))
            if quantity:
                offer = self._choose(self._offers.of(product))
                key = (self._stock.warehouse(slot).id, offer.supplier.partner.id)
                wanted[key].append((slot, quantity, offer))
                taken.add(slot)
        for key, lines in wanted.items():
            for slot in self._shelves.get(key, ()):
                product = self._stock.product(slot)
                if slot not in taken and product.on_sale(day):
                    quantity = self._replenishment.low(slot)
                    if quantity:
                        lines.append((slot, quantity, self._offers.of(product)[0]))
        return list(wanted.values())

    def _choose(self, offers: Sequence[Offer]) -> Offer:
        """Return the first choice, or now and then the second."""
        second = len(offers) > 1 and self._rng.random() < SECOND_CHOICE
        return offers[second]

    def _place(self, day: int, purchase: Purchase) -> Iterator[tuple[int, Delivery]]:
        """Decide how far an order gets; yield its deliveries if the supplier confirms it."""
        rng = self._rng
        if rng.random() < DECLINED:
            self._decline(purchase)
            return
        self._take_up(purchase)
        newness = 1 - (self._calendar.days - day) / NEWEST_DAYS
        if day == self._last_day or rng.random() < UNCONFIRMED * newness:
            self._leave(purchase)
            return
        self._confirm(day, purchase)
        yield from self._deliveries(day, purchase)

    def _take_up(self, purchase: Purchase) -> None:
        """Count on what is ordered, so that it is not ordered again."""
        for line in purchase.lines:
            self._replenishment.ordered(line.slot, line.quantity)
        self._running[purchase.id] = purchase

    def _decline(self, purchase: Purchase) -> None:
        """Cancel an order; what was on it is looked at again."""
        purchase.state = PurchaseOrderState.CANCELED
        purchase.version += 2
        for line in purchase.lines:
            line.canceled = line.quantity
            self._replenishment.note(line.slot)
        self._book.write(purchase)

    def _leave(self, purchase: Purchase) -> None:
        """Leave an order unconfirmed: it waits for an approval or for the supplier."""
        in_euro = purchase.total * SCALE // purchase.supplier.currency.rate
        if in_euro >= APPROVED_FROM:
            purchase.state = PurchaseOrderState.TO_APPROVE
        elif self._rng.random() < 1 / 2:
            purchase.state = PurchaseOrderState.SENT
        purchase.version += purchase.state is not PurchaseOrderState.DRAFT

    def _confirm(self, day: int, purchase: Purchase) -> None:
        """Let the supplier confirm an order: its goods are on their way."""
        rng = self._rng
        second = purchase.second + rng.randint(300, 5_400)
        purchase.state = PurchaseOrderState.CONFIRMED
        purchase.version += 2
        purchase.confirmed_at = self._calendar.moment(day, min(second, DAY_SECONDS - 1))
        if rng.random() < REFERENCED:
            purchase.supplier_ref = f"AB-{rng.randint(100_000, 999_999)}"
        for line in purchase.lines:
            self._stock.incoming[line.slot] += line.quantity

    def _deliveries(self, day: int, purchase: Purchase) -> Iterator[tuple[int, Delivery]]:
        """Plan what comes of an order when."""
        rng, calendar = self._rng, self._calendar
        lead: float = purchase.supplier.lead_days
        if rng.random() < (RECENT_LATE if self._is_recent(day + int(lead)) else LATE):
            lead *= rng.uniform(*LATE_FACTOR)
        arrival = calendar.workday(day + max(1, int(lead)))
        planned: dict[int, list[Arrival]] = defaultdict(list)
        for line in purchase.lines:
            first = self._first_part(arrival, purchase.supplier, line)
            planned[arrival].append(first)
            if first.rest_on is not None:
                rest = line.quantity - first.quantity
                planned[first.rest_on].append(Arrival(line, rest))
        for on, arrivals in planned.items():
            left = tuple(a for a in arrivals if not self._fails(on, a.line))
            if left:
                yield on, Delivery(purchase, left)

    def _is_recent(self, day: int) -> bool:
        """Tell whether a day is one of the last, or still to come."""
        return self._calendar.days - day <= RECENT_DAYS

    def _fails(self, on: int, line: PurchaseLine) -> bool:
        """Tell whether a line does not come on a day after all."""
        return line.product.id in self._outage and self._is_recent(on)

    def _first_part(self, arrival: int, supplier: Supplier, line: PurchaseLine) -> Arrival:
        """Decide how much of a line comes with the first delivery, and what becomes of the rest."""
        rng, quantity = self._rng, line.quantity
        step = line.product.leaf.order_size.step
        short = RECENT_SHORT if self._is_recent(arrival) else SHORT
        luck = rng.random()
        if luck < short:
            quantity = max(step, quantity * rng.randint(SHORTEST, 95) // (100 * step) * step)
        elif luck < short + BEHIND:
            quantity = 0
        elif supplier.tolerance and luck > 1 - GENEROUS:
            more = quantity * supplier.tolerance // (100 * step) * step
            return Arrival(line, quantity + more)
        if quantity >= line.quantity:
            return Arrival(line, line.quantity)
        if quantity and rng.random() < CALLED_OFF:
            return Arrival(line, quantity, called_off=True)
        rest_on = self._calendar.workday(arrival + rng.randint(*FOLLOWS_IN))
        return Arrival(line, quantity, rest_on)

    def open_receipt(self, day: int, delivery: Delivery) -> Receipt:
        """Make the receipt of a delivery."""
        delivery.purchase.version += 1
        return self._book.open_receipt(day, delivery.purchase)

    def receive(self, receipt: Receipt, line: PurchaseLine, quantity: int, rejected: int) -> int:
        """Note that so much of a line arrived; return the id of the receipt's line."""
        before = line.outstanding
        noted = self._book.receive(receipt, line, quantity, rejected)
        self._gone(line, before)
        return noted.id

    def settle(self, delivery: Delivery) -> None:
        """Deal with what is missing of a delivery, and close the order when nothing is."""
        for arrival in delivery.arrivals:
            line = arrival.line
            if arrival.rest_on is not None:
                line.expected = arrival.rest_on
            elif arrival.called_off:
                before = line.outstanding
                line.canceled = before
                self._gone(line, before)
        purchase = delivery.purchase
        if purchase.done:
            purchase.state = PurchaseOrderState.FULFILLED
            self._book.write(purchase)
            del self._running[purchase.id]

    def _gone(self, line: PurchaseLine, before: int) -> None:
        """Take what is outstanding no more off what is on its way."""
        gone = before - line.outstanding
        self._stock.incoming[line.slot] -= gone
        self._replenishment.arrived(line.slot, gone)

    def leave_the_rest(self) -> None:
        """Write down all orders of which something is still to come when the history ends."""
        for purchase in self._running.values():
            self._book.write(purchase)

    def incoming(self) -> Iterator[Sheet]:
        """Yield what is on its way when the history ends, some at a time."""
        confirmed = PurchaseOrderState.CONFIRMED
        running = [p for p in self._running.values() if p.state is confirmed]
        yield from self._book.incoming(running)
