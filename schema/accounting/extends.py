"""What accounting adds to lower modules' types."""

from typing import Any

from resolvers.accounting.loaders import (
    bills_by_purchase_order,
    invoices_by_sales_order,
    receivables_by_partner,
)
from resolvers.accounting.reads import invoices, payments
from schema.accounting.aggregates import InvoiceConnection, PaymentConnection
from schema.accounting.inputs import InvoiceFilter, InvoiceOrderBy, PaymentFilter, PaymentOrderBy
from schema.accounting.types import Invoice, PartnerReceivables
from schema.core.connection import connection
from schema.core.extend import extend
from schema.core.fields import related, related_with
from schema.core.info import Info
from schema.partners.types import Partner
from schema.purchasing.types import PurchaseOrder
from schema.sales.types import SalesOrder


@extend(Partner)
class PartnerInvoices:
    """Invoices and payments of partners."""

    invoices: InvoiceConnection | None = connection(
        "Invoices to the partner and bills from it, latest first.",
        invoices,
        filter_input=InvoiceFilter,
        order=InvoiceOrderBy,
        parent="partner_id",
        requires="invoices.read",
    )
    payments: PaymentConnection | None = connection(
        "Money that came from the partner or went to it, latest first.",
        payments,
        filter_input=PaymentFilter,
        order=PaymentOrderBy,
        parent="partner_id",
        requires="invoices.read",
    )

    @related_with(
        receivables_by_partner,
        "id",
        "What the partner owes today, what is overdue, and what credit is left.",
        bind=lambda context, _: {"day": context.clock().date()},
        requires="invoices.read",
    )
    def receivables(root: Any, info: Info) -> PartnerReceivables | None:
        """Work out what a partner owes."""


@extend(SalesOrder)
class SalesOrderInvoices:
    """Invoices of sales orders."""

    invoices: list[Invoice] | None = related(
        "Invoices for what was shipped of it.",
        invoices_by_sales_order,
        "id",
        requires="invoices.read",
        size=2,
    )


@extend(PurchaseOrder)
class PurchaseOrderBills:
    """Bills of purchase orders."""

    bills: list[Invoice] | None = related(
        "Bills for what was received of it.",
        bills_by_purchase_order,
        "id",
        requires="invoices.read",
        size=2,
    )
