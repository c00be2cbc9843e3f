"""Root fields of sales."""

from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.core.errors import Invalid
from resolvers.sales.loaders import order_by_external_ref, order_by_id, order_by_number
from resolvers.sales.reads import sales_order_lines, sales_orders
from schema.core.connection import connection
from schema.core.fields import argument, fetched, find
from schema.core.ids import decode_id
from schema.sales.aggregates import SalesOrderConnection, SalesOrderLineConnection
from schema.sales.inputs import (
    SalesOrderFilter,
    SalesOrderLineFilter,
    SalesOrderLineOrderBy,
    SalesOrderOrderBy,
)
from schema.sales.types import SalesOrder


@strawberry.type
class Query:
    """Root fields of this module."""

    @fetched(
        "One sales order, by its id, its number or the id it has in the system it came from.",
        requires="sales.read",
    )
    async def sales_order(
        context: Context,
        columns: frozenset[str],
        id: Annotated[strawberry.ID | None, argument("Id of the order.")] = None,
        number: Annotated[str | None, argument("Number of the order in the company.")] = None,
        external_ref: Annotated[
            str | None, argument("Id of the order in the system it came from.")
        ] = None,
    ) -> SalesOrder | None:
        """Load an order by whichever key was given."""
        if sum(given is not None for given in (id, number, external_ref)) != 1:
            raise Invalid("Give one of id, number and externalRef.", path=("id",))
        if id is not None:
            return await find(context, order_by_id, decode_id(id, "SalesOrder"), columns)
        if number is not None:
            return await find(context, order_by_number, number, columns)
        return await find(context, order_by_external_ref, external_ref, columns)

    sales_orders: SalesOrderConnection | None = connection(
        "The sales orders, latest first.",
        sales_orders,
        filter_input=SalesOrderFilter,
        order=SalesOrderOrderBy,
        requires="sales.read",
    )
    sales_order_lines: SalesOrderLineConnection | None = connection(
        "The lines of all sales orders, those of the latest orders first.",
        sales_order_lines,
        filter_input=SalesOrderLineFilter,
        order=SalesOrderLineOrderBy,
        requires="sales.read",
    )
