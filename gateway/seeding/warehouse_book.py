"""What is written down in the warehouses: transfers, counts and returns."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.seeding.amounts import amount_text
from gateway.seeding.calendar import Calendar
from gateway.seeding.companies import Company, Warehouse, actor
from gateway.seeding.orders import Line, Order
from gateway.seeding.rows import Sheet
from resolvers.returns.rules import Disposition
from resolvers.warehousing.rules import CountState, TransferState


@dataclass(slots=True, eq=False)
class TransferLine:
    """So much of a lot that was sent, and what came of it."""

    id: int
    lot: int | None
    quantity: int
    received: int = 0
    returned: int = 0

    @property
    def open(self) -> int:
        """What is on its way."""
        return self.quantity - self.received - self.returned


@dataclass(slots=True, eq=False)
class Transfer:
    """Goods of one product on their way from a slot to another; ``version`` counts its changes."""

    id: int
    number: str
    company: Company
    product_id: int
    ends: tuple[Warehouse, Warehouse]
    day: int
    expected: int
    sent_at: str
    lines: list[TransferLine]
    version: int = 1
    ended_at: str | None = None

    @property
    def state(self) -> TransferState:
        """Where the goods are."""
        if any(line.open for line in self.lines):
            return TransferState.IN_TRANSIT
        came = any(line.received for line in self.lines)
        return TransferState.RECEIVED if came else TransferState.CANCELED


@dataclass(frozen=True, slots=True)
class Looked:
    """What was looked at in a count, by its line's id: what should be there and what was."""

    id: int
    product_id: int
    place: int
    lot: int | None
    expected: int
    last_move: int
    counted: int | None


class WarehouseBook:
    """Writes transfers, counts and returns down when nothing more happens with them."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._ids = dict.fromkeys(("TR", "transfer line", "CT", "RT", "return line"), 0)
        self._numbers: dict[tuple[str, int, int], int] = {}
        self.count_lines_used = 0
        """The id of the last line of a count."""
        self.transfers = Sheet(
            *("stock_transfer", "id", "company_id", "number", "from_warehouse_id"),
            *("to_warehouse_id", "state", "sent_on", "expected_on", "sent_at", "sent_by"),
            *("ended_at", "version"),
        )
        self.transfer_lines = Sheet(
            *("stock_transfer_line", "id", "company_id", "transfer_id", "to_warehouse_id"),
            *("expected_on", "position", "product_id", "lot_id", "quantity", "received"),
            "returned",
        )
        self.counts = Sheet(
            *("stock_count", "id", "company_id", "number", "warehouse_id", "state", "note"),
            *("started_on", "started_at", "started_by", "ended_at", "version"),
        )
        self.count_lines = Sheet(
            *("stock_count_line", "id", "company_id", "count_id", "position", "product_id"),
            *("location_id", "lot_id", "expected", "last_move_id", "counted", "counted_at"),
            "counted_by",
        )
        self.returns = Sheet(
            *("goods_return", "id", "company_id", "partner_id", "number", "order_id"),
            *("warehouse_id", "reason", "received_on", "posted_at", "posted_by"),
        )
        self.return_lines = Sheet(
            *("goods_return_line", "id", "company_id", "partner_id", "return_id", "position"),
            *("order_line_id", "product_id", "quantity", "disposition"),
        )

    @property
    def sheets(self) -> tuple[Sheet, ...]:
        """What is written, in the order that foreign keys need."""
        return (
            *(self.transfers, self.transfer_lines, self.counts, self.count_lines),
            *(self.returns, self.return_lines),
        )

    def _next(self, what: str) -> int:
        self._ids[what] += 1
        return self._ids[what]

    def _number(self, prefix: str, company: Company, day: int) -> str:
        year = self._calendar.date(day).year
        key = (prefix, company.id, year)
        count = self._numbers[key] = self._numbers.get(key, 0) + 1
        return f"{prefix}-{year}-{count:06d}"

    def open_transfer(  # noqa: PLR0917 - what a transfer is made of
        self,
        day: int,
        moment: str,
        company: Company,
        product_id: int,
        ends: tuple[Warehouse, Warehouse],
        expected: int,
        parts: Sequence[tuple[int | None, int]],
    ) -> Transfer:
        """Make a transfer of one product, a line for each lot; it is written down by `close`."""
        return Transfer(
            id=self._next("TR"),
            number=self._number("TR", company, day),
            company=company,
            product_id=product_id,
            ends=ends,
            day=day,
            expected=expected,
            sent_at=moment,
            lines=[TransferLine(self._next("transfer line"), lot, part) for lot, part in parts],
        )

    def close(self, transfer: Transfer) -> None:
        """Write a transfer down for good."""
        origin, target = transfer.ends
        company = transfer.company
        expected = self._calendar.iso(transfer.expected)
        self.transfers.add(
            *(transfer.id, company.id, transfer.number, origin.id, target.id, transfer.state),
            *(self._calendar.iso(transfer.day), expected, transfer.sent_at, actor(company.id)),
            *(transfer.ended_at, transfer.version),
        )
        for position, line in enumerate(transfer.lines, 1):
            self.transfer_lines.add(
                *(line.id, company.id, transfer.id, target.id, expected, position),
                *(transfer.product_id, line.lot, amount_text(line.quantity)),
                *(amount_text(line.received), amount_text(line.returned)),
            )

    def next_count_line(self) -> int:
        """Return the id of another line of a count."""
        self.count_lines_used += 1
        return self.count_lines_used

    def count(
        self,
        day: int,
        moment: str,
        company: Company,
        warehouse: Warehouse,
        *,
        state: CountState,
        looked: Sequence[Looked],
        note: str | None,
    ) -> None:
        """Write a count down, and what was looked at."""
        id_, who = self._next("CT"), actor(company.id)
        ended = None if state is CountState.COUNTING else moment
        self.counts.add(
            *(id_, company.id, self._number("CT", company, day), warehouse.id, state, note),
            *(self._calendar.iso(day), moment, who, ended, 1 if ended is None else 3),
        )
        for position, line in enumerate(looked, 1):
            counted = line.counted is not None
            self.count_lines.add(
                *(line.id, company.id, id_, position, line.product_id, line.place, line.lot),
                *(amount_text(line.expected), line.last_move),
                amount_text(line.counted) if line.counted is not None else None,
                *((moment, who) if counted else (None, None)),
            )

    def take_back(  # noqa: PLR0917 - what a return is made of
        self,
        day: int,
        moment: str,
        order: Order,
        line: Line,
        quantity: int,
        disposition: Disposition,
        reason: str,
    ) -> int:
        """Write down that a part of an order's line came back; return the id of its line."""
        id_, line_id = self._next("RT"), self._next("return line")
        account = order.account
        self.returns.add(
            *(id_, account.company.id, account.partner.id),
            self._number("RT", account.company, day),
            *(order.id, account.warehouse.id, reason, self._calendar.iso(day), moment),
            actor(account.company.id),
        )
        self.return_lines.add(
            *(line_id, account.company.id, account.partner.id, id_, 1, line.id),
            *(line.product.id, amount_text(quantity), disposition),
        )
        return line_id
