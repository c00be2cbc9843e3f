"""Mutations of sales orders that several modules have a say in."""

from datetime import date
from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.core.document import Asked
from resolvers.core.errors import Invalid
from resolvers.order_to_cash.commands import NewOrder, OrderLine, confirm_order, place_order
from schema.core.fields import argument
from schema.core.ids import decode_id
from schema.core.payload import ExpectedVersion, IdempotencyKey, mutation
from schema.order_to_cash.inputs import PlaceSalesOrderInput
from schema.sales.types import ReserveOrderPayload


@strawberry.type
class Mutation:
    """Root fields of this module."""

    @mutation(
        "Accept an order: what it needs is planned for, and what there is in its warehouses is "
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
            **await confirm_order(context, idempotency_key, Asked(order_id, expected_version))
        )

    @mutation(
        "Take an order of a customer at today's prices and taxes, and accept it at once if you "
        "like. Over the customer's credit it is placed and put on hold instead of being accepted.",
        requires="sales.write",
    )
    async def place_sales_order(
        context: Context,
        idempotency_key: IdempotencyKey,
        input: Annotated[PlaceSalesOrderInput, argument("The order.")],
    ) -> ReserveOrderPayload | None:
        """Run the command."""
        new = _new_order(input, None)
        return ReserveOrderPayload.done(
            **await place_order(context, idempotency_key, new, confirm=input.confirm)
        )

    @mutation(
        "Offer an order to a customer at today's prices and taxes. Nothing is promised; "
        "confirmSalesOrder accepts it at these prices until it ends.",
        requires="sales.write",
    )
    async def quote_sales_order(
        context: Context,
        idempotency_key: IdempotencyKey,
        input: Annotated[
            PlaceSalesOrderInput, argument("What is offered; its confirm must be false.")
        ],
        valid_until: Annotated[
            date | None, argument("Last day it can be accepted on; null: it does not end.")
        ] = None,
    ) -> ReserveOrderPayload | None:
        """Run the command."""
        if input.confirm:
            raise Invalid("A quote is not confirmed at once.", path=("input", "confirm"))
        new = _new_order(input, valid_until)
        return ReserveOrderPayload.done(
            **await place_order(context, idempotency_key, new, confirm=False, quote=True)
        )


def _new_order(input: PlaceSalesOrderInput, valid_until: date | None) -> NewOrder:
    return NewOrder(
        partner_id=decode_id(input.partner_id, "Partner", path=("input", "partnerId")),
        lines=[OrderLine(line.sku, line.qty, line.uom) for line in input.lines],
        warehouse_id=None
        if input.warehouse_id is None
        else decode_id(input.warehouse_id, "Warehouse", path=("input", "warehouseId")),
        ship_to_id=None
        if input.ship_to_id is None
        else decode_id(input.ship_to_id, "Address", path=("input", "shipToId")),
        channel=input.channel.strip(),
        customer_ref=_trimmed(input.customer_ref),
        external_ref=_trimmed(input.external_ref),
        requested_on=input.requested_on,
        valid_until=valid_until,
        sourcing=input.sourcing,
        policy=input.fulfillment_policy,
        hold_id=None
        if input.hold_id is None
        else decode_id(input.hold_id, "StockHold", path=("input", "holdId")),
    )


def _trimmed(text: str | None) -> str | None:
    return None if text is None else text.strip()
