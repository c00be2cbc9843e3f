"""What sales adds to lower modules' types."""

from resolvers.sales.reads import sales_orders
from schema.core.connection import connection
from schema.core.extend import extend
from schema.partners.types import Partner
from schema.sales.aggregates import SalesOrderConnection
from schema.sales.inputs import SalesOrderFilter, SalesOrderOrderBy


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
