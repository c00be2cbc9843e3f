"""Hits of a search."""

from typing import Annotated, Union

import strawberry

from schema.accounting.types import Invoice, JournalEntry, Payment
from schema.catalog.types import Product
from schema.core.fields import RowType, column
from schema.core.kinds import related_any
from schema.core.node import row_type
from schema.fulfillment.types import Shipment
from schema.partners.types import Partner
from schema.purchasing.types import GoodsReceipt, PurchaseOrder
from schema.sales.types import SalesOrder
from schema.search.enums import SearchMatch, SearchType

SEARCHED = {
    SearchType.PRODUCT: Product,
    SearchType.PARTNER: Partner,
    SearchType.SALES_ORDER: SalesOrder,
    SearchType.PURCHASE_ORDER: PurchaseOrder,
    SearchType.GOODS_RECEIPT: GoodsReceipt,
    SearchType.SHIPMENT: Shipment,
    SearchType.INVOICE: Invoice,
    SearchType.PAYMENT: Payment,
    SearchType.JOURNAL_ENTRY: JournalEntry,
}
"""The type of what each kind of hit leads to."""

SearchItem = Annotated[
    Union[  # noqa: UP007 - a union type cannot be annotated otherwise
        Product,
        Partner,
        SalesOrder,
        PurchaseOrder,
        GoodsReceipt,
        Shipment,
        Invoice,
        Payment,
        JournalEntry,
    ],
    strawberry.union("SearchItem", description="Whatever a search can find."),
]


@row_type("SearchHit", "Something that a search found.")
class SearchHit(RowType):
    """A row of the report `hits`."""

    place: int = column("Place among the hits, from 1.")
    type: SearchType = column("What it is.", of="kind")
    label: str = column("What to show for it: a number, or code and name.")
    match: SearchMatch = column("How well it fits.")
    item: SearchItem | None = related_any("What was found.", "kind", "item_id")
