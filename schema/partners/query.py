"""Root fields of partners."""

from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.partners.loaders import partner_by_id
from resolvers.partners.reads import partners
from schema.core.connection import Connection, connection
from schema.core.fields import argument, fetched, find
from schema.core.ids import decode_id
from schema.partners.inputs import PartnerFilter, PartnerOrderBy
from schema.partners.types import Partner


@strawberry.type
class Query:
    """Root fields of this module."""

    @fetched("One partner by its id.", requires="partners.read")
    async def partner(
        context: Context,
        columns: frozenset[str],
        id: Annotated[strawberry.ID, argument("Id of the partner.")],
    ) -> Partner | None:
        """Load a partner; archived ones resolve as well."""
        return await find(context, partner_by_id, decode_id(id, "Partner"), columns)

    partners: Connection[Partner] | None = connection(
        "The company's customers, suppliers and other partners.",
        partners,
        filter_input=PartnerFilter,
        order=PartnerOrderBy,
        requires="partners.read",
    )
