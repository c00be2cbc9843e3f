"""Root fields of accounting."""

from datetime import date
from typing import Annotated

import strawberry

from resolvers.accounting.loaders import invoice_by_id, invoice_by_number, period_by_code
from resolvers.accounting.reads import (
    accounts,
    fiscal_periods,
    invoices,
    journal_entries,
    payments,
    read_aged_balances,
    read_trial_balance,
)
from resolvers.accounting.rules import InvoiceKind
from resolvers.core.context import Context
from resolvers.core.errors import Invalid
from schema.accounting.aggregates import InvoiceConnection, PaymentConnection
from schema.accounting.inputs import (
    AccountOrderBy,
    FiscalPeriodOrderBy,
    InvoiceFilter,
    InvoiceOrderBy,
    JournalEntryFilter,
    JournalEntryOrderBy,
    PaymentFilter,
    PaymentOrderBy,
)
from schema.accounting.types import (
    Account,
    AgedBalances,
    FiscalPeriod,
    Invoice,
    JournalEntry,
    TrialBalance,
)
from schema.core.connection import Connection, connection
from schema.core.fields import argument, fetched, find
from schema.core.ids import decode_id

AsOf = Annotated[date | None, argument("At the end of this day; today if left out.")]


@strawberry.type
class Query:
    """Root fields of this module."""

    @fetched("One invoice or bill, by its id or its number.", requires="invoices.read")
    async def invoice(
        context: Context,
        columns: frozenset[str],
        id: Annotated[strawberry.ID | None, argument("Id of the invoice.")] = None,
        number: Annotated[str | None, argument("Number of the invoice in the company.")] = None,
    ) -> Invoice | None:
        """Load an invoice by whichever key was given."""
        if (id is None) == (number is None):
            raise Invalid("Give either id or number.", path=("id",))
        if id is not None:
            return await find(context, invoice_by_id, decode_id(id, "Invoice"), columns)
        return await find(context, invoice_by_number, number, columns)

    invoices: InvoiceConnection | None = connection(
        "The invoices to customers and the bills of suppliers, latest first.",
        invoices,
        filter_input=InvoiceFilter,
        order=InvoiceOrderBy,
        requires="invoices.read",
    )
    payments: PaymentConnection | None = connection(
        "Money that came and went, latest first.",
        payments,
        filter_input=PaymentFilter,
        order=PaymentOrderBy,
        requires="invoices.read",
    )
    accounts: Connection[Account] | None = connection(
        "The accounts of the ledger, by code.",
        accounts,
        order=AccountOrderBy,
        requires="ledger.read",
    )
    journal_entries: Connection[JournalEntry] | None = connection(
        "What was posted, latest first.",
        journal_entries,
        filter_input=JournalEntryFilter,
        order=JournalEntryOrderBy,
        requires="ledger.read",
    )

    @fetched("A month of the books, by its code.", requires="ledger.read")
    async def fiscal_period(
        context: Context,
        columns: frozenset[str],
        code: Annotated[str, argument("Year and month, such as 2026-03.")],
    ) -> FiscalPeriod | None:
        """Load a period."""
        return await find(context, period_by_code, code, columns)

    fiscal_periods: Connection[FiscalPeriod] | None = connection(
        "The months of the books, latest first.",
        fiscal_periods,
        order=FiscalPeriodOrderBy,
        requires="ledger.read",
    )

    @fetched(
        "What was on every account before a span of days, was posted in it, and is there after.",
        requires="ledger.read",
    )
    async def trial_balance(
        context: Context,
        columns: frozenset[str],
        starts_on: Annotated[date, argument("First day of the span.")],
        ends_on: Annotated[date, argument("Last day of the span.")],
    ) -> TrialBalance | None:
        """Work out the trial balance."""
        del columns
        if ends_on < starts_on:
            raise Invalid("endsOn must not be before startsOn.", path=("endsOn",))
        found: TrialBalance = await read_trial_balance(context, starts_on, ends_on)
        return found

    @fetched(
        "What customers owed at the end of a day, by how long it had been due.",
        requires="ledger.read",
    )
    async def aged_receivables(
        context: Context, columns: frozenset[str], as_of: AsOf = None
    ) -> AgedBalances | None:
        """Work out what customers owe."""
        del columns
        day = as_of or context.clock().date()
        return await read_aged_balances(context, InvoiceKind.CUSTOMER_INVOICE, day)  # type: ignore[return-value]

    @fetched(
        "What the company owed its suppliers at the end of a day, by how long it had been due.",
        requires="ledger.read",
    )
    async def aged_payables(
        context: Context, columns: frozenset[str], as_of: AsOf = None
    ) -> AgedBalances | None:
        """Work out what suppliers are owed."""
        del columns
        day = as_of or context.clock().date()
        return await read_aged_balances(context, InvoiceKind.VENDOR_BILL, day)  # type: ignore[return-value]
