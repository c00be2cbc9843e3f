"""PriceList, PriceListItem and PriceQuote."""

from decimal import Decimal

from resolvers.catalog.loaders import category_by_id, product_by_id
from resolvers.pricing.loaders import price_list, price_list_by_id, price_list_item
from resolvers.pricing.reads import price_list_items
from schema.catalog.types import Product, ProductCategory
from schema.core.connection import Connection, connection
from schema.core.fields import ID, Money, RowType, column, money, node_id, related
from schema.core.node import Node, node_type, row_type
from schema.core.scalars import CurrencyCode
from schema.pricing.enums import PriceMethod, PriceScope


@node_type(price_list_item, "One rule of a price list.", requires="prices.read")
class PriceListItem(RowType, Node):
    """A row of `price_list_item`."""

    id: ID = node_id("PriceListItem")
    scope: PriceScope = column("What it applies to.")
    product: Product | None = related("Product, when it is for one.", product_by_id, "product_id")
    category: ProductCategory | None = related(
        "Category, when it is for one.", category_by_id, "category_id"
    )
    min_qty: Decimal = column("From this quantity on.", of="min_quantity")
    method: PriceMethod = column("Fixed price or discount.")
    fixed_price: Decimal | None = column("Price of one unit, in the list's currency.")
    discount_pct: Decimal | None = column(
        "Discount on the list price in percent.", of="discount_percent"
    )


@node_type(price_list, "Prices in one currency.", requires="prices.read")
class PriceList(RowType, Node):
    """A row of `price_list`."""

    id: ID = node_id("PriceList")
    code: str = column("Code, unique.")
    name: str = column("Name as shown.")
    currency: CurrencyCode = column("Currency of its fixed prices.")
    items: Connection[PriceListItem] = connection(
        "The rules of the list.", price_list_items, parent="price_list_id"
    )


@row_type("PriceQuote", "The price of a product for a partner, at a quantity and on a day.")
class PriceQuote(RowType):
    """What `resolvers.pricing.loaders.price_by_product` resolves."""

    unit_price: Money = money("Price of one unit.", "unit_price")
    discount_pct: Decimal = column(
        "Discount on the list price in percent that led to it; 0 for fixed and list prices.",
        of="discount_percent",
    )
    rule: str = column("What set the price: PRODUCT, CATEGORY, ALL, or LIST_PRICE without a rule.")
    price_list: PriceList | None = related(
        "Price list the price comes from; null for the list price.",
        price_list_by_id,
        "price_list_id",
    )
