"""Exact arithmetic for quantities, prices and money: integers of one ten-thousandth.

The store keeps quantities and money with four decimals. Counting in ten-thousandths gives the same
results as Decimal, several times faster, and no float slips in: it would show as a type error.
"""

SCALE = 10_000
"""Ten-thousandths in one: `3 * SCALE` is three pieces, three euros or three percent."""

HUNDRED_PERCENT = 100 * SCALE
DECIMALS = 4


def amount_text(amount: int) -> str:
    """Write an amount as PostgreSQL's numeric reads it."""
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    whole, part = divmod(amount, SCALE)
    return f"{sign}{whole}.{part:04d}" if part else f"{sign}{whole}"


def half_up(numerator: int, denominator: int) -> int:
    """Divide and round half away from zero; for amounts that are not negative."""
    return (2 * numerator + denominator) // (2 * denominator)


def rounded(amount: int, digits: int) -> int:
    """Round an amount to a currency's digits, half away from zero."""
    step: int = 10 ** (DECIMALS - digits)
    return half_up(amount, step) * step


def line_net(quantity: int, unit_price: int, discount_percent: int, digits: int) -> int:
    """Return what a line costs: quantity x price less discount, rounded once, at the end."""
    step: int = 10 ** (DECIMALS - digits)
    exact = quantity * unit_price * (HUNDRED_PERCENT - discount_percent)
    return half_up(exact, HUNDRED_PERCENT * SCALE * step) * step


def goods_cost(quantity: int, unit_price: int, rate: str, digits: int) -> int:
    """Return quantity x price x rate, a text of up to 12 decimals, rounded once, at the end."""
    whole, _, part = rate.partition(".")
    step: int = 10 ** (DECIMALS - digits)
    exact = quantity * unit_price * int(whole + part.ljust(12, "0"))
    return half_up(exact, SCALE * 10**12 * step) * step


def percent_of(amount: int, percent: int, digits: int) -> int:
    """Return ``percent`` of an amount, rounded to a currency's digits."""
    step: int = 10 ** (DECIMALS - digits)
    return half_up(amount * percent, HUNDRED_PERCENT * step) * step


def converted(amount: int, rate: int, digits: int) -> int:
    """Convert a price by an exchange rate; a price that is not zero never becomes zero."""
    step: int = 10 ** (DECIMALS - digits)
    price = half_up(amount * rate, SCALE * step) * step
    return max(price, step) if amount else 0
