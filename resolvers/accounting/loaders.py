"""Accounts, entries, invoices and payments as readers know them, and how to get to them."""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Date, Integer, Numeric, Text, cast, func, select
from sqlalchemy.dialects.postgresql import CHAR, JSONB

from resolvers.accounting.tables import account as account_table
from resolvers.accounting.tables import fiscal_period as period_table
from resolvers.accounting.tables import invoice as invoice_table
from resolvers.accounting.tables import invoice_line as invoice_line_table
from resolvers.accounting.tables import journal_entry as entry_table
from resolvers.accounting.tables import journal_line as journal_line_table
from resolvers.accounting.tables import payment as payment_table
from resolvers.accounting.tables import payment_allocation as allocation_table
from resolvers.core.entity import entity
from resolvers.core.relation import by_key, children
from resolvers.core.report import Report
from resolvers.core.table import AMOUNT_STEPS
from resolvers.purchasing.loaders import purchase_order_line

_posted = journal_line_table.c
account = entity("Account", account_table)
fiscal_period = entity("FiscalPeriod", period_table)
journal_entry = entity("JournalEntry", entry_table)
journal_line = entity(
    "JournalLine",
    journal_line_table,
    # one of them is zero
    amount_steps=cast((_posted.debit + _posted.credit) * AMOUNT_STEPS, BigInteger),
)


def _matched_lines() -> ColumnElement[Any]:
    """Return what a bill's lines and those of its order say, one array for each pair."""
    ordered, line = purchase_order_line.columns, invoice_line_table.c
    told = (ordered["received"], ordered["billed"], ordered["unit_price"], line.unit_price)
    # as text: numbers of JSON would be read as floats
    pair = func.jsonb_build_array(*(cast(value, Text) for value in told))
    found = (
        select(func.coalesce(func.jsonb_agg(pair), func.jsonb_build_array(), type_=JSONB))
        .select_from(invoice_line_table)
        .join(purchase_order_line.table, ordered["id"] == line.purchase_order_line_id)
        .where(line.invoice_id == invoice_table.c.id)
    )
    return found.correlate(invoice_table).scalar_subquery()


invoice = entity("Invoice", invoice_table, matched_lines=_matched_lines())


def _ordered(name: str) -> ColumnElement[Any]:
    """Return a column of the purchase order line that a bill's line is for."""
    ordered = purchase_order_line.columns
    found = select(ordered[name]).where(
        ordered["id"] == invoice_line_table.c.purchase_order_line_id
    )
    return found.correlate(invoice_line_table).scalar_subquery()


invoice_line = entity(
    "InvoiceLine",
    invoice_line_table,
    ordered_received=_ordered("received"),
    ordered_billed=_ordered("billed"),
    ordered_price=_ordered("unit_price"),
)
payment = entity("Payment", payment_table)
payment_allocation = entity("PaymentAllocation", allocation_table)

account_by_id = by_key(account)
entry_by_id = by_key(journal_entry)
journal_lines_by_entry = children(journal_line, "entry_id", order=("entry_id", "position"))
invoice_by_id = by_key(invoice)
# an invoice of ours and a bill of a supplier may have one number; ours comes last and counts
invoice_by_number = by_key(invoice, "number", order=("kind",))
invoice_lines_by_invoice = children(invoice_line, "invoice_id", order=("invoice_id", "position"))
invoices_by_sales_order = children(invoice, "sales_order_id", order=("sales_order_id", "id"))
bills_by_purchase_order = children(invoice, "purchase_order_id", order=("purchase_order_id", "id"))
payment_by_id = by_key(payment)
period_by_code = by_key(fiscal_period, "code")
allocations_by_invoice = children(
    payment_allocation, "invoice_id", order=("invoice_id", "allocated_on", "id")
)
allocations_by_payment = children(
    payment_allocation, "payment_id", order=("payment_id", "invoice_id")
)

_AMOUNT = Numeric(20, 4)
_BUCKETS = ("current", "d1_30", "d31_60", "d61_90", "over90", "total")

trial_balance = Report(
    "TrialBalance",
    "trial_balance",
    {
        "account_id": Integer(),
        "code": Text(),
        "opening": _AMOUNT,
        "debit": _AMOUNT,
        "credit": _AMOUNT,
        "closing": _AMOUNT,
    },
    {"starts_on": Date(), "ends_on": Date()},
    order=("code",),
)
aged_balances = Report(
    "AgedBalances",
    "aged_balances",
    {
        "partner_id": BigInteger(),
        **dict.fromkeys(_BUCKETS, _AMOUNT),
        "oldest_due_on": Date(),
    },
    {"kind": Text(), "day": Date()},
    order=("partner_id",),
)
control_balance = Report(
    "ControlBalance",
    "control_balance",
    {"currency": CHAR(3), "balance": _AMOUNT},
    {"role": Text(), "day": Date()},
)
partner_receivables = Report(
    "PartnerReceivables",
    "partner_receivables",
    {
        "partner_id": BigInteger(),
        "currency": CHAR(3),
        **dict.fromkeys(("open", "overdue", "ordered", "credit_limit", "available"), _AMOUNT),
        **{f"aging_{bucket}": _AMOUNT for bucket in _BUCKETS if bucket != "total"},
    },
    {"day": Date()},
    key="partner_id",
)
receivables_by_partner = partner_receivables.relation()
close_checks = Report(
    "CloseChecks",
    "close_checks",
    {"period_id": Integer(), "place": Integer(), "code": Text(), "count": BigInteger()},
    order=("period_id", "place"),
    key="period_id",
)
checks_by_period = close_checks.relation(many=True)
