"""Lists of purchase orders, goods receipts, offers and what to order again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, bindparam, literal_column, type_coerce

from resolvers.core.aggregation import Aggregation, Grouping, days_and_months
from resolvers.core.listing import Between, Condition, Equals, Listing, OneOf
from resolvers.core.table import money
from resolvers.identity.loaders import company_currency
from resolvers.inventory.loaders import reorder_rule
from resolvers.purchasing.loaders import goods_receipt, purchase_order, supplier_offer

_order = purchase_order.columns
_receipt = goods_receipt.columns
_offer = supplier_offer.columns
_rule = reorder_rule.columns

# literals and not parameters, so that the partial index matches
_CONFIRMED = literal_column("'CONFIRMED'", Text)
_RECEIVED = literal_column("'RECEIVED'", Text)


@dataclass(frozen=True)
class Late(Equals):
    """The order was to arrive before a day, and on that day something of it is still to come."""

    def conditions(self, name: str) -> Mapping[str, Condition]:
        """Return the one condition, on the date in the column and on how far the order is."""
        day = bindparam(name, type_=self.column.type)
        late = (
            (self.column < day)
            & (_order["state"] == _CONFIRMED)
            & (_order["receipt_status"] != _RECEIVED)
        )
        return {name: Condition(late, name)}


purchase_orders = Listing(
    name="purchaseOrders",
    entity=purchase_order,
    orders={"ORDERED_ON": ("ordered_on",), "EXPECTED_ON": ("expected_on",)},
    default_order="ORDERED_ON",
    default_descending=True,
    filters={
        "numbers": OneOf(_order["number"]),
        "supplier_refs": OneOf(_order["supplier_ref"]),
        "states": OneOf(_order["state"]),
        "receipt_status": OneOf(_order["receipt_status"]),
        "bill_status": OneOf(_order["bill_status"]),
        "ordered_on": Between(_order["ordered_on"]),
        "expected_on": Between(_order["expected_on"]),
        "late_on": Late(_order["expected_on"]),
        "supplier_ids": OneOf(_order["partner_id"], "Partner"),
        "warehouse_ids": OneOf(_order["warehouse_id"], "Warehouse"),
    },
)


def _at_rate(amount: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return an amount of an order in the company's currency, at the order's rate."""
    return type_coerce(amount * _order["fx_rate"], money())


purchase_order_aggregates = Aggregation(
    name="PurchaseOrderGroup",
    listing=purchase_orders,
    groups={
        **days_and_months(_order["ordered_on"]),
        "SUPPLIER": Grouping({"supplier_id": _order["partner_id"]}),
        "WAREHOUSE": Grouping({"warehouse_id": _order["warehouse_id"]}),
        "STATE": Grouping({"state": _order["state"]}),
        "RECEIPT_STATUS": Grouping({"receipt_status": _order["receipt_status"]}),
    },
    measures={
        "subtotal": _at_rate(_order["subtotal"]),
        "tax_total": _at_rate(_order["tax_total"]),
        "total": _at_rate(_order["total"]),
    },
    constants={"currency": company_currency},
    guarded=dict.fromkeys(("subtotal", "tax_total", "total"), "cost.read"),
)
goods_receipts = Listing(
    name="goodsReceipts",
    entity=goods_receipt,
    orders={"RECEIVED_ON": ("received_on",)},
    default_order="RECEIVED_ON",
    default_descending=True,
    filters={
        "numbers": OneOf(_receipt["number"]),
        "order_ids": OneOf(_receipt["order_id"], "PurchaseOrder"),
        "supplier_ids": OneOf(_receipt["partner_id"], "Partner"),
        "warehouse_ids": OneOf(_receipt["warehouse_id"], "Warehouse"),
        "received_on": Between(_receipt["received_on"]),
    },
)
supplier_offers = Listing(
    name="supplierOffers",
    entity=supplier_offer,
    orders={"PRODUCT": ("product_id", "priority")},
    default_order="PRODUCT",
    filters={
        "supplier_ids": OneOf(_offer["partner_id"], "Partner"),
        "product_ids": OneOf(_offer["product_id"], "Product"),
        "supplier_skus": OneOf(_offer["supplier_sku"]),
    },
    where=(_offer["archived_at"].is_(None),),
)
reorder_suggestions = Listing(
    name="reorderSuggestions",
    entity=reorder_rule,
    orders={"ID": ()},
    default_order="ID",
    filters={
        "warehouse_ids": OneOf(_rule["warehouse_id"], "Warehouse"),
        "product_ids": OneOf(_rule["product_id"], "Product"),
    },
    where=(_rule["archived_at"].is_(None), _rule["suggested_quantity"] > 0),
)
