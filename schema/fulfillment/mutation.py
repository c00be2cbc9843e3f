"""Mutations of shipments, and of orders as far as shipments are concerned."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated

import strawberry

from resolvers.core.command import Outcome
from resolvers.core.context import Context
from resolvers.core.document import Asked
from resolvers.fulfillment.commands import (
    PickedLine,
    Planning,
    ShipLine,
    Shipping,
    cancel_order,
    cancel_shipment,
    confirm_delivery,
    pack_shipment,
    plan_shipment,
    ship_order,
    ship_shipment,
    start_picking,
)
from resolvers.fulfillment.loaders import shipment_by_id
from resolvers.inventory.loaders import move_by_id
from resolvers.sales.loaders import order_by_id
from schema.core.fields import argument, column, listed, related
from schema.core.ids import decode_id
from schema.core.payload import ExpectedVersion, IdempotencyKey, Payload, UserError, mutation
from schema.fulfillment.inputs import PickedLineInput, PlanLineInput, ShipLineInput
from schema.fulfillment.types import Shipment
from schema.inventory.types import StockMove
from schema.sales.types import SalesOrder, SalesOrderPayload


@strawberry.type(description="What left for an order, or why it was refused.")
class ShipOrderPayload(Payload):
    """Outcome of `resolvers.fulfillment.commands.ship_order`."""

    shipment: Shipment | None = related(
        "The shipment that left, the first of several; null when there is none.",
        shipment_by_id,
        "shipment_id",
    )
    shipments: list[Shipment] = listed(
        "The shipments that left, one from each warehouse.", shipment_by_id, "shipment_ids"
    )
    moves: list[StockMove] = listed(
        "Entries made in the stock ledger: which lots left, and from where.",
        move_by_id,
        "move_ids",
    )
    order: SalesOrder | None = related(
        "The order as it is now; null when there is no such order.", order_by_id, "id"
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


@strawberry.type(description="What is to be picked for an order, or why it was refused.")
class PlanShipmentPayload(Payload):
    """Outcome of `resolvers.fulfillment.commands.plan_shipment`."""

    shipment: Shipment | None = related(
        "The shipment that was planned, the first of several; null when there is none.",
        shipment_by_id,
        "shipment_id",
    )
    shipments: list[Shipment] = listed(
        "The shipments that were planned, one in each warehouse.", shipment_by_id, "shipment_ids"
    )
    order: SalesOrder | None = related(
        "The order as it is now; null when there is no such order.", order_by_id, "id"
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


@strawberry.type(description="What was done with a shipment, or why it was refused.")
class ShipmentPayload(Payload):
    """Outcome of commands that change a shipment and nothing besides."""

    shipment: Shipment | None = related(
        "The shipment as it is now; null when there is no such shipment.",
        shipment_by_id,
        "shipment_id",
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


ShipmentId = Annotated[strawberry.ID, argument("Id of the shipment.")]
Carrier = Annotated[str | None, argument("Who carries it, 1 to 100 characters.")]
TrackingNo = Annotated[str | None, argument("The carrier's number for it, 1 to 100 characters.")]


def _shipment(id_: strawberry.ID, expected_version: int | None) -> Asked:
    return Asked(decode_id(id_, "Shipment", path=("id",)), expected_version)


def _shipped(outcome: Outcome) -> ShipOrderPayload:
    """Return the payload of what left; who names one shipment alone means no other.

    A shipment that is shipped does, and so do answers kept from when an order had only one.
    """
    first = [outcome["shipment_id"]] if "shipment_id" in outcome else []
    return ShipOrderPayload.done(**{"shipment_ids": first, **outcome})


def _lines(
    lines: Sequence[ShipLineInput | PlanLineInput] | None,
) -> list[ShipLine] | None:
    if lines is None:
        return None
    return [
        ShipLine(
            decode_id(
                line.sales_order_line_id,
                "SalesOrderLine",
                path=("lines", str(position), "salesOrderLineId"),
            ),
            line.qty,
            _trimmed(line.lot_number) if isinstance(line, ShipLineInput) else None,
            line.uom,
        )
        for position, line in enumerate(lines)
    ]


def _warehouse(id_: strawberry.ID | None) -> int | None:
    return None if id_ is None else decode_id(id_, "Warehouse", path=("warehouseId",))


def _picked(line: PickedLineInput, at: tuple[str, ...]) -> PickedLine:
    location = line.location_id
    return PickedLine(
        decode_id(line.shipment_line_id, "ShipmentLine", path=(*at, "shipmentLineId")),
        line.qty,
        _trimmed(line.lot_number),
        None
        if location is None
        else decode_id(location, "StockLocation", path=(*at, "locationId")),
        line.uom,
    )


def _trimmed(text: str | None) -> str | None:
    return None if text is None else text.strip()


@strawberry.type
class Mutation:
    """Root fields of this module."""

    @mutation(
        "Let goods leave that are reserved for an order: all of them, or those of the lines given. "
        "Lots leave in the order they expire in, unless one is named.",
        requires="shipments.write",
    )
    async def ship_order(
        context: Context,
        idempotency_key: IdempotencyKey,
        order_id: Annotated[strawberry.ID, argument("Id of the order.")],
        *,
        lines: Annotated[
            list[ShipLineInput] | None,
            argument(
                "What leaves, 1 to 200 lines; null: all that is reserved and in no shipment yet."
            ),
        ] = None,
        warehouse_id: Annotated[
            strawberry.ID | None,
            argument("Where it leaves from; null: from all warehouses. Not with lines."),
        ] = None,
        carrier: Carrier = None,
        tracking_no: TrackingNo = None,
        expected_version: ExpectedVersion = None,
    ) -> ShipOrderPayload | None:
        """Run the command."""
        ordered = decode_id(order_id, "SalesOrder", path=("orderId",))
        outcome = await ship_order(
            context,
            idempotency_key,
            Asked(ordered, expected_version, ("orderId",)),
            Shipping(
                _lines(lines),
                _trimmed(carrier),
                _trimmed(tracking_no),
                _warehouse(warehouse_id),
            ),
        )
        return _shipped(outcome)

    @mutation(
        "Have goods picked that are reserved for an order and in no shipment: all of them, or "
        "those of the lines given. Nothing moves before it is shipped.",
        requires="shipments.write",
    )
    async def plan_shipment(
        context: Context,
        idempotency_key: IdempotencyKey,
        order_id: Annotated[strawberry.ID, argument("Id of the order.")],
        *,
        lines: Annotated[
            list[PlanLineInput] | None,
            argument(
                "What is picked, 1 to 200 lines; null: all that is reserved and in no shipment yet."
            ),
        ] = None,
        warehouse_id: Annotated[
            strawberry.ID | None,
            argument("Where it leaves from; null: from all warehouses. Not with lines."),
        ] = None,
        planned_on: Annotated[
            date | None, argument("Day it is planned for, not in the past; null: today.")
        ] = None,
        expected_version: ExpectedVersion = None,
    ) -> PlanShipmentPayload | None:
        """Run the command."""
        ordered = decode_id(order_id, "SalesOrder", path=("orderId",))
        outcome = await plan_shipment(
            context,
            idempotency_key,
            Asked(ordered, expected_version, ("orderId",)),
            Planning(_lines(lines), planned_on, _warehouse(warehouse_id)),
        )
        return PlanShipmentPayload.done(**{"shipment_ids": [], **outcome})

    @mutation(
        "Give up what has not left of an order: what is promised to it is free for others, and "
        "shipments that are being prepared are canceled. What has left stays, and the order is "
        "fulfilled then.",
        requires="sales.write",
    )
    async def cancel_sales_order(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Annotated[strawberry.ID, argument("Id of the order.")],
        expected_version: ExpectedVersion = None,
    ) -> SalesOrderPayload | None:
        """Run the command."""
        order_id = decode_id(id, "SalesOrder", path=("id",))
        return SalesOrderPayload.done(
            **await cancel_order(context, idempotency_key, Asked(order_id, expected_version))
        )

    @mutation(
        "Begin to collect the goods of a planned shipment: its lines tell where to go and which "
        "lot to take, first what expires first. A line that one lot or place does not suffice for "
        "becomes several.",
        requires="shipments.write",
    )
    async def start_picking(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: ShipmentId,
        expected_version: ExpectedVersion = None,
    ) -> ShipmentPayload | None:
        """Run the command."""
        return ShipmentPayload.done(
            **await start_picking(context, idempotency_key, _shipment(id, expected_version))
        )

    @mutation(
        "Give up a shipment that has not left; its goods stay promised to the order.",
        requires="shipments.write",
    )
    async def cancel_shipment(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: ShipmentId,
        expected_version: ExpectedVersion = None,
    ) -> ShipmentPayload | None:
        """Run the command."""
        return ShipmentPayload.done(
            **await cancel_shipment(context, idempotency_key, _shipment(id, expected_version))
        )

    @mutation("Write down that a shipment arrived today.", requires="shipments.write")
    async def confirm_delivery(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: ShipmentId,
        expected_version: ExpectedVersion = None,
    ) -> ShipmentPayload | None:
        """Run the command."""
        return ShipmentPayload.done(
            **await confirm_delivery(context, idempotency_key, _shipment(id, expected_version))
        )

    @mutation(
        "Call all goods of a shipment picked, and packed in so many parcels. Where another lot or "
        "location was picked than its lines tell, say so.",
        requires="shipments.write",
    )
    async def pack_shipment(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: ShipmentId,
        packages: Annotated[int, argument("Number of parcels, 1 to 100.")] = 1,
        *,
        lines: Annotated[
            list[PickedLineInput] | None,
            argument(
                "What was picked from elsewhere, 1 to 200 lines; null: all as the lines tell."
            ),
        ] = None,
        expected_version: ExpectedVersion = None,
    ) -> ShipmentPayload | None:
        """Run the command."""
        picked = None
        if lines is not None:
            picked = [_picked(line, ("lines", str(n))) for n, line in enumerate(lines)]
        return ShipmentPayload.done(
            **await pack_shipment(
                context, idempotency_key, _shipment(id, expected_version), packages, picked
            )
        )

    @mutation(
        "Let a packed shipment leave: stock, promises and what is still needed fall by its goods. "
        "They leave from where its lines tell; what is not there anymore is taken from what "
        "expires first.",
        requires="shipments.write",
    )
    async def ship_shipment(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: ShipmentId,
        *,
        carrier: Carrier = None,
        tracking_no: TrackingNo = None,
        expected_version: ExpectedVersion = None,
    ) -> ShipOrderPayload | None:
        """Run the command."""
        shipping = Shipping(None, _trimmed(carrier), _trimmed(tracking_no))
        return _shipped(
            await ship_shipment(context, idempotency_key, _shipment(id, expected_version), shipping)
        )
