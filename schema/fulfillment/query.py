"""Root fields of fulfillment."""

from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.core.errors import Invalid
from resolvers.fulfillment.loaders import shipment_by_id, shipment_by_number
from resolvers.fulfillment.reads import shipments
from schema.core.connection import Connection, connection
from schema.core.fields import argument, fetched, find
from schema.core.ids import decode_id
from schema.fulfillment.inputs import ShipmentFilter, ShipmentOrderBy
from schema.fulfillment.types import Shipment


@strawberry.type
class Query:
    """Root fields of this module."""

    @fetched("One shipment, by its id or its number.", requires="shipments.read")
    async def shipment(
        context: Context,
        columns: frozenset[str],
        id: Annotated[strawberry.ID | None, argument("Id of the shipment.")] = None,
        number: Annotated[str | None, argument("Number of the shipment in the company.")] = None,
    ) -> Shipment | None:
        """Load a shipment by whichever key was given."""
        if (id is None) == (number is None):
            raise Invalid("Give either id or number.", path=("id",))
        if id is not None:
            return await find(context, shipment_by_id, decode_id(id, "Shipment"), columns)
        return await find(context, shipment_by_number, number, columns)

    shipments: Connection[Shipment] | None = connection(
        "The shipments, those planned latest first.",
        shipments,
        filter_input=ShipmentFilter,
        order=ShipmentOrderBy,
        requires="shipments.read",
    )
