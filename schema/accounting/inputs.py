"""Filters and orders of accounting."""

import strawberry

from resolvers.accounting.reads import (
    account_lines,
    accounts,
    fiscal_periods,
    invoices,
    journal_entries,
    payments,
)
from schema.accounting.enums import InvoiceKind, Journal, PaymentDirection, PaymentStatus
from schema.core.connection import DateRange, DecimalRange, order_input


@strawberry.input(description="Which invoices and bills to list; all conditions must hold.")
class InvoiceFilter:
    """Filter of `invoices`."""

    numbers: list[str] | None = strawberry.field(default=None, description="With these numbers.")
    kinds: list[InvoiceKind] | None = strawberry.field(
        default=None, description="Invoices to customers, bills of suppliers, or both."
    )
    payment_status: list[PaymentStatus] | None = strawberry.field(
        default=None, description="Paid this far."
    )
    open: bool | None = strawberry.field(
        default=None, description="Of which something is still to be paid, or nothing."
    )
    partner_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of these partners."
    )
    invoiced_on: DateRange | None = strawberry.field(
        default=None, description="Dated in this range."
    )
    due_on: DateRange | None = strawberry.field(default=None, description="Due in this range.")


@strawberry.input(description="Which payments to list; all conditions must hold.")
class PaymentFilter:
    """Filter of `payments`."""

    numbers: list[str] | None = strawberry.field(default=None, description="With these numbers.")
    directions: list[PaymentDirection] | None = strawberry.field(
        default=None, description="Money that came, that went, or both."
    )
    partner_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of these partners."
    )
    paid_on: DateRange | None = strawberry.field(default=None, description="Made in this range.")


@strawberry.input(description="Which journal entries to list; all conditions must hold.")
class JournalEntryFilter:
    """Filter of `journalEntries`."""

    numbers: list[str] | None = strawberry.field(default=None, description="With these numbers.")
    journals: list[Journal] | None = strawberry.field(default=None, description="In these books.")
    posted_on: DateRange | None = strawberry.field(
        default=None, description="Posted in this range."
    )


@strawberry.input(description="Which lines of an account to list; all conditions must hold.")
class AccountLineFilter:
    """Filter of an account's `lines`."""

    posted_on: DateRange | None = strawberry.field(
        default=None, description="Posted in this range."
    )
    amount: DecimalRange | None = strawberry.field(
        default=None, description="With a debit or a credit in this range."
    )


AccountOrderBy = order_input("Account", accounts, {"CODE": "By code."})
FiscalPeriodOrderBy = order_input("FiscalPeriod", fiscal_periods, {"ENDS_ON": "By its last day."})
JournalEntryOrderBy = order_input(
    "JournalEntry", journal_entries, {"POSTED_ON": "By the day they were posted."}
)
AccountLineOrderBy = order_input(
    "AccountLine", account_lines, {"POSTED_ON": "By the day they were posted."}
)
InvoiceOrderBy = order_input(
    "Invoice", invoices, {"INVOICED_ON": "By date.", "DUE_ON": "By the day they are due."}
)
PaymentOrderBy = order_input("Payment", payments, {"PAID_ON": "By the day they were made."})
