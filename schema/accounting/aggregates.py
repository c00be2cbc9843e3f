"""What invoices and payments add up to."""

from datetime import date

import strawberry

from resolvers.accounting.reads import invoice_aggregates, payment_aggregates
from resolvers.partners.loaders import partner_by_id
from schema.accounting.enums import InvoiceKind, PaymentDirection, PaymentMethod, PaymentStatus
from schema.accounting.types import Invoice, Payment
from schema.core.aggregates import BY_COUNT, NOT_GROUPED, aggregates, group_type
from schema.core.connection import Connection
from schema.core.fields import Money, RowType, column, money, related
from schema.partners.types import Partner


@strawberry.type(
    description="Amounts of a group of invoices, in the company's currency at the invoices' rates."
)
class InvoiceMeasures(RowType):
    """What is measured of a group of invoices."""

    subtotal: Money | None = money("Without tax; null in a group without rows.", "subtotal")
    tax_total: Money | None = money("Tax; null in a group without rows.", "tax_total")
    total: Money | None = money("Amount to pay; null in a group without rows.", "total")
    residual: Money | None = money("Still to be paid; null in a group without rows.", "residual")


@group_type("Invoice", invoice_aggregates, InvoiceMeasures)
class InvoiceGroup(RowType):
    """Invoices with the same keys."""

    day: date | None = column(f"Date of the invoices; {NOT_GROUPED}.")
    month: date | None = column(f"First day of the month of the invoices; {NOT_GROUPED}.")
    partner: Partner | None = related(
        f"Customer or supplier; {NOT_GROUPED}.", partner_by_id, "partner_id"
    )
    kind: InvoiceKind | None = column(f"Who is to pay; {NOT_GROUPED}.")
    payment_status: PaymentStatus | None = column(f"How much of them is paid; {NOT_GROUPED}.")


@strawberry.type(description="A page of invoices, and what the whole list adds up to.")
class InvoiceConnection(Connection[Invoice]):
    """Invoices with their aggregates."""

    aggregates: list[InvoiceGroup] = aggregates(
        "Invoice",
        invoice_aggregates,
        InvoiceGroup,
        group_by={
            "DAY": "The date of the invoice.",
            "MONTH": "The month of the invoice.",
            "PARTNER": "The customer or supplier.",
            "KIND": "Who is to pay.",
            "PAYMENT_STATUS": "How much of it is paid.",
        },
        order_by={
            **BY_COUNT,
            "sum_subtotal": "By the sum without tax.",
            "sum_tax_total": "By the tax.",
            "sum_total": "By the sum to pay.",
            "sum_residual": "By what is still to be paid.",
        },
    )


@strawberry.type(
    description="Amounts of a group of payments, in the company's currency at the payments' rates."
)
class PaymentMeasures(RowType):
    """What is measured of a group of payments."""

    amount: Money | None = money("Paid; null in a group without rows.", "amount")
    unallocated: Money | None = money(
        "Not yet used for an invoice; null in a group without rows.", "unallocated"
    )


@group_type("Payment", payment_aggregates, PaymentMeasures)
class PaymentGroup(RowType):
    """Payments with the same keys."""

    day: date | None = column(f"Day of the payments; {NOT_GROUPED}.")
    month: date | None = column(f"First day of the month of the payments; {NOT_GROUPED}.")
    partner: Partner | None = related(
        f"Who paid or was paid; {NOT_GROUPED}.", partner_by_id, "partner_id"
    )
    direction: PaymentDirection | None = column(f"Whether money came or went; {NOT_GROUPED}.")
    method: PaymentMethod | None = column(f"How it was paid; {NOT_GROUPED}.")


@strawberry.type(description="A page of payments, and what the whole list adds up to.")
class PaymentConnection(Connection[Payment]):
    """Payments with their aggregates."""

    aggregates: list[PaymentGroup] = aggregates(
        "Payment",
        payment_aggregates,
        PaymentGroup,
        group_by={
            "DAY": "The day of the payment.",
            "MONTH": "The month of the payment.",
            "PARTNER": "Who paid or was paid.",
            "DIRECTION": "Whether money came or went.",
            "METHOD": "How it was paid.",
        },
        order_by={
            **BY_COUNT,
            "sum_amount": "By the amount.",
            "sum_unallocated": "By what is not yet used for an invoice.",
        },
    )
