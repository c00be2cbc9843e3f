"""Tables of purchasing, and the triggers that keep what is on its way in step with the lines."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import CHAR

from resolvers.core.archive import archive_rule
from resolvers.core.numbering import numbered
from resolvers.core.table import (
    archived_at,
    as_entered,
    big_id,
    instant,
    money,
    number_prefix,
    one_of,
    owned,
    percentage,
    quantity,
    rate,
    required,
    table,
    unit_price,
    version,
)
from resolvers.purchasing.rules import BillStatus, PurchaseOrderState, ReceiptStatus

purchase_order = table(
    "purchase_order",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("number"),
    required("state", server_default="DRAFT"),
    required("receipt_status", server_default="NONE"),
    required("bill_status", server_default="NONE"),
    required("partner_id", BigInteger, ForeignKey("partner.id")),
    required("warehouse_id", Integer),
    required("currency", CHAR(3), ForeignKey("currency.code")),
    required("fx_rate", rate(), server_default="1"),
    Column("supplier_ref", Text),
    required("ordered_on", Date),
    required("expected_on", Date),
    required("subtotal", money(), server_default="0"),
    required("tax_total", money(), server_default="0"),
    required("total", money(), server_default="0"),
    version(),
    instant("created_at", now=True),
    instant("confirmed_at"),
    UniqueConstraint("company_id", "number"),
    # what receipts refer to, and lines: neither can be of another company or supplier
    UniqueConstraint("id", "company_id", "partner_id", name="uq_purchase_order_owner"),
    UniqueConstraint(
        "id", "company_id", "partner_id", "currency", name="uq_purchase_order_owner_currency"
    ),
    ForeignKeyConstraint(
        ["warehouse_id", "company_id"],
        ["warehouse.id", "warehouse.company_id"],
        name="fk_purchase_order_warehouse",
    ),
    CheckConstraint(one_of("state", PurchaseOrderState), name="state"),
    CheckConstraint(one_of("receipt_status", ReceiptStatus), name="receipt_status"),
    CheckConstraint(one_of("bill_status", BillStatus), name="bill_status"),
    CheckConstraint("expected_on >= ordered_on", name="expected_on"),
    CheckConstraint("total = subtotal + tax_total", name="total"),
    Index("ix_purchase_order_ordered_on", "company_id", "ordered_on", "id"),
    Index("ix_purchase_order_expected_on", "company_id", "expected_on", "id"),
    Index("ix_purchase_order_partner", "partner_id", "company_id", "ordered_on", "id"),
    Index("ix_purchase_order_state", "company_id", "state", "ordered_on", "id"),
    Index("ix_purchase_order_receipt", "company_id", "receipt_status", "ordered_on", "id"),
    Index("ix_purchase_order_bill", "company_id", "bill_status", "ordered_on", "id"),
    Index("ix_purchase_order_warehouse", "warehouse_id", "ordered_on", "id"),
    Index(
        "ix_purchase_order_open",
        "company_id",
        "expected_on",
        "id",
        postgresql_where=text("state = 'CONFIRMED' and receipt_status <> 'RECEIVED'"),
    ),
    Index(
        "ix_purchase_order_supplier_ref",
        "company_id",
        "supplier_ref",
        postgresql_where=text("supplier_ref is not null"),
    ),
    number_prefix("purchase_order"),
    rows=owned("insert", "update", partner="partner_id = {partner}"),
    comment="An order to a supplier.",
)

purchase_order_line = table(
    "purchase_order_line",
    big_id(),
    required("company_id", Integer),
    required("partner_id", BigInteger),
    required("order_id", BigInteger),
    required("position", Integer),
    required("product_id", BigInteger, ForeignKey("product.id")),
    Column("supplier_sku", Text),
    required("description"),
    required("uom_id", Integer, ForeignKey("unit_of_measure.id")),
    required("currency", CHAR(3), ForeignKey("currency.code")),
    required("quantity", quantity()),
    required("unit_price", unit_price()),
    required("net", money()),
    required("tax", money(), server_default="0"),
    required("expected_on", Date),
    required("received", quantity(), server_default="0"),
    required("canceled", quantity(), server_default="0"),
    required("billed", quantity(), server_default="0"),
    required("over_receipt_percent", percentage(), server_default="0"),
    *as_entered(),
    ForeignKeyConstraint(
        ["order_id", "company_id", "partner_id", "currency"],
        [
            "purchase_order.id",
            "purchase_order.company_id",
            "purchase_order.partner_id",
            "purchase_order.currency",
        ],
        name="fk_purchase_order_line_order",
        onupdate="CASCADE",
    ),
    UniqueConstraint("order_id", "position"),
    # what lines of receipts refer to: none can be of another product than was ordered
    UniqueConstraint(
        "id", "company_id", "partner_id", "product_id", name="uq_purchase_order_line_owner"
    ),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("unit_price >= 0", name="unit_price"),
    CheckConstraint("received >= 0 and canceled >= 0 and billed >= 0", name="not_negative"),
    CheckConstraint("canceled <= quantity", name="not_over_canceled"),
    CheckConstraint("over_receipt_percent between 0 and 100", name="over_receipt_percent"),
    # multiplied and not divided, so that it is exact to the last digit
    CheckConstraint(
        "received * 100 <= (quantity - canceled) * (100 + over_receipt_percent)",
        name="not_over_received",
    ),
    Index("ix_purchase_order_line_product", "product_id", "company_id"),
    rows=owned("insert", "update", partner="partner_id = {partner}"),
    comment="One product on an order to a supplier: how much, at which price, what came, what was billed.",
)

goods_receipt = table(
    "goods_receipt",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("number"),
    required("order_id", BigInteger),
    required("partner_id", BigInteger),
    required("warehouse_id", Integer),
    Column("delivery_note", Text),
    required("received_on", Date),
    instant("posted_at", now=True),
    required("posted_by"),
    UniqueConstraint("company_id", "number"),
    UniqueConstraint("id", "company_id", "partner_id", name="uq_goods_receipt_owner"),
    ForeignKeyConstraint(
        ["order_id", "company_id", "partner_id"],
        ["purchase_order.id", "purchase_order.company_id", "purchase_order.partner_id"],
        name="fk_goods_receipt_order",
    ),
    ForeignKeyConstraint(
        ["warehouse_id", "company_id"],
        ["warehouse.id", "warehouse.company_id"],
        name="fk_goods_receipt_warehouse",
    ),
    Index("ix_goods_receipt_received_on", "company_id", "received_on", "id"),
    Index("ix_goods_receipt_order", "order_id", "id"),
    Index("ix_goods_receipt_partner", "partner_id", "company_id", "received_on", "id"),
    Index("ix_goods_receipt_warehouse", "warehouse_id", "received_on", "id"),
    number_prefix("goods_receipt"),
    rows=owned("insert", partner="partner_id = {partner}"),
    comment="What arrived of an order in one delivery; never changed.",
)

goods_receipt_line = table(
    "goods_receipt_line",
    big_id(),
    required("company_id", Integer),
    required("partner_id", BigInteger),
    required("receipt_id", BigInteger),
    required("position", Integer),
    required("order_line_id", BigInteger),
    required("product_id", BigInteger),
    required("quantity", quantity()),
    required("rejected", quantity(), server_default="0"),
    ForeignKeyConstraint(
        ["receipt_id", "company_id", "partner_id"],
        ["goods_receipt.id", "goods_receipt.company_id", "goods_receipt.partner_id"],
        name="fk_goods_receipt_line_receipt",
    ),
    ForeignKeyConstraint(
        ["order_line_id", "company_id", "partner_id", "product_id"],
        [
            "purchase_order_line.id",
            "purchase_order_line.company_id",
            "purchase_order_line.partner_id",
            "purchase_order_line.product_id",
        ],
        name="fk_goods_receipt_line_order_line",
    ),
    UniqueConstraint("receipt_id", "position"),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("rejected between 0 and quantity", name="rejected"),
    Index("ix_goods_receipt_line_order_line", "order_line_id"),
    rows=owned("insert", partner="partner_id = {partner}"),
    comment="How much of one line of an order arrived in a delivery; never changed.",
)

landed_cost = table(
    "landed_cost",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("receipt_id", BigInteger, ForeignKey("goods_receipt.id")),
    required("amount", money()),
    required("description"),
    required("effective_on", Date),
    instant("posted_at", now=True),
    required("posted_by"),
    CheckConstraint("amount > 0", name="amount"),
    Index("ix_landed_cost_receipt", "receipt_id", "id"),
    rows=owned("insert"),
    comment="What goods of a receipt cost besides their price, such as freight; never changed.",
)

supplier_offer = table(
    "supplier_offer",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("product_id", BigInteger, ForeignKey("product.id")),
    required("partner_id", BigInteger, ForeignKey("partner.id")),
    Column("supplier_sku", Text),
    required("min_quantity", quantity(), server_default="0"),
    required("price", unit_price()),
    required("currency", CHAR(3), ForeignKey("currency.code")),
    required("lead_days", SmallInteger),
    required("priority", SmallInteger, server_default="1"),
    archived_at(),
    CheckConstraint("min_quantity >= 0", name="min_quantity"),
    CheckConstraint("price >= 0", name="price"),
    CheckConstraint("lead_days >= 0", name="lead_days"),
    CheckConstraint("priority >= 1", name="priority"),
    Index(
        "uq_supplier_offer_active",
        "product_id",
        "company_id",
        "partner_id",
        "min_quantity",
        unique=True,
        postgresql_where=text("archived_at is null"),
    ),
    Index(
        "ix_supplier_offer_product",
        "company_id",
        "product_id",
        "priority",
        "id",
        postgresql_where=text("archived_at is null"),
    ),
    Index(
        "ix_supplier_offer_partner",
        "partner_id",
        "company_id",
        "product_id",
        "priority",
        "id",
        postgresql_where=text("archived_at is null"),
    ),
    Index(
        "ix_supplier_offer_supplier_sku",
        "company_id",
        "supplier_sku",
        postgresql_where=text("archived_at is null"),
    ),
    rows=owned("insert", "update", partner="partner_id = {partner}"),
    comment="What a supplier asks a company for a product, from a quantity on.",
)

# What is outstanding of the lines that {which} says, as rows of incoming_stock.
_REFRESH = """
  merge into incoming_stock i using (
    select l.id, l.company_id, l.product_id, o.warehouse_id, l.expected_on,
           case when o.state = 'CONFIRMED' then greatest(l.quantity - l.received - l.canceled, 0)
                else 0 end as outstanding
    from purchase_order_line l join purchase_order o on o.id = l.order_id
    where {which}
  ) l on i.source = 'PURCHASE_ORDER_LINE' and i.source_id = l.id
  when matched and l.outstanding = 0 then delete
  when matched and (i.product_id, i.warehouse_id, i.expected_on, i.quantity)
      is distinct from (l.product_id, l.warehouse_id, l.expected_on, l.outstanding) then
    update set product_id = l.product_id, warehouse_id = l.warehouse_id,
               expected_on = l.expected_on, quantity = l.outstanding
  when not matched and l.outstanding > 0 then
    insert (company_id, product_id, warehouse_id, expected_on, quantity, source, source_id)
    values (l.company_id, l.product_id, l.warehouse_id, l.expected_on, l.outstanding,
            'PURCHASE_ORDER_LINE', l.id);
