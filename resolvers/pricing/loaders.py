"""Price lists as readers know them, and the price a partner pays.

A price is resolved in one statement for all products asked about: of the partner's price list the
most specific item wins (product before category before all; of categories the deepest), then the
highest quantity reached, then the latest start. Without an item the product's list price stands.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    Numeric,
    Select,
    Text,
    and_,
    bindparam,
    case,
    func,
    lateral,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY

from resolvers.catalog.loaders import category as category_entity
from resolvers.catalog.loaders import product as product_entity
from resolvers.core.entity import Entity, entity
from resolvers.core.relation import KEY, Relation, by_key
from resolvers.partners.loaders import terms as terms_entity
from resolvers.pricing.tables import price_list as price_list_table
from resolvers.pricing.tables import price_list_item as item_table

price_list = entity("PriceList", price_list_table)
price_list_item = entity("PriceListItem", item_table)

price_list_by_id = by_key(price_list)

_product = product_entity.table.alias("priced")
_terms = terms_entity.table.alias("terms")
_list = price_list_table.alias("list")
_category = category_entity.table.alias("own_category")
_item_category = category_entity.table.alias("item_category")

# literals and not parameters, so that partial indexes match
_PRODUCT = literal_column("'PRODUCT'", Text)
_ALL = literal_column("'ALL'", Text)

_asked = (
    func.unnest(
        bindparam("keys", type_=ARRAY(BigInteger)), bindparam("quantities", type_=ARRAY(Numeric))
    )
    .table_valued("product_id", "quantity", with_ordinality="position", name="asked")
    .render_derived()
)
_on = bindparam("on", type_=Date)


def _best_item() -> Any:
    item = item_table
    specificity = case(
        (item.c.scope == _PRODUCT, literal_column("0")),
        (item.c.scope == _ALL, literal_column("2")),
        else_=literal_column("1"),
    )
    return lateral(
        select(
            item.c.scope,
            item.c.fixed_price,
            item.c.discount_percent,
            _list.c.id.label("price_list_id"),
            _list.c.currency,
        )
        .select_from(
            item.join(_list, _list.c.id == item.c.price_list_id).outerjoin(
                _item_category, _item_category.c.id == item.c.category_id
            )
        )
        .where(
            item.c.price_list_id == _terms.c.price_list_id,
            item.c.archived_at.is_(None),
            _list.c.archived_at.is_(None),
            item.c.min_quantity <= _asked.c.quantity,
            item.c.valid_from <= _on,
            item.c.valid_to > _on,
            or_(
                item.c.product_id == _product.c.id,
                and_(
                    item.c.scope != _PRODUCT,
                    or_(
                        item.c.scope == _ALL,
                        func.starts_with(_category.c.path, _item_category.c.path),
                    ),
                ),
            ),
        )
        .order_by(
            specificity,
            func.length(_item_category.c.path).desc().nulls_last(),
            item.c.min_quantity.desc(),
            item.c.valid_from.desc(),
            item.c.id,
        )
        .limit(1),
        name="best",
    )


_best = _best_item()
_discount = func.coalesce(_best.c.discount_percent, literal_column("0.0000", Numeric(7, 4)))

price_quote = Entity(
    "PriceQuote",
    product_entity.table,
    {
        "product_id": _product.c.id,
        "unit_price": func.coalesce(
            _best.c.fixed_price,
            # the factor first: it is exact, where a quotient of large prices is rounded on its way
            func.round(_product.c.list_price * ((100 - _discount) / 100), 6),
            type_=Numeric(20, 6),
        ),
        "currency": case(
            (_best.c.fixed_price.is_not(None), _best.c.currency), else_=_product.c.list_currency
        ),
        "discount_percent": _discount,
        "rule": func.coalesce(_best.c.scope, "LIST_PRICE"),
        "price_list_id": _best.c.price_list_id,
    },
    key="product_id",
)


def _quotes(
    keys: ColumnElement[Any], wanted: Sequence[ColumnElement[Any]], given: frozenset[str]
) -> Select[Any]:
    del keys  # bound beside the quantities in `_asked`
    partner = bindparam("partner_id", type_=BigInteger) if "partner_id" in given else None
    terms = _terms.c.partner_id == partner if partner is not None else literal_column("false")
    return (
        select(_asked.c.product_id.label(KEY), *wanted)
        .select_from(
            _asked.join(_product, _product.c.id == _asked.c.product_id)
            .join(_category, _category.c.id == _product.c.category_id)
            .outerjoin(_terms, terms)
            .outerjoin(_best, true())
        )
        .order_by(_asked.c.position)
    )


class PriceRelation(Relation):
    """The price of each product for a partner, at a quantity and on a day."""

    async def rows(
        self, reads: Any, keys: Sequence[Any], columns: frozenset[str], arguments: Any
    ) -> Sequence[Any]:
        """Resolve the prices of all ``keys``, in their order; see `Relation.rows`.

        ``arguments`` has ``on``, ``partner_id`` unless list prices are wanted, and ``quantity`` for
        all of the keys or ``quantities`` for each.
        """
        each = "quantities" in arguments
        quantities = arguments["quantities"] if each else [arguments["quantity"]] * len(keys)
        given = frozenset(arguments) & {"partner_id"}
        parameters = {"keys": list(keys), "quantities": quantities, "on": arguments["on"]}
        if given:
            parameters["partner_id"] = arguments["partner_id"]
        return await reads.fetch(self.statement(columns, given), parameters)  # type: ignore[no-any-return]


price_by_product = PriceRelation(
    "PriceByProductId", price_quote, "product_id", source=_quotes, key_type=BigInteger()
)
