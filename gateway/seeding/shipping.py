"""Shipments of the demo: what left for orders, what is being packed, and how far orders are."""

from collections.abc import Iterable, Iterator, Sequence
from random import Random

from gateway.seeding.amounts import amount_text
from gateway.seeding.calendar import Calendar
from gateway.seeding.orders import Line, Order
from gateway.seeding.rows import Sheet
from gateway.seeding.stock import Part, Stock
from resolvers.fulfillment.rules import FulfillmentStepName, ShipmentState, StepState
from resolvers.sales.rules import OrderState

CARRIERS = ("DHL", "DPD", "GLS", "UPS")
ON_THE_WAY = (1, 1, 2, 2, 3)
"""Days from a warehouse to a customer."""
LINES_PER_PACKAGE = 6
STEPS_KEPT = 30
"""Steps of orders that were done so many days ago are forgotten."""
NOT_PLANNED_YET = 4
"""One of so many orders with reserved goods has no shipment so far."""
UNDER_WAY = (ShipmentState.PLANNED, ShipmentState.PICKING, ShipmentState.PACKED)
LABEL_FAILS = 0.08
"""Share of packed orders whose carrier made no label yet."""
LABEL_ERROR = "The carrier did not answer in time."


class Shipping:
    """Writes shipments down as they leave, and at last those that are still in the warehouse."""

    def __init__(self, calendar: Calendar, rng: Random) -> None:
        self._calendar = calendar
        self._rng = rng
        self._shipments = self._lines = self._packages = self._steps = 0
        self._numbers: dict[tuple[int, int], int] = {}
        self.shipments = Sheet(
            "shipment",
            *("id", "company_id", "number", "order_id", "partner_id", "warehouse_id"),
            *("ship_to_id", "state", "planned_on", "shipped_at", "delivered_on", "carrier"),
            *("tracking_no", "version", "created_at"),
        )
        self.lines = Sheet(
            "shipment_line",
            *("id", "company_id", "partner_id", "shipment_id", "position", "order_line_id"),
            *("product_id", "quantity", "picked", "location_id", "lot_id"),
        )
        self.packages = Sheet(
            "package",
            *("id", "company_id", "partner_id", "shipment_id", "position", "tracking_no"),
        )
        self.steps = Sheet(
            "fulfillment_step",
            *("id", "company_id", "partner_id", "order_id", "step", "position", "state"),
            *("attempts", "last_error", "finished_at"),
        )

    @property
    def sheets(self) -> tuple[Sheet, ...]:
        """What is written as the days pass."""
        return self.shipments, self.lines, self.packages, self.steps

    def shipped(
        self, day: int, moment: str, order: Order, taken: Sequence[tuple[Line, Sequence[Part]]]
    ) -> None:
        """Write down what left for an order at a moment: from where, of each line."""
        arrival = day + self._rng.choice(ON_THE_WAY)
        arrived = arrival < self._calendar.days
        state = ShipmentState.DELIVERED if arrived else ShipmentState.SHIPPED
        self._write(order, state, day, moment, arrival if arrived else None, taken)

    def _write(  # noqa: PLR0917 - a row has many columns
        self,
        order: Order,
        state: ShipmentState,
        day: int,
        moment: str | None,
        arrival: int | None,
        taken: Sequence[tuple[Line, Sequence[Part]]],
    ) -> None:
        rng, account, calendar = self._rng, order.account, self._calendar
        self._shipments += 1
        id_, year = self._shipments, calendar.date(day).year
        key = (account.company.id, year)
        number = self._numbers[key] = self._numbers.get(key, 0) + 1
        carrier = rng.choice(CARRIERS)
        packed = state not in UNDER_WAY[:2]
        labeled = packed and (moment is not None or rng.random() >= LABEL_FAILS)
        tracking = f"{carrier}{rng.randrange(10**11):011d}" if labeled else None
        self.shipments.add(
            id_,
            account.company.id,
            f"SH-{year}-{number:06d}",
            order.id,
            account.partner.id,
            account.warehouse.id,
            account.ship_to,
            state,
            calendar.iso(day),
            moment,
            None if arrival is None else calendar.iso(arrival),
            carrier if packed else None,
            tracking,
            1 + UNDER_WAY.index(state) if state in UNDER_WAY else 4,
            calendar.moment(max(day - 1, order.day), 20 * 3600),
        )
        parts = [(line, part) for line, parts in taken for part in parts]
        for position, (line, (place, lot, quantity)) in enumerate(parts, 1):
            self._lines += 1
            picked = quantity if packed else 0
            if state is ShipmentState.PICKING and position == 1:
                picked = quantity
            self.lines.add(
                self._lines,
                account.company.id,
                account.partner.id,
                id_,
                position,
                line.id,
                line.product.id,
                amount_text(quantity),
                amount_text(picked),
                place,
                lot,
            )
        if packed:
            for position in range(1, 2 + (len(taken) - 1) // LINES_PER_PACKAGE):
                self._packages += 1
                self.packages.add(
                    self._packages,
                    account.company.id,
                    account.partner.id,
                    id_,
                    position,
                    None if tracking is None else f"{tracking}-{position}",
                )
        if state in UNDER_WAY:
            self._work(order, state, labeled=labeled)

    def done(self, day: int, order: Order) -> None:
        """Write down the steps of an order that was finished lately."""
        if self._calendar.days - day <= STEPS_KEPT:
            finished = self._calendar.moment(day, 21 * 3600)
            for step in FulfillmentStepName:
                self._step(order, step, StepState.DONE, 1, None, finished)

    def _work(self, order: Order, state: ShipmentState, *, labeled: bool) -> None:
        """Write down how far an order is of which something is in the warehouse."""
        reached = UNDER_WAY.index(state)
        finished = self._calendar.moment(self._calendar.days - 1, 17 * 3600)
        states = {
            FulfillmentStepName.RESERVE: StepState.DONE,
            FulfillmentStepName.PICK: StepState.DONE if reached > 1 else StepState.PENDING,
            FulfillmentStepName.PACK: StepState.DONE if reached > 1 else StepState.PENDING,
            FulfillmentStepName.LABEL: StepState.PENDING,
            FulfillmentStepName.SHIP: StepState.PENDING,
        }
        if reached > 1:
            states[FulfillmentStepName.LABEL] = StepState.DONE if labeled else StepState.FAILED
        for step, how in states.items():
            failed = how is StepState.FAILED
            tried = 3 if failed else int(how is StepState.DONE)
            self._step(
                order,
                step,
                how,
                tried,
                LABEL_ERROR if failed else None,
                finished if how is StepState.DONE else None,
            )

    def _step(  # noqa: PLR0917 - a row has many columns
        self,
        order: Order,
        step: FulfillmentStepName,
        state: StepState,
        attempts: int,
        error: str | None,
        finished: str | None,
    ) -> None:
        self._steps += 1
        self.steps.add(
            self._steps,
            order.account.company.id,
            order.account.partner.id,
            order.id,
            step,
            list(FulfillmentStepName).index(step) + 1,
            state,
            attempts,
            error,
            finished,
        )

    def leave(self, orders: Iterable[Order], stock: Stock) -> Iterator[Sheet]:
        """Plan what is reserved for orders that are still running when the history ends."""
        last = self._calendar.days - 1
        for order in orders:
            reserved = [line for line in order.lines if line.reserved]
            if order.state is OrderState.CONFIRMED and reserved and not order.hold:
                state = self._rng.choice(UNDER_WAY)
                planned = self._calendar.workday(last + self._rng.randint(0, 4))
                if order.id % NOT_PLANNED_YET:
                    parts = [(line, _parts(stock, state, line)) for line in reserved]
                    self._write(order, state, planned, None, None, parts)
        yield from self.sheets


def _parts(stock: Stock, state: ShipmentState, line: Line) -> list[Part]:
    """Return where what is reserved for a line is taken from, which is known once it is picked."""
    if state is ShipmentState.PLANNED:
        return [(None, None, line.reserved)]
    return stock.allocate(line.slot, line.reserved)
