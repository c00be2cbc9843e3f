"""Mutations of returns."""

from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.core.document import Asked
from resolvers.inventory.loaders import move_by_id
from resolvers.returns.commands import ReturnLine, return_goods
from resolvers.returns.loaders import return_by_id
from resolvers.sales.loaders import order_by_id
from schema.core.fields import argument, column, listed, related
from schema.core.ids import decode_id
from schema.core.payload import ExpectedVersion, IdempotencyKey, Payload, UserError, mutation
from schema.inventory.types import StockMove
from schema.returns.inputs import ReturnLineInput
from schema.returns.types import GoodsReturn
from schema.sales.types import SalesOrder


@strawberry.type(description="What came back, or why it was refused.")
class ReturnGoodsPayload(Payload):
    """Outcome of `resolvers.returns.commands.return_goods`."""

    goods_return: GoodsReturn | None = related(
        "The return; null when it was refused.", return_by_id, "return_id"
    )
    moves: list[StockMove] = listed(
        "Entries made in the stock ledger, in the order of the lines.", move_by_id, "move_ids"
    )
    order: SalesOrder | None = related(
        "The order as it is now; null when there is no such order.", order_by_id, "id"
    )
    reserved_orders: list[SalesOrder] = listed(
        "Sales orders that waited for the goods and got some of them.", order_by_id, "reserved_ids"
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


@strawberry.type
class Mutation:
    """Root fields of this module."""

    @mutation(
        "Take back what left for an order, all lines or none. What can be sold again goes to sales "
        "orders that wait for it at once. The order stays shipped; its lines tell what came back.",
        requires="returns.write",
    )
    async def return_goods(
        context: Context,
        idempotency_key: IdempotencyKey,
        order_id: Annotated[strawberry.ID, argument("Id of the order.")],
        lines: Annotated[list[ReturnLineInput], argument("What came back, 1 to 200 lines.")],
        reason: Annotated[str, argument("Why it came back, 1 to 200 characters.")],
        *,
        expected_version: ExpectedVersion = None,
    ) -> ReturnGoodsPayload | None:
        """Run the command."""
        ordered = decode_id(order_id, "SalesOrder", path=("orderId",))
        back = [
            ReturnLine(
                decode_id(
                    line.sales_order_line_id,
                    "SalesOrderLine",
                    path=("lines", str(position), "salesOrderLineId"),
                ),
                line.qty,
                line.disposition,
                None if line.lot_number is None else line.lot_number.strip(),
                line.uom,
            )
            for position, line in enumerate(lines)
        ]
        asked = Asked(ordered, expected_version, ("orderId",))
        return ReturnGoodsPayload.done(
            **await return_goods(context, idempotency_key, asked, back, reason.strip())
        )
