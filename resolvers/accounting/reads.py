"""Lists of accounting, and its reports as one answer each."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import type_coerce

from resolvers.accounting.loaders import (
    account,
    aged_balances,
    control_balance,
    fiscal_period,
    invoice,
    journal_entry,
    journal_line,
    payment,
    trial_balance,
)
from resolvers.accounting.rules import AccountRole, InvoiceKind
from resolvers.core.aggregation import Aggregation, Grouping, days_and_months
from resolvers.core.context import Context
from resolvers.core.listing import AmountBetween, Between, Flag, Listing, OneOf
from resolvers.core.table import money
from resolvers.identity.loaders import company_currency

_entry = journal_entry.columns
_line = journal_line.columns
_invoice = invoice.columns
_payment = payment.columns

accounts = Listing(
    name="accounts", entity=account, orders={"CODE": ("code",)}, default_order="CODE"
)
fiscal_periods = Listing(
    name="fiscalPeriods",
    entity=fiscal_period,
    orders={"ENDS_ON": ("ends_on",)},
    default_order="ENDS_ON",
    default_descending=True,
)
journal_entries = Listing(
    name="journalEntries",
    entity=journal_entry,
    orders={"POSTED_ON": ("posted_on",)},
    default_order="POSTED_ON",
    default_descending=True,
    filters={
        "numbers": OneOf(_entry["number"]),
        "journals": OneOf(_entry["journal"]),
        "posted_on": Between(_entry["posted_on"]),
    },
)
account_lines = Listing(
    name="accountLines",
    entity=journal_line,
    orders={"POSTED_ON": ("posted_on",)},
    default_order="POSTED_ON",
    default_descending=True,
    filters={
        "posted_on": Between(_line["posted_on"]),
        "amount": AmountBetween(_line["amount_steps"]),
    },
)
invoices = Listing(
    name="invoices",
    entity=invoice,
    orders={"INVOICED_ON": ("invoiced_on",), "DUE_ON": ("due_on",)},
    default_order="INVOICED_ON",
    default_descending=True,
    filters={
        "numbers": OneOf(_invoice["number"]),
        "kinds": OneOf(_invoice["kind"]),
        "payment_status": OneOf(_invoice["payment_status"]),
        "open": Flag(_invoice["settled_on"].is_(None), _invoice["settled_on"].is_not(None)),
        "partner_ids": OneOf(_invoice["partner_id"], "Partner"),
        "invoiced_on": Between(_invoice["invoiced_on"]),
        "due_on": Between(_invoice["due_on"]),
    },
)
payments = Listing(
    name="payments",
    entity=payment,
    orders={"PAID_ON": ("paid_on",)},
    default_order="PAID_ON",
    default_descending=True,
    filters={
        "numbers": OneOf(_payment["number"]),
        "directions": OneOf(_payment["direction"]),
        "partner_ids": OneOf(_payment["partner_id"], "Partner"),
        "paid_on": Between(_payment["paid_on"]),
    },
)

invoice_aggregates = Aggregation(
    name="InvoiceGroup",
    listing=invoices,
    groups={
        **days_and_months(_invoice["invoiced_on"]),
        "PARTNER": Grouping({"partner_id": _invoice["partner_id"]}),
        "KIND": Grouping({"kind": _invoice["kind"]}),
        "PAYMENT_STATUS": Grouping({"payment_status": _invoice["payment_status"]}),
    },
    measures={
        "subtotal": type_coerce(_invoice["subtotal"] * _invoice["fx_rate"], money()),
        "tax_total": type_coerce(_invoice["tax_total"] * _invoice["fx_rate"], money()),
        "total": _invoice["total_base"],
        "residual": _invoice["residual_base"],
    },
    constants={"currency": company_currency},
)
payment_aggregates = Aggregation(
    name="PaymentGroup",
    listing=payments,
    groups={
        **days_and_months(_payment["paid_on"]),
        "PARTNER": Grouping({"partner_id": _payment["partner_id"]}),
        "DIRECTION": Grouping({"direction": _payment["direction"]}),
        "METHOD": Grouping({"method": _payment["method"]}),
    },
    measures={
        "amount": type_coerce(_payment["amount"] * _payment["fx_rate"], money()),
        "unallocated": type_coerce(_payment["unallocated"] * _payment["fx_rate"], money()),
    },
    constants={"currency": company_currency},
)

_BALANCE_COLUMNS = frozenset(trial_balance.columns)
_AGED_COLUMNS = frozenset(aged_balances.columns)
_CONTROL_COLUMNS = frozenset(control_balance.columns)
_BUCKETS = ("current", "d1_30", "d31_60", "d61_90", "over90", "total")
_CONTROL = {
    InvoiceKind.CUSTOMER_INVOICE: (AccountRole.RECEIVABLE, 1),
    InvoiceKind.VENDOR_BILL: (AccountRole.PAYABLE, -1),
}
"""The account that stands for all invoices of a kind, and the side on which it grows."""


async def read_trial_balance(context: Context, starts_on: date, ends_on: date) -> Any:
    """Return the trial balance of a span of days, with its sums."""
    days = {"starts_on": starts_on, "ends_on": ends_on}
    rows = await trial_balance.rows(context.reads, _BALANCE_COLUMNS, days)
    debit = sum((Decimal(row["debit"]) for row in rows), Decimal(0))
    credit = sum((Decimal(row["credit"]) for row in rows), Decimal(0))
    closing = sum((Decimal(row["closing"]) for row in rows), Decimal(0))
    return {
        "starts_on": starts_on,
        "ends_on": ends_on,
        "total_debit": debit,
        "total_credit": credit,
        "balanced": debit == credit and closing == 0,
        "rows": rows,
    }


async def read_aged_balances(context: Context, kind: InvoiceKind, day: date) -> Mapping[str, Any]:
    """Return what is open of a kind of invoice at the end of a day, by partner and in all."""
    rows = await aged_balances.rows(context.reads, _AGED_COLUMNS, {"kind": kind, "day": day})
    role, side = _CONTROL[kind]
    [control] = await control_balance.rows(
        context.reads, _CONTROL_COLUMNS, {"role": role, "day": day}
    ) or [{"currency": None, "balance": Decimal(0)}]
    currency, balance = control["currency"], side * Decimal(control["balance"])
    totals: dict[str, Any] = {
        bucket: sum((Decimal(row[bucket]) for row in rows), Decimal(0)) for bucket in _BUCKETS
    }
    return {
        "as_of": day,
        "currency": currency,
        "totals": totals,
        "control_balance": balance,
        "reconciles": totals["total"] == balance,
        "rows": rows,
    }
