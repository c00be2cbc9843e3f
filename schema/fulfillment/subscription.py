"""Subscriptions to the work on shipments."""

from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.core.stream import Told
from resolvers.fulfillment.events import SHIPMENT_WORK_CHANGED, ShipmentInterest, shipments_of
from resolvers.fulfillment.loaders import shipment_by_id
from schema.core.fields import RowType, argument
from schema.core.ids import decode_id
from schema.core.stream import SnapshotReason, Stream, stream
from schema.fulfillment.types import Shipment


@strawberry.type
class Subscription:
    """Root fields of this module."""

    @stream(
        "Shipments of a warehouse, each as it is now: one whenever it is new, or its state, its "
        "day, its carrier, what was picked of it or where to take it from changed; all that are "
        "being prepared where a state is told. An API client bound to a partner is told of its "
        "own.",
        item=list[Shipment],
        requires="shipments.read",
        snapshot=True,
        size=100,
    )
    def shipment_work_changed(
        context: Context,
        warehouse_id: Annotated[strawberry.ID, argument("Warehouse that they leave from.")],
    ) -> Stream:
        """Tell each shipment whose work changed."""
        interest = ShipmentInterest(
            warehouse_id=decode_id(warehouse_id, "Warehouse", path=("warehouseId",)),
            own=context.principal.partner_id,
        )
        return Stream(
            topics=(SHIPMENT_WORK_CHANGED,),
            interest=interest,
            tell=_shipment,
            snapshot=_shipments,
        )


def _shipment(told: Told, interest: ShipmentInterest) -> list[RowType]:
    del interest
    return [Shipment.found(shipment_by_id, told.last.payload["shipment_id"])]


async def _shipments(
    interest: ShipmentInterest, place: str, reason: SnapshotReason, context: Context
) -> list[RowType]:
    del place, reason
    keys = await shipments_of(context.reads, interest)
    return [Shipment.found(shipment_by_id, key) for key in keys]
