"""What becomes of an order: confirmed, reserved, shipped in one go or in parts, or given up."""

from collections import defaultdict, deque
from collections.abc import Iterator
from random import Random

from gateway.seeding.books import Books
from gateway.seeding.calendar import DAY_SECONDS, Calendar
from gateway.seeding.demand import Basket
from gateway.seeding.orders import Line, Order, OrderBook
from gateway.seeding.partners import Partner
from gateway.seeding.replenishment import Replenishment
from gateway.seeding.rows import Sheet
from gateway.seeding.shipping import Shipping
from gateway.seeding.stock import Stock
from resolvers.sales.rules import OrderHold, OrderState

CANCELED = 0.02
"""Share of orders canceled before anything shipped."""
RECENT_DAYS = 30
"""Work of so many days is left unfinished, so that screens show something to do."""
UNDECIDED = 0.4
"""Share of the newest orders that are not confirmed yet; it falls to none over the recent days."""
SLOW = 0.45
"""Share of recent orders that ship later than others."""
HELD = 0.06
"""Share of recent orders that somebody stopped."""
SPLIT = 0.12
RECENT_SPLIT = 0.4
"""Share of first shipments that carry only a part of what could ship."""
GIVEN_UP = 0.08
"""Share of incomplete shipments after which the customer does not want the rest."""

SHIPPING_STARTS = 12 * 3600
SHIPPING_TAKES = 6 * 3600
"""Seconds of the day at which orders begin to leave, and for how long they do."""
LAGS = (1, 1, 1, 1, 2, 2, 3, 5)
"""Days from the confirmation of an order to its shipment; the Monday after if that is a weekend."""

REST = (2, 9)
DELAY = (4, 40)
"""Days until the rest of an order ships, at least and at most; and of one that is delayed."""

UNDECIDED_STATES = (OrderState.DRAFT, OrderState.QUOTED, OrderState.PLACED)
HOLDS = (OrderHold.MANUAL, OrderHold.PAYMENT, OrderHold.ADDRESS)


