"""Accounting: invoices, bills, payments, and the ledger they are posted to."""
