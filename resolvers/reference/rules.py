"""Words and rules of taxes; pure, no I/O."""

from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum


class TaxUse(StrEnum):
    """On what kind of document a tax is."""

    SALE = "SALE"
    PURCHASE = "PURCHASE"


class TaxKind(StrEnum):
    """What the rate of a tax is of."""

    PERCENT = "PERCENT"
    FIXED = "FIXED"


class TaxPosition(StrEnum):
    """Where the other party is, seen from the company; decides which tax applies."""

    DOMESTIC = "DOMESTIC"
    EXPORT = "EXPORT"


def line_tax(net: Decimal, quantity: Decimal, kind: str, rate: Decimal, digits: int) -> Decimal:
    """Return the tax on a line of ``net``, in its currency, which has so many ``digits``.

    Rounded half up, away from zero, as PostgreSQL's ``round(numeric)`` does; ``rate`` is percent of
    the net amount, or an amount for each unit.

    Raises:
        ValueError: ``kind`` is no `TaxKind`.

    """
    percent = TaxKind(kind) is TaxKind.PERCENT
    exact = net * rate / 100 if percent else quantity * rate
    return exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
