"""Words of the search as GraphQL enums."""

from resolvers.search.rules import SearchMatch, SearchType
from schema.core.enums import describe_enum

__all__ = ["SearchMatch", "SearchType"]

describe_enum(
    SearchType,
    "What can be searched for.",
    {
        "PRODUCT": "Products, by SKU, name, barcode and attributes.",
        "PARTNER": "Customers and suppliers, by code, name, e-mail address and tax id.",
        "SALES_ORDER": "Sales orders, by the beginning of their number.",
        "PURCHASE_ORDER": "Purchase orders, by the beginning of their number.",
        "GOODS_RECEIPT": "Receipts of goods, by the beginning of their number.",
        "SHIPMENT": "Shipments, by the beginning of their number.",
        "INVOICE": "Invoices and bills, by the beginning of their number.",
        "PAYMENT": "Payments, by the beginning of their number.",
        "JOURNAL_ENTRY": "Entries of the ledger, by the beginning of their number.",
    },
)
describe_enum(
    SearchMatch,
    "How well a hit fits the text; better ones come first.",
    {
        "EXACT": "The text is its number, SKU, code or barcode.",
        "PREFIX": "Its number, SKU or code begins with the text.",
        "WORDS": "Every word of the text begins a word of it.",
    },
)
