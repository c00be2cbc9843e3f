"""Lots and serial numbers: which units of a tracked product lie where, first in first out.

Lots of one product keep equally long, so the first that came is the first to expire.
"""

from collections.abc import Iterator
from datetime import date, timedelta

from gateway.seeding.rows import Sheet

Taken = list[tuple[int, int]]
"""Lots, and how much of each, in ten-thousandths."""

ONE = 10_000
SHELF_LIFE = timedelta(days=540)


class Lots:
    """Where the lots of all tracked products are; virtual places run negative."""

    def __init__(self) -> None:
        self._count = 0
        self._at: dict[tuple[int, int], dict[int, int]] = {}
        """Of each product at each place its lots, by id and so by age."""
        self._of_line: dict[int, Taken] = {}
        """What was shipped for each order line and may come back."""
        self._of_receipt: dict[int, int] = {}
        """The lot of the goods receipt line that was taken in last, by its id."""
        self.sheet = Sheet(
            *("lot", "id", "company_id", "product_id", "number", "received_on", "expires_on"),
            "created_at",
        )

    def make(
        self, company_id: int, product_id: int, quantity: int, *, serial: bool, moment: str
    ) -> Taken:
        """Make a lot of ``quantity``, or a serial number for each unit."""
        if not serial:
            return [(self._add(company_id, product_id, moment, serial=False), quantity)]
        return [
            (self._add(company_id, product_id, moment, serial=True), ONE)
            for _ in range(quantity // ONE)
        ]

    def _add(self, company_id: int, product_id: int, moment: str, *, serial: bool) -> int:
        self._count += 1
        day = date.fromisoformat(moment[:10])
        number = f"SN{self._count:08d}" if serial else f"{day:%y%m}-{self._count:06d}"
        expires_on = None if serial else (day + SHELF_LIFE).isoformat()
        self.sheet.add(
            self._count, company_id, product_id, number, day.isoformat(), expires_on, moment
        )
        return self._count

    def received(self, line_id: int, made: Taken) -> None:
        """Remember the lot of a receipt's line, of which a part may be put elsewhere."""
        self._of_receipt = {line_id: made[0][0]}

    def of_receipt(self, line_id: int | None) -> int | None:
        """Return the lot that a receipt's line brought already, if it did."""
        return None if line_id is None else self._of_receipt.get(line_id)

    def oldest(self, product_id: int, place: int, quantity: int) -> Taken:
        """Return the oldest lots at a place that add up to ``quantity``."""
        taken = []
        for lot, there in sorted(self._at[product_id, place].items()):
            part = min(there, quantity)
            if part > 0:
                taken.append((lot, part))
                quantity -= part
            if not quantity:
                return taken
        raise AssertionError("the lots at a place are fewer than what lies there")

    def newest(self, product_id: int, place: int) -> int | None:
        """Return the newest lot at a place, if there is any."""
        there = self._at.get((product_id, place), {})
        return max((lot for lot, quantity in there.items() if quantity > 0), default=None)

    def holds(self, product_id: int, place: int, taken: Taken) -> bool:
        """Tell whether so much of these lots is at a place."""
        there = self._at.get((product_id, place), {})
        return all(there.get(lot, 0) >= quantity for lot, quantity in taken)

    def shipped(self, line_id: int, taken: Taken) -> None:
        """Remember what was sent for an order line."""
        self._of_line.setdefault(line_id, []).extend(taken)

    def back(self, line_id: int, quantity: int) -> Taken:
        """Return which of the lots sent for a line come back, the last first."""
        sent, taken = self._of_line[line_id], []
        while quantity:
            lot, there = sent.pop()
            part = min(there, quantity)
            taken.append((lot, part))
            quantity -= part
        return taken

    def move(self, product_id: int, origin: int, target: int, lot: int, quantity: int) -> None:
        """Carry a part of a lot from one place to another."""
        for place, change in ((origin, -quantity), (target, quantity)):
            there = self._at.setdefault((product_id, place), {})
            there[lot] = there.get(lot, 0) + change

    def at(self, product_id: int, place: int) -> Iterator[tuple[int, int]]:
        """Yield the lots that were ever at a place, and how much of each is there."""
        yield from sorted(self._at.get((product_id, place), {}).items())
