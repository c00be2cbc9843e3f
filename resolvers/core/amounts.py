"""Amounts of order lines; pure, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

PRICE_STEP: Final = Decimal("0.000001")
"""Prices of one unit have six decimals."""
_EXACT: Final = Context(prec=80, rounding=ROUND_HALF_UP)
"""Enough digits for the product of the largest numbers there are."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """What a line comes to: without tax, and the tax on it."""

    net: Decimal
    tax: Decimal


def line_amounts(
    quantity: Decimal, unit_price: Decimal, *, tax_kind: str | None, tax_rate: Decimal, digits: int
) -> Amounts:
    """Return what a line comes to, both rounded half away from zero to the currency's digits.

    The tax is that percentage of the net amount, or that much for each unit.
    """
    step = Decimal(1).scaleb(-digits)
    net = _EXACT.quantize(_EXACT.multiply(quantity, unit_price), step)
    if tax_kind is None:
        return Amounts(net, Decimal(0))
    due = (
        _EXACT.divide(_EXACT.multiply(net, tax_rate), Decimal(100))
        if tax_kind == "PERCENT"
        else _EXACT.multiply(quantity, tax_rate)
    )
    return Amounts(net, _EXACT.quantize(due, step))


def goods_cost(quantity: Decimal, unit_price: Decimal, rate: Decimal, digits: int) -> Decimal:
    """Return quantity x price x rate, rounded once, half away from zero."""
    exact = _EXACT.multiply(_EXACT.multiply(quantity, unit_price), rate)
    return _EXACT.quantize(exact, Decimal(1).scaleb(-digits))


def share_of(value: Decimal, part: Decimal, whole: Decimal, digits: int) -> Decimal:
    """Return what a part of a whole, above 0, has of a value, rounded half away from zero."""
    exact = _EXACT.divide(_EXACT.multiply(value, part), whole)
    return _EXACT.quantize(exact, Decimal(1).scaleb(-digits))


def converted(
    price: Decimal, currency: str, wanted: str, rates: Mapping[str, Decimal]
) -> Decimal | None:
    """Return a price in the currency ``wanted``, None if there is no rate to convert it at.

    ``rates`` tell what one unit of a currency is worth in the currency of the books.
    """
    if currency == wanted:
        return price
    if currency not in rates or wanted not in rates:
        return None
    worth = _EXACT.multiply(price, rates[currency])
    return _EXACT.quantize(_EXACT.divide(worth, rates[wanted]), PRICE_STEP)
