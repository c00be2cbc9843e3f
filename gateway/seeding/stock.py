"""Stock as the history goes on: every change is a move; balances and levels follow from moves."""

from array import array
from collections.abc import Iterable, Iterator, Sequence

from gateway.seeding.amounts import amount_text
from gateway.seeding.calendar import DAY_SECONDS, Calendar
from gateway.seeding.catalog import Product
from gateway.seeding.companies import Company, Location, Warehouse, actor
from gateway.seeding.lots import Lots, Taken
from gateway.seeding.rows import Sheet
from gateway.seeding.valuation import Valuation
from resolvers.catalog.rules import Tracking
from resolvers.inventory.rules import (
    RECEIPT_LINE,
    RETURN_LINE,
    LocationKind,
    MoveKind,
    ReservationSource,
)
from resolvers.valuation.rules import INSIDE, share, value_kind
from resolvers.warehousing.rules import COUNT_LINE, TRANSFER_LINE

Part = tuple[int | None, int | None, int]
"""Of a line: place, lot, and how much; no place where nobody looked for one yet."""


class Stock:
    """Stock of all products everywhere; quantities are in ten-thousandths.

    A `slot` stands for a product in a warehouse, whether it was ever there or not.
    """

    def __init__(
        self,
        calendar: Calendar,
        companies: Sequence[Company],
        locations: Sequence[Location],
        products: Sequence[Product],
        valuation: Valuation,
    ) -> None:
        self._calendar = calendar
        self._products = products
        self._locations = locations
        self._warehouses = [(c, w) for c in companies for w in c.warehouses]
        self._sellable = [False, *(place.sellable for place in locations)]

        self.slots = (len(products) + 1) * len(self._warehouses)
        self.on_hand = array("q", bytes(8 * self.slots))
        self.reserved = array("q", bytes(8 * self.slots))
        self.outgoing = array("q", bytes(8 * self.slots))
        """What confirmed orders still need, reserved or not."""
        self.incoming = array("q", bytes(8 * self.slots))
        """What confirmed purchase orders and transfers still bring."""
        self._changed = array("q", bytes(8 * self.slots))
        """Seconds into the history at which a level changed last, 0 if there is none."""
        self._row = len(locations) + 1
        self._balance = array("q", bytes(8 * self._row * (len(products) + 1)))
        self._touched = bytearray(len(self._balance))

        self._tracking = [Tracking.NONE, *(product.tracking for product in products)]
        self.lots = Lots()
        self._valuation = valuation
        self._inside = [False, *(place.kind in INSIDE for place in locations)]
        self._kinds = [LocationKind.INTERNAL, *(place.kind for place in locations)]
        self._corrected: dict[int, tuple[int, Taken]] = {}
        """Of each correction its lots, and the place, until it could be taken back no more."""
        self._allocated: dict[tuple[int, int, int | None], int] = {}
        """What is to be taken from where of each product, of each lot."""
        self._moves = 0
        self._now = 0
        self._posted_at = self._effective_on = ""
        self.moves = Sheet(
            "stock_move",
            "id",
            "company_id",
            "product_id",
            "from_location_id",
            "to_location_id",
            "quantity",
            "kind",
            "reason",
            "source",
            "source_id",
            "reversal_of_id",
            "idempotency",
            "effective_on",
            "posted_at",
            "posted_by",
            "lot_id",
            "cost",
        )

    def at(self, day: int, second: int) -> None:
        """Set the clock: what is posted next is posted then."""
        self._now = day * DAY_SECONDS + second
        self._posted_at = self._calendar.moment(day, second)
        self._effective_on = self._posted_at[:10]

    @property
    def now(self) -> str:
        """The moment at which what is posted next is posted."""
        return self._posted_at

    def slot(self, product: Product, warehouse: Warehouse) -> int:
        """Return the slot of a product in a warehouse."""
        return product.id * len(self._warehouses) + warehouse.id - 1

    def product(self, slot: int) -> Product:
        """Return the product of a slot."""
        return self._products[slot // len(self._warehouses) - 1]

    def warehouse(self, slot: int) -> Warehouse:
        """Return the warehouse of a slot."""
        return self._warehouses[slot % len(self._warehouses)][1]

    def company(self, slot: int) -> Company:
        """Return the company that owns a slot."""
        return self._warehouses[slot % len(self._warehouses)][0]

    def zone(self, slot: int, *, overflow: bool = False) -> int:
        """Return where a warehouse keeps a product, or where it puts what does not fit there."""
        zones = self.warehouse(slot).zones
        return zones[(slot // len(self._warehouses) + overflow) % len(zones)]

    def available(self, slot: int) -> int:
        """Return what can still be promised."""
        return self.on_hand[slot] - self.reserved[slot]

    def balance(self, slot: int, place: int) -> int:
        """Return how much of a slot's product lies at a place."""
        return self._balance[slot // len(self._warehouses) * self._row + place]

    def reserve(self, slot: int, quantity: int) -> int:
        """Promise as much of ``quantity`` as there is; return how much that is."""
        taken = min(quantity, self.available(slot))
        if taken:
            self.reserved[slot] += taken
            self._changed[slot] = self._now
        return taken

    def release(self, slot: int, quantity: int) -> None:
        """Take back a promise."""
        if quantity:
            self.reserved[slot] -= quantity
            self._changed[slot] = self._now

    def open(self, slot: int, quantity: int) -> None:
        """Take over stock that was there before the history."""
        loss = self._virtual(slot, LocationKind.LOSS)
        self._move(
            MoveKind.OPENING,
            slot,
            loss,
            self.zone(slot),
            quantity,
            reason="Opening balance",
            lots=self._new(slot, quantity),
        )

    def receive(  # noqa: PLR0917 - what a move is made of
        self, slot: int, place: int, quantity: int, reason: str, line_id: int, cost: int
    ) -> None:
        """Take in goods from a supplier, for a line of a goods receipt, at what all of it costs."""
        supplier = self._virtual(slot, LocationKind.SUPPLIER)
        self._move(
            MoveKind.RECEIPT,
            slot,
            supplier,
            place,
            quantity,
            reason=reason,
            line_id=line_id,
            source=RECEIPT_LINE,
            lots=self._new(slot, quantity, line_id),
            cost=cost,
        )

    def ship(self, slot: int, quantity: int, line_id: int) -> list[Part]:
        """Send reserved goods of an order line to the customer, from their usual place first.

        Returns what left from where.
        """
        customer = self._virtual(slot, LocationKind.CUSTOMER)
        self.reserved[slot] -= quantity
        self.outgoing[slot] -= quantity
        left: list[Part] = []
        for place, taken in self._pick(slot, quantity):
            lots = self._oldest(slot, place, taken)
            if lots is not None:
                self.lots.shipped(line_id, lots)
            self._move(MoveKind.SHIPMENT, slot, place, customer, taken, line_id=line_id, lots=lots)
            left += [(place, lot, part) for lot, part in lots or ((None, taken),)]
        return left

    def allocate(self, slot: int, quantity: int) -> list[Part]:
        """Say where to take reserved goods from that nobody was sent for yet: the oldest first."""
        product_id = slot // len(self._warehouses)
        there: list[tuple[int, str, int, int | None, int]] = []
        for place in self.warehouse(slot).zones:
            held: Iterable[tuple[int | None, int]] = [(None, self.balance(slot, place))]
            if self._is_tracked(slot):
                held = self.lots.at(product_id, place)
            code = self._locations[place - 1].code
            there += [(lot or 0, code, place, lot, amount) for lot, amount in held]
        parts: list[Part] = []
        for _, _, place, lot, amount in sorted(there):
            key = (product_id, place, lot)
            part = min(amount - self._allocated.get(key, 0), quantity)
            if part > 0:
                self._allocated[key] = self._allocated.get(key, 0) + part
                parts.append((place, lot, part))
                quantity -= part
        return parts

    def _pick(self, slot: int, quantity: int) -> Iterator[tuple[int, int]]:
        """Yield places and quantities that add up to ``quantity``."""
        zones = self.warehouse(slot).zones
        first = zones.index(self.zone(slot))
        for place in (*zones[first:], *zones[:first]):
            taken = min(quantity, self.balance(slot, place))
            if taken:
                yield place, taken
                quantity -= taken
            if not quantity:
                return
        raise AssertionError("reserved goods are in no zone")

    def take_back(self, slot: int, place: int, quantity: int, line_id: int, back_id: int) -> None:
        """Take back goods that left for an order's line, by a return's line."""
        cost = None
        if self._inside[place]:
            cost = self._valuation.cost_of_return(self.company(slot), line_id, quantity)
        self._move(
            MoveKind.RETURN,
            slot,
            self._virtual(slot, LocationKind.CUSTOMER),
            place,
            quantity,
            line_id=back_id,
            source=RETURN_LINE,
            lots=self.lots.back(line_id, quantity) if self._is_tracked(slot) else None,
            cost=cost,
        )

    def scrapped(self, slot: int) -> int:
        """Return where a slot's company keeps what was given up."""
        return self._virtual(slot, LocationKind.SCRAP)

    @property
    def last_move(self) -> int:
        """The id of the last move."""
        return self._moves

    def is_lot(self, slot: int) -> bool:
        """Tell whether a slot's product is tracked by lots."""
        return self._tracking[slot // len(self._warehouses)] is Tracking.LOT

    def parts(self, slot: int, quantity: int) -> list[tuple[int | None, int]]:
        """Return the lots of goods that are to leave their usual place, and how much of each."""
        lots = self._oldest(slot, self.zone(slot), quantity)
        return [(None, quantity)] if lots is None else list(lots)

    def send(self, slot: int, target: int, lot: int | None, quantity: int, line_id: int) -> None:
        """Let goods leave for another warehouse, where they are incoming then."""
        transit = self._virtual(slot, LocationKind.TRANSIT)
        self._carry(slot, self.zone(slot), transit, lot, quantity, line_id)
        self.incoming[target] += quantity

    def arrive(self, slot: int, target: int, lot: int | None, quantity: int, line_id: int) -> None:
        """Let goods come from transit to a slot; they were to come to ``target``."""
        transit = self._virtual(slot, LocationKind.TRANSIT)
        self._carry(slot, transit, self.zone(slot), lot, quantity, line_id)
        self.incoming[target] -= quantity

    def _carry(  # noqa: PLR0917 - what a move is made of
        self, slot: int, origin: int, target: int, lot: int | None, quantity: int, line_id: int
    ) -> None:
        self._move(
            MoveKind.TRANSFER,
            slot,
            origin,
            target,
            quantity,
            line_id=line_id,
            source=TRANSFER_LINE,
            lots=None if lot is None else [(lot, quantity)],
        )

    def transfer(self, slot: int, origin: int, target: int, quantity: int, reason: str) -> None:
        """Carry goods from one place of a warehouse to another."""
        lots = self._oldest(slot, origin, quantity)
        self._move(MoveKind.TRANSFER, slot, origin, target, quantity, reason=reason, lots=lots)

    def scrap(self, slot: int, place: int, quantity: int, reason: str) -> None:
        """Throw goods away."""
        scrap = self._virtual(slot, LocationKind.SCRAP)
        lots = self._oldest(slot, place, quantity)
        self._move(MoveKind.SCRAP, slot, place, scrap, quantity, reason=reason, lots=lots)

    def adjust(
        self, slot: int, place: int, difference: int, reason: str, line_id: int | None = None
    ) -> list[int]:
        """Correct what lies at a place by ``difference``, which is not 0; return the moves' ids.

        ``line_id`` is the line of a count that found it.
        """
        loss = self._virtual(slot, LocationKind.LOSS)
        quantity = abs(difference)
        if difference < 0:
            lots = self._oldest(slot, place, quantity)
            return self._move(
                MoveKind.ADJUSTMENT,
                slot,
                place,
                loss,
                quantity,
                reason=reason,
                line_id=line_id,
                source=COUNT_LINE,
                lots=lots,
            )
        found = self._found(slot, place, quantity)
        return self._move(
            MoveKind.ADJUSTMENT,
            slot,
            loss,
            place,
            quantity,
            reason=reason,
            line_id=line_id,
            source=COUNT_LINE,
            lots=found,
        )

    def reverse(
        self, slot: int, place: int, difference: int, moves: Sequence[int], reason: str
    ) -> bool:
        """Take back a correction by ``difference``, by moves that point at its own.

        False where other lots lie there by now.
        """
        loss = self._virtual(slot, LocationKind.LOSS)
        origin, target = (place, loss) if difference > 0 else (loss, place)
        parts = [self._corrected.pop(move, None) for move in moves]
        product_id = slot // len(self._warehouses)
        lots = [part[1] for part in parts if part is not None]
        if difference > 0 and not all(self.lots.holds(product_id, place, one) for one in lots):
            return False
        for move, part in zip(moves, parts, strict=True):
            quantity = abs(difference) if part is None else part[0]
            self._move(
                MoveKind.ADJUSTMENT,
                slot,
                origin,
                target,
                quantity,
                reason=reason,
                reversal_of=move,
                lots=None if part is None else part[1],
            )
        return True

    def _is_tracked(self, slot: int) -> bool:
        return self._tracking[slot // len(self._warehouses)] is not Tracking.NONE

    def _new(self, slot: int, quantity: int, line_id: int | None = None) -> Taken | None:
        """Return new lots for what comes in; a receipt's line brings one, wherever it is put."""
        if not self._is_tracked(slot):
            return None
        known = self.lots.of_receipt(line_id)
        serial = self._tracking[slot // len(self._warehouses)] is Tracking.SERIAL
        if known is not None and not serial:
            return [(known, quantity)]
        product_id = slot // len(self._warehouses)
        made = self.lots.make(
            self.company(slot).id, product_id, quantity, serial=serial, moment=self._posted_at
        )
        if line_id is not None and not serial:
            self.lots.received(line_id, made)
        return made

    def _oldest(self, slot: int, place: int, quantity: int) -> Taken | None:
        if not self._is_tracked(slot):
            return None
        return self.lots.oldest(slot // len(self._warehouses), place, quantity)

    def _found(self, slot: int, place: int, quantity: int) -> Taken | None:
        """Return what was found too much: of the newest lot there, a new one if there is none."""
        product_id = slot // len(self._warehouses)
        if self._tracking[product_id] is Tracking.LOT:
            newest = self.lots.newest(product_id, place)
            if newest is not None:
                return [(newest, quantity)]
        return self._new(slot, quantity)

    def _virtual(self, slot: int, kind: LocationKind) -> int:
        """Return the virtual location of a kind of the company that owns a slot."""
        return self.company(slot).virtual[kind]

    def _move(
        self,
        kind: MoveKind,
        slot: int,
        origin: int,
        target: int,
        quantity: int,
        *,
        reason: str | None = None,
        line_id: int | None = None,
        source: str = ReservationSource.SALES_ORDER_LINE,
        reversal_of: int | None = None,
        lots: Taken | None = None,
        cost: int | None = None,
    ) -> list[int]:
        """Post a move, one for each lot; balances at both ends follow, the level, and the worth."""
        product_id, warehouse = divmod(slot, len(self._warehouses))
        company_id = self._warehouses[warehouse][0].id
        row = product_id * self._row
        self._balance[row + origin] -= quantity
        self._balance[row + target] += quantity
        self._touched[row + origin] = self._touched[row + target] = 1
        gain = self._sellable[target] - self._sellable[origin]
        if gain:
            self.on_hand[slot] += gain * quantity
            self._changed[slot] = self._now
        first, done = self._moves + 1, 0
        for lot, part in lots or ((None, quantity),):
            self._moves += 1
            its_cost = None
            if cost is not None:
                step = 10 ** (4 - self.company(slot).currency.digits)
                its_cost = share(cost, done + part, quantity, step)
                its_cost -= share(cost, done, quantity, step)
                done += part
            self._value(slot, kind, (origin, target), part, lot, line_id, its_cost)
            if lot is not None:
                self.lots.move(product_id, origin, target, lot, part)
                if kind is MoveKind.ADJUSTMENT and reversal_of is None:
                    self._corrected[self._moves] = (part, [(lot, part)])
            self.moves.add(
                self._moves,
                company_id,
                product_id,
                origin,
                target,
                amount_text(part),
                kind,
                reason,
                None if line_id is None else source,
                line_id,
                reversal_of,
                f"demo-{self._moves}",
                self._effective_on,
                self._posted_at,
                actor(company_id),
                lot,
                None if its_cost is None else amount_text(its_cost),
            )
        return list(range(first, self._moves + 1))

    def _value(  # noqa: PLR0917 - what an entry is made of
        self,
        slot: int,
        kind: MoveKind,
        ends: tuple[int, int],
        quantity: int,
        lot: int | None,
        line_id: int | None,
        cost: int | None,
    ) -> None:
        """Value the last move, if it came into the company or left it."""
        origin, target = ends
        if self._inside[origin] is self._inside[target]:
            return
        product_id = slot // len(self._warehouses)
        comes = self._inside[target]
        why = value_kind(kind, self._kinds[origin if comes else target])
        told = (self.company(slot), product_id, self._moves, quantity, lot, why, self._posted_at)
        if comes:
            self._valuation.came(*told, cost)
        else:
            self._valuation.left(*told, line_id)

    def levels(self) -> Iterator[Sheet]:
        """Yield the levels of all warehouses, some at a time."""
        sheet = Sheet(
            "stock_level",
            "id",
            "company_id",
            "product_id",
            "warehouse_id",
            "on_hand",
            "reserved",
            "updated_at",
        )
        number = 0
        for slot, company, product, warehouse in self.places():
            if self._changed[slot]:
                number += 1
                sheet.add(
                    number,
                    company.id,
                    product.id,
                    warehouse.id,
                    amount_text(self.on_hand[slot]),
                    amount_text(self.reserved[slot]),
                    self._calendar.moment(*divmod(self._changed[slot], DAY_SECONDS)),
                )
                yield sheet

    def projections(self) -> Iterator[Sheet]:
        """Yield what is to come and to go, for every level and for what was never there."""
        sheet = Sheet(
            "stock_projection", "company_id", "product_id", "warehouse_id", "incoming", "outgoing"
        )
        for slot, company, product, warehouse in self.places():
            if self._changed[slot] or self.incoming[slot] or self.outgoing[slot]:
                sheet.add(
                    company.id,
                    product.id,
                    warehouse.id,
                    amount_text(self.incoming[slot]),
                    amount_text(self.outgoing[slot]),
                )
                yield sheet

    def places(self) -> Iterator[tuple[int, Company, Product, Warehouse]]:
        """Yield every slot with what it stands for."""
        for product in self._products:
            for company, warehouse in self._warehouses:
                yield self.slot(product, warehouse), company, product, warehouse

    def balances(self) -> Iterator[Sheet]:
        """Yield the balances of all locations that were ever part of a move, some at a time."""
        sheet = Sheet(
            *("stock_balance", "id", "company_id", "product_id", "location_id", "on_hand"),
            *("lot_id", "is_serial"),
        )
        number = 0
        for product in self._products:
            row, serial = product.id * self._row, product.tracking is Tracking.SERIAL
            for place in self._locations:
                if not self._touched[row + place.id]:
                    continue
                held: Iterable[tuple[int | None, int]] = [(None, self._balance[row + place.id])]
                if product.tracking is not Tracking.NONE:
                    held = self.lots.at(product.id, place.id)
                for lot, on_hand in held:
                    number += 1
                    sheet.add(
                        number,
                        place.company_id,
                        product.id,
                        place.id,
                        amount_text(on_hand),
                        lot,
                        serial,
                    )
            yield sheet
