"""Mutations of sales orders."""

from datetime import date
from decimal import Decimal
from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.sales.commands import reserve_order
from resolvers.sales.loaders import order_by_id
from schema.core.fields import RowType, argument, column, held, related
from schema.core.ids import decode_id
from schema.core.node import row_type
from schema.core.payload import (
    ExpectedVersion,
    IdempotencyKey,
    Payload,
    UserError,
    mutation,
)
from schema.sales.types import SalesOrder


@row_type("Shortage", "A line of an order that there is not enough stock for.")
class Shortage(RowType):
    """A shortage of the outcome of `reserve_order`."""

    sku: str = column("SKU of the product.")
    requested: Decimal = column("How much the line waits for.")
    available: Decimal = column("How much of that there is.")
    next_incoming_on: date | None = column(
        "Day on which the next of it is expected; null if nothing is on its way.", of="next_on"
    )
    next_incoming_qty: Decimal | None = column(
        "How much comes then; null if nothing is on its way.", of="next_quantity"
    )


@strawberry.type(description="What was reserved for an order, or why it was refused.")
class ReserveOrderPayload(Payload):
    """Outcome of `resolvers.sales.commands.reserve_order`."""

    order: SalesOrder | None = related(
        "The order as it is now; null when there is no such order.", order_by_id, "id"
    )
    shortages: list[Shortage] = held("Lines that still wait for stock.", "shortages", size=5)
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


@strawberry.type
class Mutation:
    """Root fields of this module."""

    @mutation(
        "Promise stock to the lines of a confirmed order that wait for it, from its warehouse. "
        "What is promised cannot be promised to others, nor be taken away.",
        requires="sales.write",
    )
    async def reserve_order(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Annotated[strawberry.ID, argument("Id of the order.")],
        expected_version: ExpectedVersion = None,
        all_or_nothing: Annotated[
            bool,
            argument(
                "True: everything, or nothing. False: as much as there is, first line first; the "
                "rest comes back as shortages."
            ),
        ] = False,
    ) -> ReserveOrderPayload | None:
        """Run the command."""
        order_id = decode_id(id, "SalesOrder", path=("id",))
        return ReserveOrderPayload.done(
            **await reserve_order(
                context,
                idempotency_key,
                order_id,
                expected_version,
                all_or_nothing=all_or_nothing,
            )
        )
