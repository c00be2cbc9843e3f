"""Mutations of sales orders that several modules have a say in."""

from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.order_to_cash.commands import confirm_order
from schema.core.fields import argument
from schema.core.ids import decode_id
from schema.core.payload import ExpectedVersion, IdempotencyKey, mutation
from schema.sales.types import ReserveOrderPayload


@strawberry.type
class Mutation:
    """Root fields of this module."""

    @mutation(
        "Accept an order: what it needs is planned for, and what there is in its warehouse is "
        "promised to it. Refused when the customer would owe more than was agreed.",
        requires="sales.write",
    )
    async def confirm_sales_order(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Annotated[strawberry.ID, argument("Id of the order.")],
        expected_version: ExpectedVersion = None,
    ) -> ReserveOrderPayload | None:
        """Run the command."""
        order_id = decode_id(id, "SalesOrder", path=("id",))
        return ReserveOrderPayload.done(
            **await confirm_order(context, idempotency_key, order_id, expected_version)
        )
