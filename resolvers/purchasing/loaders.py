"""Purchase orders, goods receipts and offers as readers know them, and how to get to them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Numeric,
    Select,
    and_,
    any_,
    func,
    lateral,
    literal_column,
    select,
    true,
)

from resolvers.core.entity import entity
from resolvers.core.relation import KEY, Relation, by_key, children
from resolvers.inventory.loaders import (
    GOODS_RECEIPT_LINE,
    lines_by_lot,
    lots_by_line,
    reorder_rule,
    stock_move,
)
from resolvers.partners.loaders import partner
from resolvers.purchasing.tables import goods_receipt as receipt_table
from resolvers.purchasing.tables import goods_receipt_line as receipt_line_table
from resolvers.purchasing.tables import purchase_order as order_table
from resolvers.purchasing.tables import purchase_order_line as line_table
from resolvers.purchasing.tables import supplier_offer as offer_table
from resolvers.reference.loaders import qty_entered, uom_entered

_line = line_table.c
_offer = offer_table.c
_rule = reorder_rule.columns

purchase_order = entity("PurchaseOrder", order_table)
purchase_order_line = entity(
    "PurchaseOrderLine",
    line_table,
    qty_entered=qty_entered(line_table),
    uom_entered=uom_entered(line_table),
    outstanding=func.greatest(
        _line.quantity - _line.received - _line.canceled,
        literal_column("0.0000", Numeric(18, 4)),
    ),
)
goods_receipt = entity("GoodsReceipt", receipt_table)
goods_receipt_line = entity("GoodsReceiptLine", receipt_line_table)
supplier_offer = entity("SupplierOffer", offer_table)

purchase_by_id = by_key(purchase_order)
purchase_by_number = by_key(purchase_order, "number")
purchase_line_by_id = by_key(purchase_order_line)
purchase_lines_by_order = children(purchase_order_line, "order_id", order=("order_id", "position"))
receipts_by_order = children(goods_receipt, "order_id", order=("order_id", "id"))
receipt_lines_by_receipt = children(
    goods_receipt_line, "receipt_id", order=("receipt_id", "position")
)
receipt_line_by_id = by_key(goods_receipt_line)
receipt_by_id = by_key(goods_receipt)
receipt_lines_by_lot = lines_by_lot(goods_receipt_line, GOODS_RECEIPT_LINE)
lots_by_receipt_line = lots_by_line("GoodsReceiptLine", GOODS_RECEIPT_LINE)
offers_by_product = children(
    supplier_offer,
    "product_id",
    order=("priority", "min_quantity", "id"),
    where=(_offer.archived_at.is_(None),),
)


def _orders_of_lines(
    keys: ColumnElement[Any], wanted: Sequence[ColumnElement[Any]], given: frozenset[str]
) -> Select[Any]:
    """Find the order that each line is on."""
    del given
    return (
        select(_line.id.label(KEY), *wanted)
        .select_from(line_table.join(order_table, order_table.c.id == _line.order_id))
        .where(_line.id == any_(keys))
    )


purchase_by_line = Relation(
    "PurchaseOrderByLineId",
    purchase_order,
    "id",
    source=_orders_of_lines,
    key_type=BigInteger(),
)


def _moves(
    keys: ColumnElement[Any], wanted: Sequence[ColumnElement[Any]], given: frozenset[str]
) -> Select[Any]:
    """Find the moves that the lines of each receipt are the source of."""
    del given
    move, line = stock_move.columns, receipt_line_table.c
    return (
        select(line.receipt_id.label(KEY), *wanted)
        .select_from(
            receipt_line_table.join(
                stock_move.table,
                and_(move["source"] == GOODS_RECEIPT_LINE, move["source_id"] == line.id),
            )
        )
        .where(line.receipt_id == any_(keys))
        .order_by(line.position, move["id"])
    )


moves_by_receipt = Relation(
    "StockMovesByReceiptId",
    stock_move,
    "id",
    many=True,
    source=_moves,
    key_type=BigInteger(),
)

_choice = offer_table.alias("choice")
# of the offers that hold for so much the first choice, the cheapest of equals; else of the others
_best = lateral(
    select(_choice.c.id, _choice.c.partner_id)
    .where(_choice.c.product_id == _rule["product_id"], _choice.c.archived_at.is_(None))
    .order_by(
        (_choice.c.min_quantity <= _rule["suggested_quantity"]).desc(),
        _choice.c.priority,
        _choice.c.price,
        _choice.c.id,
    )
    .limit(1),
    name="best",
)


best_offer = _best
"""Of each reorder rule's product the offer to order by; joined to rules laterally."""


def _offers_of_rules(
    keys: ColumnElement[Any], wanted: Sequence[ColumnElement[Any]], given: frozenset[str]
) -> Select[Any]:
    """Choose the offer by which to order what each rule suggests."""
    del given
    return (
        select(_rule["id"].label(KEY), *wanted)
        .select_from(
            reorder_rule.table.join(_best, true()).join(offer_table, _offer.id == _best.c.id)
        )
        .where(_rule["id"] == any_(keys))
    )


def _suppliers_of_rules(
    keys: ColumnElement[Any], wanted: Sequence[ColumnElement[Any]], given: frozenset[str]
) -> Select[Any]:
    """Find who makes the offer by which to order what each rule suggests."""
    del given
    return (
        select(_rule["id"].label(KEY), *wanted)
        .select_from(
            reorder_rule.table.join(_best, true()).join(
                partner.table, partner.columns["id"] == _best.c.partner_id
            )
        )
        .where(_rule["id"] == any_(keys))
    )


offer_by_rule = Relation(
    "SupplierOfferByRuleId", supplier_offer, "id", source=_offers_of_rules, key_type=BigInteger()
)
supplier_by_rule = Relation(
    "SupplierByRuleId", partner, "id", source=_suppliers_of_rules, key_type=BigInteger()
)
