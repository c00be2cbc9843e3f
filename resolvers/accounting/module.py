"""Introduces accounting to the registry."""

from resolvers.accounting.invariants import INVARIANTS
from resolvers.accounting.tables import (
    AGED_BALANCES,
    BALANCES_BEFORE,
    CLOSE_CHECKS,
    CONTROL_BALANCE,
    ENTRY_BALANCES,
    ENTRY_NUMBERED,
    PARTNER_RECEIVABLES,
    PURCHASE_LINES_BILLED,
    SALES_BILLING,
    TRIAL_BALANCE,
    VALUE_POSTED,
    account,
    account_balance,
    fiscal_period,
    invoice,
    invoice_line,
    journal_entry,
    journal_line,
    payment,
    payment_allocation,
)
from resolvers.core.module import DataModule

MODULE = DataModule(
    name="accounting",
    tables=(
        account,
        fiscal_period,
        account_balance,
        journal_entry,
        journal_line,
        invoice,
        invoice_line,
        payment,
        payment_allocation,
    ),
    functions=(
        ENTRY_BALANCES,
        ENTRY_NUMBERED,
        VALUE_POSTED,
        PURCHASE_LINES_BILLED,
        SALES_BILLING,
        BALANCES_BEFORE,
        TRIAL_BALANCE,
        AGED_BALANCES,
        CONTROL_BALANCE,
        PARTNER_RECEIVABLES,
        CLOSE_CHECKS,
    ),
    invariants=INVARIANTS,
    permissions={
        "invoices.read": "See invoices, bills, payments, and what partners owe or are owed.",
        "ledger.read": "See accounts, entries, periods and the trial balance.",
    },
)
