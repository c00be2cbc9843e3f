"""What sales adds to lower modules' types."""

from resolvers.sales.loaders import line_by_id, order_lines_by_lot
from resolvers.sales.reads import sales_orders
from schema.core.connection import connection
from schema.core.extend import extend
from schema.core.fields import related
from schema.inventory.types import Lot, StockMove
from schema.partners.types import Partner
from schema.sales.aggregates import SalesOrderConnection
from schema.sales.inputs import SalesOrderFilter, SalesOrderOrderBy
from schema.sales.types import SalesOrderLine


@extend(Partner)
class PartnerSales:
    """Orders of partners."""

    orders: SalesOrderConnection | None = connection(
        "The partner's orders with the company acted for, latest first.",
        sales_orders,
        filter_input=SalesOrderFilter,
        order=SalesOrderOrderBy,
        parent="partner_id",
        requires="sales.read",
    )


@extend(Lot)
class LotSales:
    """Where lots went."""

    sales_order_lines: list[SalesOrderLine] | None = related(
        "Lines of sales orders that it was shipped for, or came back from.",
        order_lines_by_lot,
        "id",
        requires="sales.read",
        size=2,
    )


@extend(StockMove)
class MoveSales:
    """What stock moves were made for."""

    sales_order_line: SalesOrderLine | None = related(
        "Line of the sales order that it was made for; null where it was for something else.",
        line_by_id,
        "sales_order_line_id",
        requires="sales.read",
    )
