"""Verbs of sales orders that several modules have a say in: one function per command."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from resolvers.accounting.commands import check_credit
from resolvers.core.command import Outcome
from resolvers.core.context import Context
from resolvers.sales.commands import CONFIRM, change_order, write_confirmed


async def confirm_order(
    context: Context, key: str, order_id: int, expected_version: int | None
) -> Outcome:
    """Accept an order within the customer's credit: it is demand now, and gets what there is.

    Returns the order's ``id`` and ``shortages``: the lines that wait for stock.

    Raises:
        CommandRefused: there is no such order, it changed, is on hold, was confirmed before, or the
            customer would owe too much.

    """

    async def change(connection: AsyncConnection, order: Any) -> Outcome:
        await check_credit(context, connection, order.partner_id, order.total, order.fx_rate)
        shortages = await write_confirmed(context, connection, order, operation="confirmSalesOrder")
        return {"shortages": shortages}

    return await change_order(
        context,
        key,
        order_id,
        expected_version,
        action=CONFIRM,
        operation="confirmSalesOrder",
        cause="RESERVATION",
        change=change,
    )
