"""Exchange rates: what documents are converted to the currency of the books with."""

from collections.abc import Iterator
from random import Random

from gateway.seeding.amounts import half_up
from gateway.seeding.calendar import Calendar
from gateway.seeding.companies import Currency
from gateway.seeding.rows import Sheet

SCALE = 10**12
SWING = 25
"""Rates lie within so many thousandths of their average; they change monthly."""


class ExchangeRates:
    """The same rate for every document of a month."""

    def __init__(self, calendar: Calendar, rng: Random) -> None:
        self._calendar = calendar
        self._rng = rng
        self._rates: dict[tuple[str, str, str], str] = {}

    def rate(self, books: Currency, currency: Currency, day: int) -> str:
        """Return what one unit of ``currency`` is worth in the currency of the books."""
        if books is currency:
            return "1"
        key = (books.code, currency.code, self._calendar.iso(day)[:7])
        if key not in self._rates:
            swing = self._rng.randint(1000 - SWING, 1000 + SWING)
            rate = half_up(books.rate * SCALE * swing, currency.rate * 1000)
            self._rates[key] = f"{rate // SCALE}.{rate % SCALE:012d}"
        return self._rates[key]

    def rows(self) -> Iterator[Sheet]:
        """Yield the rates that documents were converted at, each from the first of its month."""
        sheet = Sheet("currency_rate", "id", "base", "quote", "valid_on", "rate", "source")
        for number, (books, currency, month) in enumerate(sorted(self._rates), 1):
            rate = self._rates[books, currency, month]
            sheet.add(number, currency, books, f"{month}-01", rate, "DEMO")
        yield sheet
