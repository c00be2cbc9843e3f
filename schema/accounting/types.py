"""Accounts, entries, invoices, payments, and the reports over them."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import strawberry

from resolvers.accounting.loaders import (
    account,
    account_by_id,
    allocations_by_invoice,
    allocations_by_payment,
    checks_by_period,
    entry_by_id,
    fiscal_period,
    invoice,
    invoice_by_id,
    invoice_line,
    invoice_lines_by_invoice,
    journal_entry,
    journal_line,
    journal_lines_by_entry,
    payment,
    payment_allocation,
    payment_by_id,
)
from resolvers.accounting.reads import account_lines
from resolvers.accounting.rules import close_check_message, match_state
from resolvers.catalog.loaders import product_by_id
from resolvers.partners.loaders import partner_by_id
from resolvers.purchasing.loaders import purchase_by_id, purchase_line_by_id
from resolvers.sales.loaders import line_by_id, order_by_id
from schema.accounting.enums import (
    AccountKind,
    CloseCheckCode,
    InvoiceKind,
    Journal,
    MatchState,
    PaymentDirection,
    PaymentMethod,
    PaymentStatus,
    PeriodState,
)
from schema.accounting.inputs import AccountLineFilter, AccountLineOrderBy
from schema.catalog.types import Product
from schema.core.aggregates import part
from schema.core.connection import Connection, connection
from schema.core.fields import ID, Money, RowType, column, computed, held, money, node_id, related
from schema.core.kinds import related_any
from schema.core.node import Node, node_type, row_type
from schema.core.scalars import CurrencyCode
from schema.partners.types import Partner
from schema.purchasing.types import PurchaseOrder, PurchaseOrderLine
from schema.sales.types import SalesOrder, SalesOrderLine


@strawberry.interface(description="A document that something was posted for.")
class SourceDocument:
    """What documents of all kinds have in common."""

    id: ID = strawberry.field(description="Opaque id, unique across all types.")
    display_number: str = strawberry.field(description="Number to show for it.")


@node_type(account, "An account of the general ledger.", requires="ledger.read")
class Account(RowType, Node):
    """A row of `account`."""

    id: ID = node_id("Account")
    code: str = column("Code, unique in the company.")
    name: str = column("What it is called.")
    kind: AccountKind = column("What it stands for.")
    lines: Connection["JournalLine"] = connection(
        "What was posted on it, latest first.",
        account_lines,
        filter_input=AccountLineFilter,
        order=AccountLineOrderBy,
        parent="account_id",
    )


@row_type("CloseCheck", "One thing that has to hold before a period is closed.")
class CloseCheck(RowType):
    """A row of the report `close_checks`."""

    code: CloseCheckCode = column("What has to hold.")
    ok: bool = computed("It holds.", lambda row: row["count"] == 0, needs=("count",))
    message: str = computed(
        "How it stands, for people to read, in English.",
        lambda row: close_check_message(row["code"], row["count"]),
        needs=("code", "count"),
    )
    count: int = column("How much is in the way; 0 if it holds.")


@node_type(fiscal_period, "A month of the books.", requires="ledger.read")
class FiscalPeriod(RowType, Node):
    """A row of `fiscal_period`."""

    id: ID = node_id("FiscalPeriod")
    code: str = column("Year and month, such as 2026-03.")
    starts_on: date = column("First day.")
    ends_on: date = column("Last day.")
    state: PeriodState = column("Whether anything can still be posted in it.")
    close_checks: list[CloseCheck] = related(
        "What has to hold before it is closed, and whether it does.", checks_by_period, "id", size=7
    )


@node_type(journal_line, "One debit or credit of an entry.", requires="ledger.read")
class JournalLine(RowType, Node):
    """A row of `journal_line`."""

    id: ID = node_id("JournalLine")
    seq: int = column("Place in the entry, from 1.", of="position")
    account: Account = related("Account it is posted on.", account_by_id, "account_id")
    posted_on: date = column("Day of the entry.")
    partner: Partner | None = related("Partner it concerns.", partner_by_id, "partner_id")
    debit: Decimal = column("Debit, in the company's currency; zero if it is a credit.")
    credit: Decimal = column("Credit, in the company's currency; zero if it is a debit.")
    entry: "JournalEntry" = related("Entry it is part of.", entry_by_id, "entry_id")


@node_type(
    journal_entry, "What was posted at once, for one document; it balances.", requires="ledger.read"
)
class JournalEntry(RowType, Node):
    """A row of `journal_entry`."""

    id: ID = node_id("JournalEntry")
    number: str = column("Number, unique in the company.")
    journal: Journal = column("Book it is kept in.")
    posted_on: date = column("Day it counts for.")
    posted_at: datetime = column("When it was posted.")
    description: str = column("What it is about.")
    lines: list[JournalLine] = related("Debits and credits.", journal_lines_by_entry, "id", size=3)
    source: SourceDocument | None = related_any(
        "Document it was posted for; null where there is none, or for whom may not see it.",
        "source",
        "source_id",
    )


def _match(row: Any) -> MatchState | None:
    if row["ordered_price"] is None:
        return None
    return match_state(
        Decimal(row["ordered_received"]),
        Decimal(row["ordered_billed"]),
        Decimal(row["ordered_price"]),
        Decimal(row["unit_price"]),
    )


@node_type(invoice_line, "What an invoice asks money for.", requires="invoices.read")
class InvoiceLine(RowType, Node):
    """A row of `invoice_line`."""

    id: ID = node_id("InvoiceLine")
    seq: int = column("Place on the invoice, from 1.", of="position")
    product: Product = related("What is invoiced.", product_by_id, "product_id")
    description: str = column("Text on the invoice.")
    qty: Decimal = column("Quantity.", of="quantity")
    unit_price: Money = money("Price of one unit.", "unit_price")
    discount_pct: Decimal = column("Discount in percent.", of="discount_percent")
    net: Money = money("Amount without tax.", "net")
    tax: Money = money("Tax on it.", "tax")
    match_state: MatchState | None = computed(
        "How a line of a bill agrees with the order and with what came; null without an order.",
        _match,
        needs=("ordered_received", "ordered_billed", "ordered_price", "unit_price"),
        requires="purchasing.read",
    )
    sales_order_line: SalesOrderLine | None = related(
        "Line of the sales order it is for.",
        line_by_id,
        "sales_order_line_id",
        requires="sales.read",
    )
    purchase_order_line: PurchaseOrderLine | None = related(
        "Line of the purchase order it is for.",
        purchase_line_by_id,
        "purchase_order_line_id",
        requires="purchasing.read",
    )


@node_type(
    payment_allocation,
    "How much of a payment pays how much of an invoice.",
    requires="invoices.read",
)
class PaymentAllocation(RowType, Node):
    """A row of `payment_allocation`."""

    id: ID = node_id("PaymentAllocation")
    allocated_on: date = column("Day it counts for.")
    amount: Money = money("How much.", "amount")
    invoice: "Invoice" = related("Invoice that is paid.", invoice_by_id, "invoice_id")
    payment: "Payment" = related("Payment it is paid with.", payment_by_id, "payment_id")


def _review_reasons(row: Any) -> list[MatchState]:
    told = {match_state(*map(Decimal, values)) for values in row["matched_lines"]}
    return [state for state in MatchState if state in told and state is not MatchState.OK]


@node_type(invoice, "An invoice to a customer, or a bill of a supplier.", requires="invoices.read")
class Invoice(RowType, Node, SourceDocument):
    """A row of `invoice`."""

    id: ID = node_id("Invoice")
    display_number: str = column("Number to show for it.", of="number")
    number: str = column("Number, unique in the company for its kind.")
    kind: InvoiceKind = column("Who is to pay.")
    partner: Partner = related("Customer or supplier.", partner_by_id, "partner_id")
    external_ref: str | None = column("The supplier's own number of a bill.")
    currency: CurrencyCode = column("Currency of its amounts.")
    invoiced_on: date = column("Date of the invoice.")
    due_on: date = column("Day it is to be paid by.")
    subtotal: Money = money("Sum of the lines without tax.", "subtotal")
    tax_total: Money = money("Tax.", "tax_total")
    total: Money = money("Amount to pay.", "total")
    residual: Money = money("What is still to be paid.", "residual")
    payment_status: PaymentStatus = column("How much of it is paid.")
    settled_on: date | None = column("Day the last of it was paid; null while something is open.")
    version: int = column("Counter of changes; send it back as the expected version of an edit.")
    review_reasons: list[MatchState] | None = computed(
        "What does not agree between a bill's lines and their orders, and wants a look before it "
        "is paid; empty when all of them agree, or none is for an order.",
        _review_reasons,
        needs=("matched_lines",),
        requires="purchasing.read",
    )
    lines: list[InvoiceLine] = related(
        "What it asks money for.", invoice_lines_by_invoice, "id", size=5
    )
    payments: list[PaymentAllocation] = related(
        "What was paid of it, by day.", allocations_by_invoice, "id", size=2
    )
    sales_order: SalesOrder | None = related(
        "Sales order it is for.", order_by_id, "sales_order_id", requires="sales.read"
    )
    purchase_order: PurchaseOrder | None = related(
        "Purchase order it is for.",
        purchase_by_id,
        "purchase_order_id",
        requires="purchasing.read",
    )


@node_type(payment, "Money that came from a partner or went to one.", requires="invoices.read")
class Payment(RowType, Node, SourceDocument):
    """A row of `payment`."""

    id: ID = node_id("Payment")
    display_number: str = column("Number to show for it.", of="number")
    number: str = column("Number, unique in the company.")
    direction: PaymentDirection = column("Whether money came or went.")
    method: PaymentMethod = column("How it was moved.")
    partner: Partner = related("Who paid, or was paid.", partner_by_id, "partner_id")
    currency: CurrencyCode = column("Currency of its amounts.")
    paid_on: date = column("Day the money was moved.")
    amount: Money = money("How much.", "amount")
    unallocated: Money = money("What of it pays no invoice yet.", "unallocated")
    reference: str | None = column("Text that came with it.")
    allocations: list[PaymentAllocation] = related(
        "What it pays.", allocations_by_payment, "id", size=3
    )


@row_type("OpenByAge", "What is open, by how long it has been due, in the company's currency.")
class OpenByAge(RowType):
    """A part of a row of the report `partner_receivables`."""

    current: Money = money("Not due yet.", "current")
    d1_30: Money = money("Due for 1 to 30 days.", "d1_30", name="d1to30")
    d31_60: Money = money("Due for 31 to 60 days.", "d31_60", name="d31to60")
    d61_90: Money = money("Due for 61 to 90 days.", "d61_90", name="d61to90")
    over90: Money = money("Due for more than 90 days.", "over90")


@row_type("PartnerReceivables", "What a customer owes the company acted for, and may still order.")
class PartnerReceivables(RowType):
    """A row of the report `partner_receivables`."""

    open: Money = money("What is not paid of its invoices.", "open")
    overdue: Money = money("What of that should have been paid already.", "overdue")
    aging: OpenByAge = part(
        "What is open, by how long it has been due.", "aging_", frozenset({"currency"})
    )
    ordered: Money = money("What is ordered, confirmed and not yet shipped.", "ordered")
    credit_limit: Money | None = money(
        "How much the customer may owe; null when there is no limit, or no terms are agreed.",
        "credit_limit",
        requires="partners.credit",
    )
    available: Money | None = money(
        "The limit less what is open and ordered, negative beyond it; null without a limit.",
        "available",
        requires="partners.credit",
    )


@row_type("AgedAmounts", "Open amounts by how long they have been due, in the company's currency.")
class AgedAmounts(RowType):
    """Buckets of a report."""

    current: Decimal = column("Not due yet.")
    d1_30: Decimal = column("Due for 1 to 30 days.", name="d1to30")
    d31_60: Decimal = column("Due for 31 to 60 days.", name="d31to60")
    d61_90: Decimal = column("Due for 61 to 90 days.", name="d61to90")
    over90: Decimal = column("Due for more than 90 days.")
    total: Decimal = column("All of it.")


@row_type("AgedBalance", "What is open of one partner, by how long it has been due.")
class AgedBalance(AgedAmounts):
    """A row of the report `aged_balances`."""

    partner: Partner = related("Who owes, or is owed.", partner_by_id, "partner_id")
    oldest_due_on: date = column("The longest time something of it has been due since.")


@row_type("AgedBalances", "What was open at the end of a day, by partner.")
class AgedBalances(RowType):
    """What `read_aged_balances` returns."""

    as_of: date = column("The day.")
    currency: CurrencyCode | None = column("The company's currency; null if it keeps no books.")
    totals: AgedAmounts = held("All partners together.", "totals")
    control_balance: Decimal = column("What is on the ledger account that stands for all of them.")
    reconciles: bool = column("Whether that is the same as the total.")
    rows: list[AgedBalance] = held("By partner.", "rows", size=100)


@row_type("TrialBalanceRow", "One account in the trial balance; credit balances are negative.")
class TrialBalanceRow(RowType):
    """A row of the report `trial_balance`."""

    account: Account = related("The account.", account_by_id, "account_id")
    opening: Decimal = column("Balance before the first day.")
    debit: Decimal = column("Debits of the span.")
    credit: Decimal = column("Credits of the span.")
    closing: Decimal = column("Balance after the last day.")


@row_type("TrialBalance", "What was posted in a span of days, by account.")
class TrialBalance(RowType):
    """What `read_trial_balance` returns."""

    starts_on: date = column("First day.")
    ends_on: date = column("Last day.")
    total_debit: Decimal = column("All debits of the span.")
    total_credit: Decimal = column("All credits of the span.")
    balanced: bool = column("Debits and credits are the same, and all balances come to zero.")
    rows: list[TrialBalanceRow] = held("By account, in the order of their codes.", "rows", size=50)
