"""What purchasing adds to lower modules' types."""

from resolvers.purchasing.loaders import (
    offers_by_product,
    purchase_by_line,
    receipt_line_by_id,
    receipt_lines_by_lot,
)
from resolvers.purchasing.reads import purchase_orders, supplier_offers
from schema.catalog.types import Product
from schema.core.connection import Connection, connection
from schema.core.extend import extend
from schema.core.fields import related
from schema.inventory.types import IncomingStock, Lot, StockMove
from schema.partners.types import Partner
from schema.purchasing.aggregates import PurchaseOrderConnection
from schema.purchasing.inputs import (
    PurchaseOrderFilter,
    PurchaseOrderOrderBy,
    SupplierOfferFilter,
    SupplierOfferOrderBy,
)
from schema.purchasing.types import GoodsReceiptLine, PurchaseOrder, SupplierOffer


@extend(Product)
class ProductSuppliers:
    """Suppliers of products."""

    suppliers: list[SupplierOffer] | None = related(
        "What suppliers offer the product for, the first choice first.",
        offers_by_product,
        "id",
        requires="purchasing.read",
        size=3,
    )


@extend(IncomingStock)
class IncomingStockOrder:
    """Orders that stock comes with."""

    order: PurchaseOrder | None = related(
        "Purchase order it comes with; null when it comes with none.",
        purchase_by_line,
        "purchase_order_line_id",
        requires="purchasing.read",
    )


@extend(Partner)
class PartnerPurchases:
    """Orders to partners, and what they offer."""

    purchase_orders: PurchaseOrderConnection | None = connection(
        "Orders of the company acted for to the partner, latest first.",
        purchase_orders,
        filter_input=PurchaseOrderFilter,
        order=PurchaseOrderOrderBy,
        parent="partner_id",
        requires="purchasing.read",
    )
    offers: Connection[SupplierOffer] | None = connection(
        "What the partner offers the company acted for, by product.",
        supplier_offers,
        filter_input=SupplierOfferFilter,
        order=SupplierOfferOrderBy,
        parent="partner_id",
        requires="purchasing.read",
    )


@extend(Lot)
class LotReceipts:
    """Where lots came from."""

    receipt_lines: list[GoodsReceiptLine] | None = related(
        "Lines of goods receipts that it came with.",
        receipt_lines_by_lot,
        "id",
        requires="purchasing.read",
        size=1,
    )


@extend(StockMove)
class MoveReceipts:
    """What stock moves were made for."""

    receipt_line: GoodsReceiptLine | None = related(
        "Line of the goods receipt that made it; null where something else did.",
        receipt_line_by_id,
        "receipt_line_id",
        requires="purchasing.read",
    )
