"""Tables of categories and products."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import CHAR, JSONB, TSVECTOR
from sqlalchemy.schema import Computed

from resolvers.catalog.rules import ProductKind, Tracking
from resolvers.core.search import search_vector
from resolvers.core.table import (
    archived_at,
    big_id,
    instant,
    one_of,
    owned,
    rate,
    required,
    shared,
    small_id,
    table,
    unit_price,
    version,
)

_ACTIVE = text("archived_at is null")

product_category = table(
    "product_category",
    small_id(),
    Column("parent_id", Integer, ForeignKey("product_category.id")),
    required("code", unique=True),
    required("name"),
    required("path"),
    archived_at(),
    Index("ix_product_category_path", "path", postgresql_ops={"path": "text_pattern_ops"}),
    Index("ix_product_category_parent_id", "parent_id"),
    CheckConstraint("path ~ '^/([^/]+/)+$'", name="path"),
    rows=shared(),
    comment="A node of the product tree; path is /parent/child/ by codes.",
    reference=True,
)

product = table(
    "product",
    big_id(),
    required("sku"),
    required("name"),
    Column("description", Text),
    Column("barcode", Text),
    required("kind", server_default="GOODS"),
    required("tracking", server_default="NONE"),
    required("category_id", Integer, ForeignKey("product_category.id")),
    required("uom_id", Integer, ForeignKey("unit_of_measure.id")),
    required("attributes", JSONB, server_default="{}"),
    required("list_price", unit_price(), server_default="0"),
    required("list_currency", CHAR(3), ForeignKey("currency.code")),
    Column("weight_kg", Numeric(12, 4)),
    Column("replaced_by_id", BigInteger, ForeignKey("product.id")),
    version(),
    archived_at(),
    Column(
        "search",
        TSVECTOR,
        Computed(
            search_vector(
                "sku || ' ' || name || ' ' || coalesce(barcode, '') || ' ' || "
                "jsonb_path_query_array(attributes, '$.*')::text"
            ),
            persisted=True,
        ),
    ),
    instant("created_at", now=True),
    instant("updated_at", now=True),
    CheckConstraint(one_of("kind", ProductKind), name="kind"),
    CheckConstraint(one_of("tracking", Tracking), name="tracking"),
    CheckConstraint("list_price >= 0", name="list_price"),
    Index("uq_product_sku", "sku", unique=True, postgresql_where=_ACTIVE),
    Index(
        "uq_product_barcode",
        "barcode",
        unique=True,
        postgresql_where=text("barcode is not null and archived_at is null"),
    ),
    Index("ix_product_sku", "sku", "id"),
    Index("ix_product_name", "name", "id", postgresql_where=_ACTIVE),
    Index("ix_product_kind", "kind", "sku", "id", postgresql_where=_ACTIVE),
    Index("ix_product_category_sku", "category_id", "sku", "id", postgresql_where=_ACTIVE),
    Index("ix_product_search", "search", postgresql_using="gin"),
    rows=shared("insert", "update"),
    comment="What is bought, stocked and sold, by its SKU; shared by all companies of the database.",
)

product_unit = table(
    "product_unit",
    big_id(),
    required("product_id", BigInteger, ForeignKey("product.id")),
    required("code"),
    required("name"),
    required("factor", rate()),
    Column("barcode", Text),
    archived_at(),
    CheckConstraint("factor > 0", name="factor"),
    Index("uq_product_unit_code", "product_id", "code", unique=True, postgresql_where=_ACTIVE),
    Index(
        "uq_product_unit_barcode",
        "barcode",
        unique=True,
        postgresql_where=text("barcode is not null and archived_at is null"),
    ),
    Index("ix_product_unit_product_id", "product_id", "factor", "id"),
    rows=shared("insert", "update"),
    comment="A pack of a product, such as a box: factor says how many of its unit are in one.",
)

product_company = table(
    "product_company",
    required("product_id", BigInteger, ForeignKey("product.id")),
    required("company_id", Integer, ForeignKey("company.id")),
    Column("standard_cost", unit_price()),
    required("sale_ok", Boolean, server_default="true"),
    required("purchase_ok", Boolean, server_default="true"),
    PrimaryKeyConstraint("product_id", "company_id"),
    CheckConstraint("standard_cost >= 0", name="standard_cost"),
    rows=owned("insert", "update"),
    comment="What a company keeps about a product for itself.",
)
