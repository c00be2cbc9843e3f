"""Words of accounting as GraphQL enums."""

from resolvers.accounting.rules import (
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
from schema.core.enums import describe_enum

__all__ = [
    "AccountKind",
    "CloseCheckCode",
    "InvoiceKind",
    "Journal",
    "MatchState",
    "PaymentDirection",
    "PaymentMethod",
    "PaymentStatus",
    "PeriodState",
]

describe_enum(
    AccountKind,
    "What an account stands for.",
    {
        "ASSET": "What the company has, such as money and what customers owe.",
        "EXPENSE": "What it spent.",
        "LIABILITY": "What it owes.",
        "EQUITY": "What its owners put in or left in.",
        "INCOME": "What it earned.",
    },
)
describe_enum(
    Journal,
    "The book an entry is kept in.",
    {
        "SALES": "Invoices to customers.",
        "PURCHASES": "Bills of suppliers.",
        "BANK": "Payments.",
        "GENERAL": "Everything else.",
        "STOCK": "Goods that came or left, and what they are worth.",
    },
)
describe_enum(
    InvoiceKind,
    "Who is to pay an invoice.",
    {
        "CUSTOMER_INVOICE": "A customer pays the company.",
        "VENDOR_BILL": "The company pays a supplier.",
    },
)
describe_enum(
    MatchState,
    "How a line of a bill agrees with the order and with what came (three-way match).",
    {
        "OK": "No more was billed than came, at the agreed price.",
        "NO_RECEIPT": "Nothing of it has come.",
        "QTY_VARIANCE": "More was billed than came.",
        "PRICE_VARIANCE": "It is billed at another price than was agreed.",
    },
)
describe_enum(
    PaymentStatus,
    "How much of an invoice is paid.",
    {
        "NOT_PAID": "Nothing.",
        "PARTIAL": "A part of it.",
        "PAID": "All of it.",
    },
)
describe_enum(
    PaymentDirection,
    "Whether money came or went.",
    {"IN": "The partner paid the company.", "OUT": "The company paid the partner."},
)
describe_enum(
    PaymentMethod,
    "How money was moved.",
    {
        "BANK_TRANSFER": "A transfer from account to account.",
        "CARD": "A payment by card.",
        "DIRECT_DEBIT": "Drawn from the payer's account with a mandate.",
    },
)
describe_enum(
    CloseCheckCode,
    "What has to hold before a period is closed.",
    {
        "EARLIER_PERIODS_CLOSED": "No earlier period is open.",
        "ENTRIES_BALANCE": "Debits and credits of each of its entries are the same.",
        "RECEIVABLES_RECONCILE": "Open invoices come to what is on the receivables account.",
        "PAYABLES_RECONCILE": "Open bills come to what is on the payables account.",
        "SHIPMENTS_LEFT": "What was to leave by its end has left, or is canceled.",
        "RECEIPTS_BILLED": "What came in it has been billed by its end.",
        "NUMBERS_WITHOUT_GAPS": "No number is missing between those of its invoices and bills.",
        "INVENTORY_RECONCILES": "What stock is worth is what is on the inventory account.",
    },
)
describe_enum(
    PeriodState,
    "Whether anything can still be posted in a period.",
    {
        "OPEN": "It can.",
        "CLOSED": "It cannot; the sums of its accounts are kept.",
    },
)
