"""Words and rules of accounting; pure, no I/O."""

from decimal import Decimal
from enum import StrEnum


class AccountKind(StrEnum):
    """What an account stands for; the first two and expenses grow by debits."""

    ASSET = "ASSET"
    EXPENSE = "EXPENSE"
    LIABILITY = "LIABILITY"
    EQUITY = "EQUITY"
    INCOME = "INCOME"


class AccountRole(StrEnum):
    """What postings use an account for; a company has one account for each."""

    BANK = "BANK"
    RECEIVABLE = "RECEIVABLE"
    INPUT_TAX = "INPUT_TAX"
    PAYABLE = "PAYABLE"
    OUTPUT_TAX = "OUTPUT_TAX"
    CAPITAL = "CAPITAL"
    SALES = "SALES"
    PURCHASES = "PURCHASES"
    EXCHANGE_GAINS = "EXCHANGE_GAINS"
    EXCHANGE_LOSSES = "EXCHANGE_LOSSES"


class Journal(StrEnum):
    """The book an entry is kept in."""

    SALES = "SALES"
    PURCHASES = "PURCHASES"
    BANK = "BANK"
    GENERAL = "GENERAL"


class InvoiceKind(StrEnum):
    """Who is to pay."""

    CUSTOMER_INVOICE = "CUSTOMER_INVOICE"
    VENDOR_BILL = "VENDOR_BILL"


class PaymentStatus(StrEnum):
    """How much of an invoice is paid."""

    NOT_PAID = "NOT_PAID"
    PARTIAL = "PARTIAL"
    PAID = "PAID"


class PaymentDirection(StrEnum):
    """Whether money came or went."""

    IN = "IN"
    OUT = "OUT"


class PaymentMethod(StrEnum):
    """How money was moved."""

    BANK_TRANSFER = "BANK_TRANSFER"
    CARD = "CARD"
    DIRECT_DEBIT = "DIRECT_DEBIT"


class PeriodState(StrEnum):
    """Whether anything can still be posted in a period."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


class EntrySource(StrEnum):
    """The kind of document an entry was made for."""

    INVOICE = "INVOICE"
    PAYMENT = "PAYMENT"


def payment_status(total: Decimal, residual: Decimal) -> PaymentStatus:
    """Return how much of an invoice over ``total`` is paid when ``residual`` is still open."""
    if residual == 0:
        return PaymentStatus.PAID
    return PaymentStatus.NOT_PAID if residual == total else PaymentStatus.PARTIAL
