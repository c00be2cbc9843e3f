"""What commands of the flows ask accounting for."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from sqlalchemy import BigInteger, Date, bindparam, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from resolvers.core.command import CommandRefused
from resolvers.core.context import Context
from resolvers.core.errors import CreditLimit
from resolvers.core.transaction import Transaction

_CENTS_OF_CENTS: Final = Decimal("0.0001")


async def check_credit(
    context: Context, connection: Transaction, partner_id: int, total: Decimal, rate: Decimal
) -> None:
    """See that a customer may order for ``total``, times ``rate`` in the company's currency.

    Customers' orders are looked at one after the other until the transaction ends: two at once
    cannot use one credit twice.

    Raises:
        CommandRefused: with what is open and ordered it would be more than the limit.

    """
    company = str(context.principal.company_id)
    await connection.execute(
        select(
            func.pg_advisory_xact_lock(
                func.hashtextextended(literal(f"credit/{company}/{partner_id}"), literal(0))
            )
        )
    )
    called = func.partner_receivables(
        bindparam("partners", type_=ARRAY(BigInteger)), bindparam("day", type_=Date)
    ).table_valued("currency", "credit_limit", "available")
    found = await connection.execute(
        select(called.c.currency, called.c.credit_limit, called.c.available),
        {"partners": [partner_id], "day": context.clock().date()},
    )
    credit = found.first()
    amount = (total * rate).quantize(_CENTS_OF_CENTS, ROUND_HALF_UP)
    if credit is None or credit.available is None or amount <= credit.available:
        return
    raise CommandRefused(
        [
            CreditLimit(
                "The customer would owe more than was agreed.",
                path=("id",),
                details={
                    "creditLimit": f"{credit.credit_limit:f}",
                    "available": f"{credit.available:f}",
                    "total": f"{amount:f}",
                    "currency": credit.currency,
                },
            )
        ]
    )