"""

# The orders are locked first, so that of a line and its order changed at once both are seen.
INCOMING_OF_LINES = f"""
create function purchase_order_line_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  perform from purchase_order where id in (select order_id from changed) order by id for no key update;
{_REFRESH.format(which="l.id in (select id from changed)")}
  return null;
end $$;
create trigger purchase_order_line_inserted after insert on purchase_order_line
  referencing new table as changed for each statement execute function purchase_order_line_changed();
create trigger purchase_order_line_updated after update on purchase_order_line
  referencing new table as changed for each statement execute function purchase_order_line_changed()
"""

INCOMING_OF_ORDERS = f"""
create function purchase_order_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
{
    _REFRESH.format(
        which='''l.order_id in (
        select n.id from changed n join before b on b.id = n.id
        where (n.state, n.warehouse_id) is distinct from (b.state, b.warehouse_id))'''
    )
}
  return null;
end $$;
create trigger purchase_order_updated after update on purchase_order
  referencing old table as before new table as changed
  for each statement execute function purchase_order_changed()
"""

_OPEN_LINES = """purchase_order_line l join purchase_order o on o.id = l.order_id
    where l.received + l.canceled < l.quantity and o.state not in ('FULFILLED', 'CANCELED')"""
PRODUCT_ON_OPEN_PURCHASE_LINES = archive_rule(
    "product",
    "purchase_lines",
    while_exists=f"{_OPEN_LINES} and l.product_id = old.id",
    message="It is on open purchase orders; fulfill or cancel those lines first.",
)
PARTNER_WITH_OPEN_PURCHASE_ORDERS = archive_rule(
    "partner",
    "purchase_orders",
    while_exists=f"{_OPEN_LINES} and l.partner_id = old.id",
    message="There are open purchase orders with it; fulfill or cancel those first.",
)

RECEIPT_NUMBERS = numbered("goods_receipt")
PURCHASE_NUMBERS = numbered("purchase_order")

LANDED_COST_VALUED = """
create function landed_cost_valued() returns trigger
language plpgsql security definer set search_path = public as $$
declare
  n record;
  x record;
  c product_cost%rowtype;
  layer bigint;
  rest numeric;
  there numeric;
  kept numeric;
  moves bigint[];
  kinds text[];
  amounts numeric[];
