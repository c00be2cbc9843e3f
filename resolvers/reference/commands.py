"""Reference data as commands need it, at a day, inside their transactions."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import distinct_on

from resolvers.core.transaction import Transaction
from resolvers.core.units import Unit
from resolvers.reference.rules import TaxPosition, TaxUse
from resolvers.reference.tables import currency, currency_rate, tax, unit_of_measure

SALE: Final = TaxUse.SALE
PURCHASE: Final = TaxUse.PURCHASE
"""What a tax is on."""


async def rates_on(
    connection: Transaction, day: date, books: str, currencies: Sequence[str]
) -> dict[str, Decimal]:
    """Return what one unit of each currency is worth on a day in that of the books, where known."""
    rate = currency_rate.c
    found = await connection.execute(
        select(rate.base, rate.rate)
        .where(rate.quote == books, rate.base.in_(currencies), rate.valid_on <= day)
        .order_by(rate.base, rate.valid_on.desc())
        .ext(distinct_on(rate.base))
    )
    return {books: Decimal(1), **{row.base.strip(): row.rate for row in found}}


async def tax_on(connection: Transaction, day: date, use: TaxUse, *, abroad: bool) -> Any:
    """Return the tax on what is sold or bought on a day, at home or abroad; None if none is."""
    position = TaxPosition.EXPORT if abroad else TaxPosition.DOMESTIC
    found = await connection.execute(
        select(tax.c.id, tax.c.kind, tax.c.rate)
        .where(
            tax.c.use == use,
            tax.c.position == position,
            tax.c.archived_at.is_(None),
            tax.c.valid_from <= day,
            or_(tax.c.valid_to.is_(None), tax.c.valid_to > day),
        )
        .order_by(tax.c.valid_from.desc(), tax.c.id)
        .limit(1)
    )
    return found.first()


async def digits_of(connection: Transaction, code: str) -> int:
    """Return how many decimals amounts of a currency have."""
    return int(
        await connection.scalar(select(currency.c.digits).where(currency.c.code == code)) or 0
    )


async def units_by_code(connection: Transaction, codes: Sequence[str]) -> dict[str, Unit]:
    """Return the units of measure that have these codes, by code."""
    unit = unit_of_measure.c
    found = await connection.execute(
        select(unit.code, unit.dimension, unit.factor, unit.rounding).where(
            unit.code.in_(sorted(set(codes)))
        )
    )
    return {row.code: Unit(*row) for row in found}
