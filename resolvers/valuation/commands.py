"""What commands of the flows ask valuation for."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import BigInteger, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from resolvers.core.context import Context
from resolvers.core.transaction import Transaction
from resolvers.identity.loaders import company as company_entity
from resolvers.inventory.loaders import SALES_ORDER_LINE
from resolvers.inventory.loaders import stock_move as move_entity
from resolvers.reference.loaders import currency as currency_entity
from resolvers.valuation.tables import valuation_entry

_move = move_entity.columns


class Sold(NamedTuple):
    """How much left for a line of an order, and what that cost."""

    quantity: Decimal
    cost: Decimal


async def digits_of_books(context: Context, connection: Transaction) -> int:
    """Return how many decimals amounts in the company's books have."""
    company, currency = company_entity.columns, currency_entity.columns
    return int(
        await connection.scalar(
            select(currency["digits"])
            .join(company_entity.table, company["currency"] == currency["code"])
            .where(company["id"] == context.principal.company_id)
        )
        or 0
    )


async def sold_for(connection: Transaction, line_ids: Sequence[int]) -> Mapping[int, Sold]:
    """Return what left for lines of sales orders, and what it cost; lines without are left out."""
    entry = valuation_entry.c
    found = await connection.execute(
        select(
            _move["source_id"].label("line_id"),
            (-func.sum(entry.quantity)).label("quantity"),
            (-func.sum(entry.amount)).label("cost"),
        )
        .join(valuation_entry, entry.move_id == _move["id"])
        .where(
            _move["source"] == SALES_ORDER_LINE,
            _move["source_id"] == any_(bindparam("lines", type_=ARRAY(BigInteger))),
        )
        .group_by(_move["source_id"]),
        {"lines": sorted(line_ids)},
    )
    return {row.line_id: Sold(row.quantity, row.cost) for row in found}
