"""Tables of returns."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    UniqueConstraint,
)

from resolvers.core.numbering import numbered
from resolvers.core.table import (
    big_id,
    instant,
    later,
    number_prefix,
    one_of,
    owned,
    quantity,
    required,
    table,
)
from resolvers.returns.rules import Disposition

goods_return = table(
    "goods_return",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("partner_id", BigInteger, ForeignKey("partner.id")),
    required("number"),
    required("order_id", BigInteger, later("sales_order.id")),
    required("warehouse_id", Integer),
    required("reason"),
    required("received_on", Date),
    instant("posted_at", now=True),
    required("posted_by"),
    UniqueConstraint("company_id", "number"),
    UniqueConstraint("id", "company_id", "partner_id", name="uq_goods_return_owner"),
    ForeignKeyConstraint(
        ["warehouse_id", "company_id"],
        ["warehouse.id", "warehouse.company_id"],
        name="fk_goods_return_warehouse",
    ),
    Index("ix_goods_return_received_on", "company_id", "received_on", "id"),
    Index("ix_goods_return_order", "order_id", "id"),
    Index("ix_goods_return_partner", "partner_id", "company_id", "received_on", "id"),
    Index("ix_goods_return_warehouse", "warehouse_id", "received_on", "id"),
    number_prefix("goods_return"),
    rows=owned("insert", partner="partner_id = {partner}"),
    comment="What came back of an order at once; never changed.",
)

goods_return_line = table(
    "goods_return_line",
    big_id(),
    required("company_id", Integer),
    required("partner_id", BigInteger),
    required("return_id", BigInteger),
    required("position", Integer),
    required("order_line_id", BigInteger, later("sales_order_line.id")),
    required("product_id", BigInteger, ForeignKey("product.id")),
    required("quantity", quantity()),
    required("disposition"),
    UniqueConstraint("return_id", "position"),
    ForeignKeyConstraint(
        ["return_id", "company_id", "partner_id"],
        ["goods_return.id", "goods_return.company_id", "goods_return.partner_id"],
        name="fk_goods_return_line_return",
    ),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint(one_of("disposition", Disposition), name="disposition"),
    Index("ix_goods_return_line_order_line", "order_line_id", "id"),
    rows=owned("insert", partner="partner_id = {partner}"),
    comment="How much of an order line came back, and what becomes of it; never changed.",
)

RETURN_NUMBERS = numbered("goods_return")
