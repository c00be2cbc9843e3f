"""Root fields of purchasing."""

from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.core.errors import Invalid
from resolvers.purchasing.loaders import purchase_by_id, purchase_by_number
from resolvers.purchasing.reads import (
    goods_receipts,
    purchase_orders,
    reorder_suggestions,
    supplier_offers,
)
from schema.core.connection import Connection, connection
from schema.core.fields import argument, fetched, find
from schema.core.ids import decode_id
from schema.purchasing.aggregates import PurchaseOrderConnection
from schema.purchasing.inputs import (
    GoodsReceiptFilter,
    GoodsReceiptOrderBy,
    PurchaseOrderFilter,
    PurchaseOrderOrderBy,
    ReorderSuggestionFilter,
    ReorderSuggestionOrderBy,
    SupplierOfferFilter,
    SupplierOfferOrderBy,
)
from schema.purchasing.types import GoodsReceipt, PurchaseOrder, ReorderRule, SupplierOffer


@strawberry.type
class Query:
    """Root fields of this module."""

    @fetched("One purchase order, by its id or its number.", requires="purchasing.read")
    async def purchase_order(
        context: Context,
        columns: frozenset[str],
        id: Annotated[strawberry.ID | None, argument("Id of the order.")] = None,
        number: Annotated[str | None, argument("Number of the order in the company.")] = None,
    ) -> PurchaseOrder | None:
        """Load an order by whichever key was given."""
        if (id is None) == (number is None):
            raise Invalid("Give either id or number.", path=("id",))
        if id is not None:
            return await find(context, purchase_by_id, decode_id(id, "PurchaseOrder"), columns)
        return await find(context, purchase_by_number, number, columns)

    purchase_orders: PurchaseOrderConnection | None = connection(
        "The purchase orders, latest first.",
        purchase_orders,
        filter_input=PurchaseOrderFilter,
        order=PurchaseOrderOrderBy,
        requires="purchasing.read",
    )
    goods_receipts: Connection[GoodsReceipt] | None = connection(
        "The goods receipts, latest first.",
        goods_receipts,
        filter_input=GoodsReceiptFilter,
        order=GoodsReceiptOrderBy,
        requires="purchasing.read",
    )
    supplier_offers: Connection[SupplierOffer] | None = connection(
        "The suppliers' offers that hold, by product, the first choice of each first.",
        supplier_offers,
        filter_input=SupplierOfferFilter,
        order=SupplierOfferOrderBy,
        requires="purchasing.read",
    )
    reorder_suggestions: Connection[ReorderRule] | None = connection(
        "What to order now: the rules whose products have fallen to where they are to be ordered "
        "again, with how much and from whom.",
        reorder_suggestions,
        filter_input=ReorderSuggestionFilter,
        order=ReorderSuggestionOrderBy,
        requires="purchasing.read",
    )
