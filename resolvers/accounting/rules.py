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
    INVENTORY = "INVENTORY"
    GOODS_RECEIVED = "GOODS_RECEIVED"
    COST_OF_GOODS_SOLD = "COST_OF_GOODS_SOLD"
    STOCK_DIFFERENCES = "STOCK_DIFFERENCES"
    PRICE_DIFFERENCES = "PRICE_DIFFERENCES"
    LANDED_COSTS = "LANDED_COSTS"


class Journal(StrEnum):
    """The book an entry is kept in."""

    SALES = "SALES"
    PURCHASES = "PURCHASES"
    BANK = "BANK"
    GENERAL = "GENERAL"
    STOCK = "STOCK"


class InvoiceKind(StrEnum):
    """Who is to pay."""

    CUSTOMER_INVOICE = "CUSTOMER_INVOICE"
    VENDOR_BILL = "VENDOR_BILL"


class MatchState(StrEnum):
    """How a line of a bill agrees with the order and with what came (three-way match)."""

    OK = "OK"
    NO_RECEIPT = "NO_RECEIPT"
    QTY_VARIANCE = "QTY_VARIANCE"
    PRICE_VARIANCE = "PRICE_VARIANCE"


def match_state(
    received: Decimal, billed: Decimal, ordered_price: Decimal, billed_price: Decimal
) -> MatchState:
    """Compare a bill's line with its order's, of which so much came and was billed in all.

    Nothing came, more was billed than came, or at another price than was agreed; the first of
    these counts.
    """
    if received <= 0:
        return MatchState.NO_RECEIPT
    if billed > received:
        return MatchState.QTY_VARIANCE
    return MatchState.OK if ordered_price == billed_price else MatchState.PRICE_VARIANCE


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


class CloseCheckCode(StrEnum):
    """What has to hold before a period is closed."""

    EARLIER_PERIODS_CLOSED = "EARLIER_PERIODS_CLOSED"
    ENTRIES_BALANCE = "ENTRIES_BALANCE"
    RECEIVABLES_RECONCILE = "RECEIVABLES_RECONCILE"
    PAYABLES_RECONCILE = "PAYABLES_RECONCILE"
    SHIPMENTS_LEFT = "SHIPMENTS_LEFT"
    RECEIPTS_BILLED = "RECEIPTS_BILLED"
    NUMBERS_WITHOUT_GAPS = "NUMBERS_WITHOUT_GAPS"
    INVENTORY_RECONCILES = "INVENTORY_RECONCILES"


_IN_THE_WAY = {
    CloseCheckCode.EARLIER_PERIODS_CLOSED: "Earlier periods that are still open",
    CloseCheckCode.ENTRIES_BALANCE: "Entries whose debits and credits differ",
    CloseCheckCode.RECEIVABLES_RECONCILE: "Open invoices and the receivables account differ",
    CloseCheckCode.PAYABLES_RECONCILE: "Open bills and the payables account differ",
    CloseCheckCode.SHIPMENTS_LEFT: "Shipments that were to leave by then, and are still here",
    CloseCheckCode.RECEIPTS_BILLED: "Goods that came in the period, without a bill by its end",
    CloseCheckCode.NUMBERS_WITHOUT_GAPS: "Numbers missing between those of invoices and bills",
    CloseCheckCode.INVENTORY_RECONCILES: "The value of stock and the inventory account differ",
}


def close_check_message(code: str, count: int) -> str:
    """Say how a check stands that found ``count`` things in the way.

    Raises:
        ValueError: there is no such check.

    """
    check = CloseCheckCode(code)
    if count == 0:
        return "Nothing is in the way."
    counted = "" if check.value.endswith(("_RECONCILE", "_RECONCILES")) else f": {count}"
    return f"{_IN_THE_WAY[check]}{counted}."


class EntrySource(StrEnum):
    """The kind of document an entry was made for."""

    INVOICE = "INVOICE"
    PAYMENT = "PAYMENT"


def payment_status(total: Decimal, residual: Decimal) -> PaymentStatus:
    """Return how much of an invoice over ``total`` is paid when ``residual`` is still open."""
    if residual == 0:
        return PaymentStatus.PAID
    return PaymentStatus.NOT_PAID if residual == total else PaymentStatus.PARTIAL