begin
  for n in
    select l.*, h.costing, k.digits from changed l
    join company h on h.id = l.company_id join currency k on k.code = h.currency order by l.id
  loop
    c := null;
    moves := '{}';
    kinds := '{}';
    amounts := '{}';
    for x in
      select w.move_id, w.product_id, w.quantity,
             value_share(n.amount, w.upto, w.whole, n.digits)
             - value_share(n.amount, w.upto - w.weight, w.whole, n.digits) as amount
      from (
        select v.*, sum(v.weight) over (order by v.product_id, v.move_id) as upto,
               sum(v.weight) over () as whole
        from (
          -- by value; by quantity where nothing of it cost anything
          select e.move_id, e.product_id, e.quantity,
                 case when sum(e.amount) over () > 0 then e.amount else e.quantity end as weight
          from goods_receipt_line l
          join stock_move m on m.source = 'GOODS_RECEIPT_LINE' and m.source_id = l.id
          join valuation_entry e on e.move_id = m.id and e.quantity > 0
          where l.receipt_id = n.receipt_id and l.company_id = n.company_id
        ) v
      ) w order by w.product_id, w.move_id
    loop
      if c.product_id is distinct from x.product_id then
        select * into c from product_cost p
        where p.product_id = x.product_id and p.company_id = n.company_id for no key update;
        rest := greatest(c.quantity, 0);
      end if;
      there := least(x.quantity, rest);  -- of several moves of a product no piece counts twice
      rest := rest - there;
      if n.costing = 'FIFO' then
        select y.id, y.remaining into layer, there from cost_layer y
        where y.move_id = x.move_id and y.remaining > 0;
        there := coalesce(there, 0);
      end if;
      kept := value_share(x.amount, there, x.quantity, n.digits);
      if n.costing = 'FIFO' then
        update cost_layer y set value = y.value + kept where y.id = layer and there > 0;
      end if;
      update product_cost p
      set value = p.value + kept,
          unit_cost = case when p.quantity > 0
            then value_share(p.value + kept, 1, p.quantity, 6) else p.unit_cost end
      where p.product_id = x.product_id and p.company_id = n.company_id;
      if x.amount <> 0 then
        moves := moves || x.move_id;
        kinds := kinds || 'LANDED_COST'::text;
        amounts := amounts || x.amount;
      end if;
      if kept <> x.amount then  -- what has left cost more than was known
        moves := moves || x.move_id;
        kinds := kinds || 'PRICE_DIFFERENCE'::text;
        amounts := amounts || kept - x.amount;
      end if;
    end loop;
    insert into valuation_entry (company_id, product_id, move_id, kind, quantity, amount,
      effective_on, posted_at, posted_by)
    select n.company_id, m.product_id, m.id, e.kind, 0, e.amount, n.effective_on, n.posted_at,
           n.posted_by
    from unnest(moves, kinds, amounts) with ordinality as e (move_id, kind, amount, place)
    join stock_move m on m.id = e.move_id order by e.place;
  end loop;
  return null;
end $$;
create trigger landed_cost_valued after insert on landed_cost
  referencing new table as changed for each statement execute function landed_cost_valued()
"""
"""Adds a cost to the goods of a receipt, by their value, to the last cent.

What is still there is worth more, in its own layer or on average; for what has left the difference
is posted. Rows of `product_cost` are locked in the order of products, as by moves.
"""
