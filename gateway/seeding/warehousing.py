"""What happens in warehouses besides shipping: deliveries, returns, transfers, counts."""

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
from gateway.seeding.orders import Line, Order
from gateway.seeding.purchases import Purchase, Receipt
from gateway.seeding.purchasing import Arrival, Delivery, Purchasing
from gateway.seeding.replenishment import Replenishment
from gateway.seeding.stock import Stock
from gateway.seeding.warehouse_book import Looked, Transfer, WarehouseBook
from resolvers.returns.rules import Disposition
from resolvers.warehousing.rules import CountState

REJECTED = 0.02
"""Share of deliveries of which a part goes to quarantine first."""
RETURNED = 0.012
"""Share of shipped lines that come back, in part."""
RETURNED_LATELY = 0.2
RECENTLY = 8
"""The same of the last so many days, within some days: screens show what came back."""
KEPT_ASIDE = 0.75
"""Share of returns that are looked at before they are sold; the rest can be sold at once."""
WHY_BACK = ("Damaged on the way", "Wrong article", "Ordered too many", "Did not fit")
TRANSFERRED = 0.015
"""Transfers per order of the day, where a company has several warehouses."""
LATELY = 4
"""On so many days before the end warehouses help each other out: something is in transit."""
OVERDUE = 9
"""So many days before the end a transfer leaves that is still not there: somebody has to ask."""
SENT_BACK = 0.08
IN_PARTS = 0.15
"""Shares of transfers that go back where they came from, and that come in two parts."""
COUNT_EVERY = 28
"""Days between two counts of a warehouse."""
COUNTED = 6
"""Products looked at in a count."""
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
        book: WarehouseBook,
        rng: Random,
        luck: Random,
    ) -> None:
        self._book = book
        self._luck = luck
        self._on_their_way: list[Transfer] = []
        self._warehouses: Sequence[Warehouse] = ()
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
        self._warehouses = warehouses
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
        if self._calendar.days - day == OVERDUE:
            anywhere = [slot for slot in self._stocked if self._stock.is_lot(slot)]
            self._luck.shuffle(anywhere)
            left = (slot for slot in anywhere if self._send(day, slot, arrives=False))
            next(left, None)
            next(left, None)
        lately = self._calendar.days - day <= LATELY
        for _ in range(int(orders * TRANSFERRED + self._luck.random())):
            self._send(day, self._luck.choice(self._stocked))
        if lately:
            self._help_out(day)
            tracked = [slot for slot in self._stocked if self._stock.is_lot(slot)]
            for _ in range(2):
                self._send(day, self._luck.choice(tracked))
        for warehouse in self._warehouses:
            if (day + warehouse.id * 9) % COUNT_EVERY == COUNT_EVERY - 1:
                self._count_some(day, warehouse, CountState.POSTED)

    def evening(self, day: int) -> None:
        """Buy what is running out."""
        for arrival, delivery in self._purchasing.buy(day):
            self._agenda[arrival].append(partial(self._deliver, delivery))

    def end(self) -> None:
        """Write down what is still on its way, and counts that are going on, at the end."""
        for transfer in self._on_their_way:
            self._book.close(transfer)
        last = self._calendar.days - 1
        for warehouse in self._warehouses:
            self._count_some(last, warehouse, CountState.COUNTING)
        self._count_some(last, self._warehouses[0], CountState.CANCELED)

    def _help_out(self, day: int) -> None:
        """Let goods leave for a warehouse where somebody waits for them."""
        for slot in sorted(self._fulfillment.waited_for()):
            product, target = self._stock.product(slot), self._stock.warehouse(slot)
            for origin in self._stock.company(slot).warehouses:
                if origin is not target and self._send(
                    day, self._stock.slot(product, origin), target
                ):
                    return

    def _send(
        self, day: int, slot: int, target: Warehouse | None = None, *, arrives: bool = True
    ) -> bool:
        """Let some of a product leave for another warehouse of the company, if it can be spared.

        Tells whether it did.
        """
        rng, stock = self._luck, self._stock
        product, company, origin = stock.product(slot), stock.company(slot), stock.warehouse(slot)
        others = [one for one in company.warehouses if one is not origin]
        spare = min(stock.available(slot), stock.balance(slot, stock.zone(slot)))
        spare //= 4 if target is None else 2  # where somebody waits more is spared
        step = product.leaf.order_size.step
        quantity = spare // step * step
        if not others or not quantity or product.discontinued != NEVER or not product.on_sale(day):
            return False
        target = target or rng.choice(others)
        expected = self._calendar.workday(day + rng.randint(1, 6))
        transfer = self._book.open_transfer(
            day,
            stock.now,
            company,
            product.id,
            (origin, target),
            expected,
            stock.parts(slot, quantity),
        )
        there = stock.slot(product, target)
        for line in transfer.lines:
            stock.send(slot, there, line.lot, line.quantity, line.id)
        self._replenishment.note(slot)
        self._on_their_way.append(transfer)
        task = partial(self._arrive, transfer, slot, there)
        if rng.random() < SENT_BACK:
            task = partial(self._go_back, transfer, slot, there)
        if arrives:
            self._agenda[expected].append(task)
        return True

    def _arrive(self, transfer: Transfer, _slot: int, there: int, day: int) -> None:
        """Take in what came of a transfer; the rest of it may come some days later."""
        in_parts = transfer.version == 1 and self._luck.random() < IN_PARTS
        step = self._stock.product(there).leaf.order_size.step
        for line in transfer.lines:
            came = line.open
            if in_parts and came > step and line.lot is None:
                came = max(step, came // 2 // step * step)
                later = self._calendar.workday(day + 2)
                self._agenda[later].append(partial(self._arrive, transfer, _slot, there))
            self._stock.arrive(there, there, line.lot, came, line.id)
            line.received += came
        self._ended(transfer)
        self._replenishment.note(there)
        self._fulfillment.refill(day, there)

    def _go_back(self, transfer: Transfer, slot: int, there: int, day: int) -> None:
        """Let a transfer go back where it came from."""
        for line in transfer.lines:
            self._stock.arrive(slot, there, line.lot, line.open, line.id)
            line.returned = line.quantity
        self._ended(transfer)
        self._fulfillment.refill(day, slot)

    def _ended(self, transfer: Transfer) -> None:
        """Write a transfer down if nothing of it is on its way any more."""
        transfer.version += 1
        if not any(line.open for line in transfer.lines):
            transfer.ended_at = self._stock.now
            self._on_their_way.remove(transfer)
            self._book.close(transfer)

    def _count_some(self, day: int, warehouse: Warehouse, state: CountState) -> None:
        """Count some products where they usually are; correct what was found too much or little."""
        rng, stock = self._luck, self._stock
        slots = [slot for slot in self._stocked if stock.warehouse(slot) is warehouse]
        looked: list[Looked] = []
        for slot in sorted(rng.sample(slots, min(COUNTED, len(slots)))):
            place = stock.zone(slot)
            counted = state is CountState.POSTED or len(looked) % 2 == 0
            held = list(stock.lots.at(stock.product(slot).id, place))
            if held:
                looked += [
                    Looked(
                        self._book.next_count_line(),
                        stock.product(slot).id,
                        place,
                        lot,
                        there,
                        stock.last_move,
                        there if counted else None,
                    )
                    for lot, there in held
                    if there > 0
                ]
                continue
            there = stock.balance(slot, place)
            if there <= 0:
                continue
            step = stock.product(slot).leaf.order_size.step
            line_id, last = self._book.next_count_line(), stock.last_move
            difference = step if state is CountState.COUNTING else 0
            if state is CountState.POSTED and rng.random() < MISCOUNTED:
                difference = rng.choice((-1, -1, 1)) * step
                if self._can_take(slot, place, -difference):
                    stock.adjust(slot, place, difference, "Counted", line_id)
                    self._replenishment.note(slot)
                    self._fulfillment.refill(day, slot)
                else:
                    difference = 0
            looked.append(
                Looked(
                    line_id,
                    stock.product(slot).id,
                    place,
                    None,
                    there,
                    last,
                    there + difference if counted else None,
                )
            )
        if looked:
            note = {CountState.COUNTING: "Going on", CountState.CANCELED: "Wrong warehouse"}
            self._book.count(
                day,
                stock.now,
                stock.company(slots[0]),
                warehouse,
                state=state,
                looked=looked,
                note=note.get(state),
            )

    def shipped(self, day: int, order: Order, line: Line) -> None:
        """Let a shipped line come back now and then, unless the product is sold off."""
        rng = self._rng
        if rng.random() < RETURNED and line.product.discontinued == NEVER:
            quantity = _part(line.shipped, line.product, rng.randint(20, 50))
            back = self._calendar.workday(day + rng.randint(5, 30))
            self._agenda[back].append(partial(self._take_back, order, line, quantity))
        elif (
            self._calendar.days - day <= RECENTLY
            and line.product.discontinued == NEVER
            and self._luck.random() < RETURNED_LATELY
        ):
            quantity = _part(line.shipped, line.product, 30)
            back = self._calendar.workday(day + self._luck.randint(1, 4))
            self._agenda[back].append(partial(self._take_back, order, line, quantity))

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
                self._take_in(day, delivery.purchase, receipt, arrival)
            self._books.received(day, delivery.purchase, receipt)
        self._purchasing.settle(delivery)
        for arrival in delivery.arrivals:
            self._replenishment.note(arrival.line.slot)

    def _take_in(self, day: int, purchase: Purchase, receipt: Receipt, arrival: Arrival) -> None:
        """Take in what arrived of a line and promise it to those who wait."""
        line, quantity, before = arrival.line, arrival.quantity, arrival.line.received
        rng, stock, slot = self._rng, self._stock, line.slot
        rejected = 0
        if rng.random() < REJECTED:
            rejected = min(quantity, _part(quantity, line.product, rng.randint(10, 30)))
        line_id = self._purchasing.receive(receipt, line, quantity, rejected)
        reason = f"Delivery from {line.offer.supplier.partner.name}"
        if rejected:
            cost = purchase.worth(line, before + rejected) - purchase.worth(line, before)
            stock.receive(slot, stock.warehouse(slot).quarantine, rejected, reason, line_id, cost)
            self._inspect_after(day, slot, rejected)
        if quantity > rejected:
            place = stock.zone(slot, overflow=rng.random() < OVERFLOW)
            cost = purchase.worth(line, before + quantity)
            cost -= purchase.worth(line, before + rejected)
            stock.receive(slot, place, quantity - rejected, reason, line_id, cost)
            self._fulfillment.refill(day, slot)

    def _take_back(self, order: Order, line: Line, quantity: int, day: int) -> None:
        """Take back a part of what was shipped: to be looked at, to be sold, or given up."""
        stock, slot = self._stock, line.slot
        chance = self._luck.random()
        disposition, place = Disposition.INSPECT, stock.warehouse(slot).quarantine
        if chance > KEPT_ASIDE:
            disposition, place = Disposition.RESTOCK, stock.zone(slot)
        if chance > (1 + KEPT_ASIDE) / 2:
            disposition, place = Disposition.SCRAP, stock.scrapped(slot)
        back_id = self._book.take_back(
            day, stock.now, order, line, quantity, disposition, self._luck.choice(WHY_BACK)
        )
        stock.take_back(slot, place, quantity, line.id, back_id)
        if disposition is Disposition.INSPECT:
            self._inspect_after(day, slot, quantity)
        elif disposition is Disposition.RESTOCK:
            self._fulfillment.refill(day, slot)

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
        coming = self._replenishment.coming(slot) or self._stock.incoming[slot]
        return bool(self._stock.outgoing[slot] or coming or in_quarantine)


def _part(quantity: int, product: Product, percent: int) -> int:
    """Return about ``percent`` of a quantity, in whole steps, at least one."""
    step = product.leaf.order_size.step
    return max(step, quantity * percent // (100 * step) * step)
