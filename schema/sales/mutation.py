"""Mutations of sales orders."""

from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.core.document import Asked
from resolvers.sales.commands import hold_order, release_hold, reserve_order
from schema.core.fields import argument
from schema.core.ids import decode_id
from schema.core.payload import ExpectedVersion, IdempotencyKey, mutation
from schema.sales.enums import OrderHold, SourcingStrategy
from schema.sales.types import ReserveOrderPayload, SalesOrderPayload


@strawberry.type
class Mutation:
    """Root fields of this module."""

    @mutation(
        "Promise stock to the lines of a confirmed order that wait for it. "
        "What is promised cannot be promised to others, nor be taken away.",
        requires="sales.write",
    )
    async def reserve_order(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Annotated[strawberry.ID, argument("Id of the order.")],
        *,
        expected_version: ExpectedVersion = None,
        all_or_nothing: Annotated[
            bool,
            argument(
                "True: everything, or nothing. False: as much as there is, first line first; the "
                "rest comes back as shortages."
            ),
        ] = False,
        sourcing: Annotated[
            SourcingStrategy | None,
            argument(
                "Look in other warehouses as well, in this order; lines move there, or are divided "
                "if that changes no amount. Null: only where the lines leave from."
            ),
        ] = None,
    ) -> ReserveOrderPayload | None:
        """Run the command."""
        order_id = decode_id(id, "SalesOrder", path=("id",))
        return ReserveOrderPayload.done(
            **await reserve_order(
                context,
                idempotency_key,
                Asked(order_id, expected_version),
                all_or_nothing=all_or_nothing,
                strategy=sourcing,
            )
        )

    @mutation(
        "Stop work on an order until releaseHold; what is promised to it stays promised.",
        requires="sales.write",
    )
    async def hold_sales_order(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Annotated[strawberry.ID, argument("Id of the order.")],
        reason: Annotated[OrderHold, argument("Why.")] = OrderHold.MANUAL,
        expected_version: ExpectedVersion = None,
    ) -> SalesOrderPayload | None:
        """Run the command."""
        order_id = decode_id(id, "SalesOrder", path=("id",))
        return SalesOrderPayload.done(
            **await hold_order(
                context, idempotency_key, Asked(order_id, expected_version), hold=reason
            )
        )

    @mutation("Let work on an order that is on hold go on.", requires="sales.write")
    async def release_hold(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Annotated[strawberry.ID, argument("Id of the order.")],
        expected_version: ExpectedVersion = None,
    ) -> SalesOrderPayload | None:
        """Run the command."""
        order_id = decode_id(id, "SalesOrder", path=("id",))
        return SalesOrderPayload.done(
            **await release_hold(context, idempotency_key, Asked(order_id, expected_version))
        )