class Fulfillment:
    """Takes orders in, promises stock to them, and ships them."""

    def __init__(
        self,
        calendar: Calendar,
        stock: Stock,
        replenishment: Replenishment,
        book: OrderBook,
        *,
        books: Books,
        shipping: Shipping,
        rng: Random,
    ) -> None:
        self._calendar = calendar
        self._stock = stock
        self._replenishment = replenishment
        self._book = book
        self._books = books
        self._shipping = shipping
        self._rng = rng
        self._due: dict[int, list[Order]] = defaultdict(list)
        self._waiting: dict[int, deque[tuple[Order, Line]]] = defaultdict(deque)
        self._running: dict[int, Order] = {}
        self._running_of: dict[Partner, int] = defaultdict(int)

    def accept(self, day: int, basket: Basket) -> None:
        """Take an order in and decide how far it gets."""
        rng = self._rng
        order = self._book.open(day, basket)
        newness = 1 - (self._calendar.days - day) / RECENT_DAYS
        blocked_from = order.account.blocked_from
        if blocked_from is not None and day >= blocked_from:
            self._leave(order, OrderState.PLACED, OrderHold.CREDIT)
        elif rng.random() < CANCELED:
            self._cancel(day, order)
        elif rng.random() < UNDECIDED * newness:
            self._leave(order, rng.choice(UNDECIDED_STATES), None)
        else:
            self._confirm(day, order)

    def _is_recent(self, day: int) -> bool:
        """Tell whether work of this day may be unfinished."""
        return self._calendar.days - day <= RECENT_DAYS

    def _leave(self, order: Order, state: OrderState, hold: OrderHold | None) -> None:
        """Leave an order unconfirmed: nothing is promised to it."""
        order.state, order.hold = state, hold
        order.version += state is not OrderState.DRAFT
        self._book.write(order)

    def _cancel(self, day: int, order: Order) -> None:
        """Let an order be canceled, before it was confirmed or soon after."""
        order.state = OrderState.CANCELED
        order.version += 2
        if self._rng.random() < 1 / 2:
            self._sign(day, order)
        for line in order.lines:
            line.canceled = line.quantity
        self._book.write(order)

    def _sign(self, day: int, order: Order) -> None:
        """Note when an order was confirmed."""
        second = order.second + self._rng.randint(60, 5_400)
        order.confirmed_at = self._calendar.moment(day, min(second, DAY_SECONDS - 1))
        order.version += 1

    def _confirm(self, day: int, order: Order) -> None:
        """Promise stock to an order, as much as there is, and plan its shipment."""
        rng, calendar, stock = self._rng, self._calendar, self._stock
        order.state = OrderState.CONFIRMED
        order.version += 1
        self._sign(day, order)
        stock.at(day, order.second)
        for line in order.lines:
            stock.outgoing[line.slot] += line.quantity
            self._promise(order, line)
        shipping = day + rng.choice(LAGS)
        order.promised_on = calendar.iso(calendar.workday(shipping + 2))
        order.requested_on = calendar.iso(day + rng.randint(2, 14))
        if self._is_recent(day):
            shipping += rng.randint(*DELAY) if rng.random() < SLOW else 0
            order.hold = rng.choice(HOLDS) if rng.random() < HELD else None
        self._plan(shipping, order)
        self._running[order.id] = order
        self._running_of[order.account.partner] += 1

    def _promise(self, order: Order, line: Line) -> None:
        """Reserve what there is for a line; for the rest it waits in line."""
        line.reserved = self._stock.reserve(line.slot, line.quantity)
        self._replenishment.note(line.slot)
        if line.reserved < line.quantity:
            self._waiting[line.slot].append((order, line))

    def _plan(self, day: int, order: Order) -> None:
        order.planned = True
        self._due[self._calendar.workday(day)].append(order)

    def refill(self, day: int, slot: int) -> None:
        """Promise newly arrived goods to those who have waited longest."""
        waiting = self._waiting.get(slot)
        while waiting and self._stock.available(slot):
            order, line = waiting[0]
            missing = line.open - line.reserved
            line.reserved += self._stock.reserve(slot, missing)
            if line.reserved == line.open:
                waiting.popleft()
            if missing and not order.planned:
                self._plan(day + 1, order)

    def waited_for(self) -> Iterator[int]:
        """Yield the slots of which somebody waits for goods."""
        for slot, waiting in self._waiting.items():
            if any(line.open > line.reserved and not order.hold for order, line in waiting):
                yield slot

    def ship_due(self, day: int) -> Iterator[tuple[Order, Line]]:
        """Ship what is planned for a day; yield the lines that left, with their orders."""
        due = self._due.pop(day, [])
        for position, order in enumerate(due):
            second = position * SHIPPING_TAKES // len(due) + order.id % 60
            self._stock.at(day, SHIPPING_STARTS + second)
            for line in self._ship(day, order):
                yield order, line

    def _ship(self, day: int, order: Order) -> list[Line]:
        """Ship what is reserved for an order, unless its customer wants all at once."""
        order.planned = False
        ready = [line for line in order.lines if line.reserved]
        if order.hold or not ready or (order.account.all_at_once and not order.complete):
            return []
        first = not any(line.shipped for line in order.lines)
        split = RECENT_SPLIT if self._is_recent(day) else SPLIT
        if first and len(ready) > 1 and self._rng.random() < split:
            ready = ready[: len(ready) // 2]
        left = []
        parts = []
        for line in ready:
            taken, line.reserved = line.reserved, 0
            line.shipped += taken
            parts.append((line, self._stock.ship(line.slot, taken, line.id)))
            left.append((line, taken))
        self._books.shipped(day, order, left)
        self._shipping.shipped(day, self._stock.now, order, parts)
        order.version += 1
        if not order.done:
            self._go_on(day, order)
        if order.done:
            self._shipping.done(day, order)
            self._finish(order)
        return ready

    def _go_on(self, day: int, order: Order) -> None:
        """Plan the rest of an order, or let the customer give it up."""
        if self._rng.random() < GIVEN_UP:
            for line in order.lines:
                self._stock.release(line.slot, line.reserved)
                self._stock.outgoing[line.slot] -= line.open
                line.reserved, line.canceled = 0, line.open
        elif any(line.reserved for line in order.lines):
            self._plan(day + self._rng.randint(*(DELAY if self._is_recent(day) else REST)), order)

    def _finish(self, order: Order) -> None:
        """Write an order down for good."""
        order.state = OrderState.FULFILLED
        order.version += 1
        self._book.write(order)
        del self._running[order.id]
        self._running_of[order.account.partner] -= 1

    def has_running_orders(self, partner: Partner) -> bool:
        """Tell whether something is still to be shipped to a customer."""
        return self._running_of[partner] > 0

    def leave_the_rest(self) -> None:
        """Write down all orders that are still running when the history ends."""
        for order in self._running.values():
            self._book.write(order)

    def under_way(self) -> Iterator[Sheet]:
        """Yield the shipments that are still in the warehouses when the history ends."""
        yield from self._shipping.leave(self._running.values(), self._stock)
