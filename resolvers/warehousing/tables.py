"""Tables of transfers and counts, and the trigger that keeps what is in transit incoming."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    text,
)

from resolvers.core.numbering import numbered
from resolvers.core.table import (
    big_id,
    instant,
    number_prefix,
    one_of,
    owned,
    quantity,
    required,
    table,
    version,
)
from resolvers.warehousing.rules import CountState, TransferState

stock_transfer = table(
    "stock_transfer",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("number"),
    required("from_warehouse_id", Integer),
    required("to_warehouse_id", Integer),
    required("state", server_default="IN_TRANSIT"),
    required("sent_on", Date),
    required("expected_on", Date),
    instant("sent_at", now=True),
    required("sent_by"),
    instant("ended_at"),
    version(),
    UniqueConstraint("company_id", "number"),
    # what lines refer to: a line cannot be of another company, or come another day or elsewhere
    UniqueConstraint(
        "id", "company_id", "to_warehouse_id", "expected_on", name="uq_stock_transfer_owner"
    ),
    *(
        ForeignKeyConstraint(
            [f"{end}_warehouse_id", "company_id"],
            ["warehouse.id", "warehouse.company_id"],
            name=f"fk_stock_transfer_{end}",
        )
        for end in ("from", "to")
    ),
    CheckConstraint(one_of("state", TransferState), name="state"),
    CheckConstraint("from_warehouse_id <> to_warehouse_id", name="moves"),
    CheckConstraint("expected_on >= sent_on", name="expected_on"),
    CheckConstraint("(ended_at is null) = (state = 'IN_TRANSIT')", name="ended_at"),
    Index("ix_stock_transfer_sent_on", "company_id", "sent_on", "id"),
    Index("ix_stock_transfer_state", "company_id", "state", "sent_on", "id"),
    Index("ix_stock_transfer_from", "from_warehouse_id", "sent_on", "id"),
    Index("ix_stock_transfer_to", "to_warehouse_id", "sent_on", "id"),
    number_prefix("stock_transfer"),
    rows=owned("insert", "update"),
    comment="Goods that are carried from one warehouse to another.",
)

stock_transfer_line = table(
    "stock_transfer_line",
    big_id(),
    required("company_id", Integer),
    required("transfer_id", BigInteger),
    required("to_warehouse_id", Integer),
    required("expected_on", Date),
    required("position", Integer),
    required("product_id", BigInteger, ForeignKey("product.id")),
    Column("lot_id", BigInteger),
    required("quantity", quantity()),
    required("received", quantity(), server_default="0"),
    required("returned", quantity(), server_default="0"),
    UniqueConstraint("transfer_id", "position"),
    ForeignKeyConstraint(
        ["transfer_id", "company_id", "to_warehouse_id", "expected_on"],
        [
            "stock_transfer.id",
            "stock_transfer.company_id",
            "stock_transfer.to_warehouse_id",
            "stock_transfer.expected_on",
        ],
        name="fk_stock_transfer_line_transfer",
    ),
    ForeignKeyConstraint(
        ["lot_id", "company_id", "product_id"],
        ["lot.id", "lot.company_id", "lot.product_id"],
        name="fk_stock_transfer_line_lot",
    ),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("received >= 0 and returned >= 0", name="not_negative"),
    CheckConstraint("received + returned <= quantity", name="not_more"),
    Index("ix_stock_transfer_line_product", "product_id", "company_id", "id"),
    Index("ix_stock_transfer_line_lot", "lot_id", postgresql_where=text("lot_id is not null")),
    rows=owned("insert", "update"),
    comment="So much of one product, of one lot if it is tracked, in a transfer.",
)

stock_count = table(
    "stock_count",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("number"),
    required("warehouse_id", Integer),
    required("state", server_default="COUNTING"),
    Column("note", Text),
    required("started_on", Date),
    instant("started_at", now=True),
    required("started_by"),
    instant("ended_at"),
    version(),
    UniqueConstraint("company_id", "number"),
    UniqueConstraint("id", "company_id", name="uq_stock_count_owner"),
    ForeignKeyConstraint(
        ["warehouse_id", "company_id"],
        ["warehouse.id", "warehouse.company_id"],
        name="fk_stock_count_warehouse",
    ),
    CheckConstraint(one_of("state", CountState), name="state"),
    CheckConstraint("(ended_at is null) = (state = 'COUNTING')", name="ended_at"),
    Index("ix_stock_count_started_on", "company_id", "started_on", "id"),
    Index("ix_stock_count_state", "company_id", "state", "started_on", "id"),
    Index("ix_stock_count_warehouse", "warehouse_id", "started_on", "id"),
    number_prefix("stock_count"),
    rows=owned("insert", "update"),
    comment="Places of a warehouse that are counted at once.",
)

stock_count_line = table(
    "stock_count_line",
    big_id(),
    required("company_id", Integer),
    required("count_id", BigInteger),
    required("position", Integer),
    required("product_id", BigInteger, ForeignKey("product.id")),
    required("location_id", Integer),
    Column("lot_id", BigInteger),
    required("expected", quantity()),
    required("last_move_id", BigInteger),
    Column("counted", quantity()),
    instant("counted_at"),
    Column("counted_by", Text),
    UniqueConstraint("count_id", "position"),
    UniqueConstraint(
        "count_id",
        "product_id",
        "location_id",
        "lot_id",
        name="uq_stock_count_line_place",
        postgresql_nulls_not_distinct=True,
    ),
    ForeignKeyConstraint(
        ["count_id", "company_id"],
        ["stock_count.id", "stock_count.company_id"],
        name="fk_stock_count_line_count",
    ),
    ForeignKeyConstraint(
        ["location_id", "company_id"],
        ["stock_location.id", "stock_location.company_id"],
        name="fk_stock_count_line_location",
    ),
    ForeignKeyConstraint(
        ["lot_id", "company_id", "product_id"],
        ["lot.id", "lot.company_id", "lot.product_id"],
        name="fk_stock_count_line_lot",
    ),
    CheckConstraint("counted >= 0", name="counted"),
    CheckConstraint(
        "(counted is null) = (counted_at is null) and (counted is null) = (counted_by is null)",
        name="counted_at",
    ),
    Index("ix_stock_count_line_product", "product_id", "company_id", "id"),
    Index("ix_stock_count_line_location", "location_id", "id"),
    Index("ix_stock_count_line_lot", "lot_id", postgresql_where=text("lot_id is not null")),
    rows=owned("insert", "update"),
    comment="What should be at a place by the ledger's last move there, and what was counted.",
)

INCOMING_OF_TRANSFERS = """
create function stock_transfer_line_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  merge into incoming_stock i using (
    select l.id, l.company_id, l.product_id, l.to_warehouse_id, l.expected_on,
           l.quantity - l.received - l.returned as outstanding
    from changed l
  ) l on i.source = 'STOCK_TRANSFER_LINE' and i.source_id = l.id
  when matched and l.outstanding = 0 then delete
  when matched and i.quantity <> l.outstanding then update set quantity = l.outstanding
  when not matched and l.outstanding > 0 then
    insert (company_id, product_id, warehouse_id, expected_on, quantity, source, source_id)
    values (l.company_id, l.product_id, l.to_warehouse_id, l.expected_on, l.outstanding,
            'STOCK_TRANSFER_LINE', l.id);
  return null;
end $$;
create trigger stock_transfer_line_inserted after insert on stock_transfer_line
  referencing new table as changed for each statement execute function stock_transfer_line_changed();
create trigger stock_transfer_line_updated after update on stock_transfer_line
  referencing new table as changed for each statement execute function stock_transfer_line_changed()
"""
"""What is in transit is incoming where it goes to, whoever changes a line."""

TRANSFER_NUMBERS = numbered("stock_transfer")
COUNT_NUMBERS = numbered("stock_count")
