"""Tables of price lists."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    text,
)
from sqlalchemy.dialects.postgresql import CHAR

from resolvers.core.table import (
    COMPANY,
    PARTNER,
    RowRule,
    archived_at,
    big_id,
    one_of,
    percentage,
    quantity,
    required,
    small_id,
    table,
    unit_price,
)
from resolvers.pricing.rules import PriceMethod, PriceScope

_OF_COMPANY = f"(company_id is null or company_id = {COMPANY})"
_PARTNERS_LIST = (
    "(select pc.price_list_id from partner_company pc "
    f"where pc.company_id = {COMPANY} and pc.partner_id = {PARTNER})"
)

price_list = table(
    "price_list",
    small_id(),
    Column("company_id", Integer, ForeignKey("company.id")),
    required("code", unique=True),
    required("name"),
    required("currency", CHAR(3), ForeignKey("currency.code")),
    archived_at(),
    Index("ix_price_list_company_id", "company_id", "code", "id"),
    rows=RowRule(_OF_COMPANY, f"{_OF_COMPANY} and id = {_PARTNERS_LIST}", owned=True),
    comment="Prices in one currency; a list without a company serves all of them.",
)

price_list_item = table(
    "price_list_item",
    big_id(),
    Column("company_id", Integer, ForeignKey("company.id")),
    required("price_list_id", Integer, ForeignKey("price_list.id")),
    required("scope"),
    Column("product_id", BigInteger, ForeignKey("product.id")),
    Column("category_id", Integer, ForeignKey("product_category.id")),
    required("min_quantity", quantity(), server_default="0"),
    required("valid_from", Date, server_default="-infinity"),
    required("valid_to", Date, server_default="infinity"),
    required("method"),
    Column("fixed_price", unit_price()),
    Column("discount_percent", percentage()),
    archived_at(),
    CheckConstraint(one_of("scope", PriceScope), name="scope"),
    CheckConstraint(one_of("method", PriceMethod), name="method"),
    CheckConstraint("(scope = 'PRODUCT') = (product_id is not null)", name="product"),
    CheckConstraint("(scope = 'CATEGORY') = (category_id is not null)", name="category"),
    CheckConstraint("(method = 'FIXED') = (fixed_price is not null)", name="fixed_price"),
    CheckConstraint("(method = 'DISCOUNT') = (discount_percent is not null)", name="discount"),
    CheckConstraint("method <> 'FIXED' or scope = 'PRODUCT'", name="fixed_for_product"),
    CheckConstraint("fixed_price >= 0", name="not_negative"),
    CheckConstraint("discount_percent between 0 and 100", name="percent"),
    CheckConstraint("valid_to > valid_from", name="validity"),
    Index(
        "uq_price_list_item_product",
        "price_list_id",
        "product_id",
        "min_quantity",
        "valid_from",
        unique=True,
        postgresql_where=text("product_id is not null and archived_at is null"),
    ),
    Index(
        "ix_price_list_item_list",
        "price_list_id",
        "id",
        postgresql_where=text("archived_at is null"),
    ),
    Index(
        "ix_price_list_item_general",
        "price_list_id",
        postgresql_where=text("scope <> 'PRODUCT' and archived_at is null"),
    ),
    Index(
        "ix_price_list_item_product_id",
        "product_id",
        postgresql_where=text("product_id is not null"),
    ),
    rows=RowRule(_OF_COMPANY, f"{_OF_COMPANY} and price_list_id = {_PARTNERS_LIST}", owned=True),
    comment="One price rule: for a product, a category or all, from a quantity, within dates.",
)
