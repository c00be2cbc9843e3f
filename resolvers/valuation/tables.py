"""Tables of valuation, and the trigger that values goods with the statement that moves them."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    text,
)

from resolvers.core.table import (
    big_id,
    instant,
    money,
    one_of,
    owned,
    quantity,
    required,
    table,
    unit_price,
)
from resolvers.valuation.rules import INSIDE, ValuationKind

product_cost = table(
    "product_cost",
    required("company_id", Integer, ForeignKey("company.id")),
    required("product_id", BigInteger, ForeignKey("product.id")),
    required("quantity", quantity(), server_default="0"),
    required("value", money(), server_default="0"),
    required("unit_cost", unit_price()),
    PrimaryKeyConstraint("product_id", "company_id"),
    rows=owned(),
    comment="What a company has of a product and what that is worth: the row that moves wait for.",
    fillfactor=70,
)

cost_layer = table(
    "cost_layer",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("product_id", BigInteger, ForeignKey("product.id")),
    Column("lot_id", BigInteger),
    required("move_id", BigInteger, ForeignKey("stock_move.id")),
    instant("received_at", now=True),
    required("quantity", quantity()),
    required("remaining", quantity()),
    required("value", money()),
    ForeignKeyConstraint(
        ["lot_id", "company_id", "product_id"],
        ["lot.id", "lot.company_id", "lot.product_id"],
        name="fk_cost_layer_lot",
    ),
    CheckConstraint("remaining <> 0 or value = 0", name="value"),
    Index(
        "ix_cost_layer_open",
        "product_id",
        "company_id",
        "id",
        postgresql_where=text("remaining <> 0"),
    ),
    Index("ix_cost_layer_move", "move_id"),
    rows=owned(),
    comment="Goods that came at one cost, first in, first out; below 0 what left before it came.",
    fillfactor=70,
)

valuation_entry = table(
    "valuation_entry",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("product_id", BigInteger, ForeignKey("product.id")),
    Column("move_id", BigInteger, ForeignKey("stock_move.id")),
    required("kind"),
    required("quantity", quantity()),
    required("amount", money()),
    required("effective_on", Date),
    instant("posted_at", now=True),
    required("posted_by"),
    CheckConstraint(one_of("kind", ValuationKind), name="kind"),
    Index("ix_valuation_entry_posted_at", "company_id", "posted_at", "id"),
    Index("ix_valuation_entry_product", "product_id", "company_id", "posted_at", "id"),
    Index("ix_valuation_entry_kind", "company_id", "kind", "posted_at", "id"),
    Index("ix_valuation_entry_move", "move_id", "id"),
    rows=owned(),
    comment="The ledger of value: what a move or a cost added to the worth of a product.",
)

VALUE_SHARE = """
create function value_share(value numeric, part numeric, whole numeric, digits int)
returns numeric language sql immutable as $$
  select round(sign(value * part) * div(2 * abs(value * part) * 10::numeric ^ digits + whole, 2 * whole)
               / 10::numeric ^ digits, digits)
$$;
"""
"""What a part of a whole, above 0, has of a value, rounded half away from zero without an inexact
step before."""

INSIDE_LISTED = "({})".format(", ".join(f"'{kind}'" for kind in sorted(INSIDE)))
STOCK_MOVES_VALUED = f"""
create function stock_moves_valued() returns trigger
language plpgsql security definer set search_path = public as $$
declare
  x record;
  c product_cost%rowtype;
  l record;
  layer bigint;
  owed numeric;
  owed_value numeric;
  part numeric;
  rest numeric;
  worth numeric;
  paid numeric;
  thought numeric;
  moves bigint[] := '{{}}';
  kinds text[] := '{{}}';
  quantities numeric[] := '{{}}';
  amounts numeric[] := '{{}}';
begin
  for x in
    select m.id, m.company_id, m.product_id, m.quantity, m.cost, m.posted_at, h.costing, k.digits,
           case when h.costing = 'FIFO' then m.lot_id end as lot_id, t.kind in {INSIDE_LISTED} as comes,
           case when m.kind = 'OPENING' then 'OPENING'
                when 'SUPPLIER' in (o.kind, t.kind) then 'PURCHASE'
                when 'CUSTOMER' in (o.kind, t.kind) then 'SALE'
                else 'DIFFERENCE' end as kind
    from moved m
    join stock_location o on o.id = m.from_location_id
    join stock_location t on t.id = m.to_location_id
    join company h on h.id = m.company_id
    join currency k on k.code = h.currency
    where (o.kind in {INSIDE_LISTED}) <> (t.kind in {INSIDE_LISTED})
    order by m.product_id, m.company_id, comes desc, m.id
  loop
    if (c.product_id, c.company_id) is distinct from (x.product_id, x.company_id) then
      if c.product_id is not null then
        update product_cost p set quantity = c.quantity, value = c.value, unit_cost = c.unit_cost
        where p.product_id = c.product_id and p.company_id = c.company_id;
      end if;
      select * into c from product_cost p
      where p.product_id = x.product_id and p.company_id = x.company_id for no key update;
      if not found then
        insert into product_cost (company_id, product_id, unit_cost)
        values (x.company_id, x.product_id, coalesce((
          select p.standard_cost from product_company p
          where p.product_id = x.product_id and p.company_id = x.company_id), 0))
        on conflict (product_id, company_id) do nothing;
        select * into c from product_cost p
        where p.product_id = x.product_id and p.company_id = x.company_id for no key update;
      end if;
    end if;

    if x.comes then
      worth := coalesce(x.cost, case when c.quantity > 0
        then value_share(c.value, x.quantity, c.quantity, x.digits)
        else round(x.quantity * c.unit_cost, x.digits) end);
      owed := -c.quantity;
      owed_value := -c.value;
      if x.costing = 'FIFO' then
        select y.id, -y.remaining, -y.value into layer, owed, owed_value from cost_layer y
        where y.product_id = x.product_id and y.company_id = x.company_id
          and y.lot_id is not distinct from x.lot_id and y.remaining < 0;
      end if;
      part := least(x.quantity, coalesce(owed, 0));
      paid := 0;
      thought := 0;
      if part > 0 then  -- it left before it came, at a cost that was not known
        thought := value_share(owed_value, part, owed, x.digits);
        paid := value_share(worth, part, x.quantity, x.digits);
      end if;
      if x.costing = 'FIFO' then
        if part > 0 then
          update cost_layer y set remaining = y.remaining + part, value = y.value + thought
          where y.id = layer;
        end if;
        rest := x.quantity - greatest(part, 0);
        if rest > 0 then
          insert into cost_layer (company_id, product_id, lot_id, move_id, received_at, quantity,
            remaining, value)
          values (x.company_id, x.product_id, x.lot_id, x.id, x.posted_at, rest, rest,
            worth - paid);
        end if;
      end if;
      c.quantity := c.quantity + x.quantity;
      c.value := c.value + worth - paid + thought;
      moves := moves || x.id;
      kinds := kinds || x.kind;
      quantities := quantities || x.quantity;
      amounts := amounts || worth;
      if paid <> thought then
        moves := moves || x.id;
        kinds := kinds || 'PRICE_DIFFERENCE'::text;
        quantities := quantities || 0::numeric;
        amounts := amounts || thought - paid;
      end if;
    else
      rest := x.quantity;
      worth := 0;
      if x.costing = 'FIFO' then
        for l in
          select y.id, y.remaining, y.value from cost_layer y
          where y.product_id = x.product_id and y.company_id = x.company_id
            and y.lot_id is not distinct from x.lot_id and y.remaining > 0
          order by y.id
        loop
          part := least(rest, l.remaining);
          paid := value_share(l.value, part, l.remaining, x.digits);
          update cost_layer y set remaining = l.remaining - part, value = l.value - paid
          where y.id = l.id;
          worth := worth + paid;
          rest := rest - part;
          exit when rest = 0;
        end loop;
      elsif c.quantity > 0 then
        part := least(rest, c.quantity);
        worth := value_share(c.value, part, c.quantity, x.digits);
        rest := rest - part;
      end if;
      if rest > 0 then  -- it is not there yet: at the last cost that is known
        paid := round(rest * c.unit_cost, x.digits);
        worth := worth + paid;
        if x.costing = 'FIFO' then
          update cost_layer y
          set quantity = y.quantity - rest, remaining = y.remaining - rest, value = y.value - paid
          where y.product_id = x.product_id and y.company_id = x.company_id
            and y.lot_id is not distinct from x.lot_id and y.remaining < 0;
          if not found then
            insert into cost_layer (company_id, product_id, lot_id, move_id, received_at, quantity,
              remaining, value)
            values (x.company_id, x.product_id, x.lot_id, x.id, x.posted_at, -rest, -rest, -paid);
          end if;
        end if;
      end if;
      c.quantity := c.quantity - x.quantity;
      c.value := c.value - worth;
      moves := moves || x.id;
      kinds := kinds || x.kind;
      quantities := quantities || -x.quantity;
      amounts := amounts || -worth;
    end if;
    if c.quantity > 0 then
      c.unit_cost := value_share(c.value, 1, c.quantity, 6);
    end if;
  end loop;

  if c.product_id is not null then
    update product_cost p set quantity = c.quantity, value = c.value, unit_cost = c.unit_cost
    where p.product_id = c.product_id and p.company_id = c.company_id;
    insert into valuation_entry (company_id, product_id, move_id, kind, quantity, amount,
      effective_on, posted_at, posted_by)
    select m.company_id, m.product_id, m.id, e.kind, e.quantity, e.amount, m.effective_on,
           m.posted_at, m.posted_by
    from unnest(moves, kinds, quantities, amounts) with ordinality
      as e (move_id, kind, quantity, amount, place)
    join moved m on m.id = e.move_id order by e.place;
  end if;
  return null;
end $$;
create trigger stock_moves_valued after insert on stock_move
  referencing new table as moved for each statement execute function stock_moves_valued()
"""
"""Values what comes into the company and what leaves it, with the statement that moves it.

Of each product what comes is valued before what leaves, else in the order of the ledger. Rows of
`product_cost` are locked in the order of products, after levels and balances, and layers only under
them. Entries are written at once, so that who looks at them sees all that was moved.
"""

COSTING_KEPT = """
create function company_costing_kept() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if exists (select from product_cost where company_id = old.id and quantity <> 0)
     or exists (select from cost_layer where company_id = old.id and remaining <> 0) then
    raise exception using errcode = 'check_violation',
      message = 'A company that has stock keeps its costing.';
  end if;
  return new;
end $$;
create trigger company_costing_kept before update of costing on company
  for each row when (old.costing <> new.costing) execute function company_costing_kept()
"""
"""Refuses another way of costing while there is stock: that has layers, or it has none."""

STOCK_VALUATION = f"""
create function stock_valuation(day date)
returns table (warehouse_id int, category_id int, currency char(3), on_hand numeric, value numeric,
               in_transit numeric)
language sql stable as $$
  select s.warehouse_id, p.category_id, min(s.currency),
         sum(s.quantity) filter (where s.warehouse_id is not null), sum(s.value),
         coalesce(sum(s.value) filter (where s.warehouse_id is null), 0)
  from (
    select x.warehouse_id, x.product_id, x.quantity, home.currency,
           case when x.whole > 0 then value_share(w.value, x.upto, x.whole, k.digits)
                  - value_share(w.value, x.upto - x.quantity, x.whole, k.digits)
                when x.whole < 0 then value_share(w.value, -x.upto, -x.whole, k.digits)
                  - value_share(w.value, x.quantity - x.upto, -x.whole, k.digits)
                else 0 end as value
    from (
      select g.*, sum(g.quantity) over (partition by g.product_id) as whole,
             sum(g.quantity) over (partition by g.product_id order by g.warehouse_id) as upto
      from (
        select l.warehouse_id, y.product_id, sum(y.quantity) as quantity
        from (
          select location_id, product_id, on_hand as quantity from stock_balance
          union all
          select to_location_id, product_id, -quantity from stock_move where effective_on > day
          union all
          select from_location_id, product_id, quantity from stock_move where effective_on > day
        ) y join stock_location l on l.id = y.location_id
        where l.kind in {INSIDE_LISTED}
        group by 1, 2
      ) g
    ) x
    join (
      select z.product_id, sum(z.value) as value
      from (
        select product_id, value from product_cost
        union all
        select product_id, -amount from valuation_entry where effective_on > day
      ) z group by 1
    ) w on w.product_id = x.product_id
    cross join (select company.currency from company
                where id = nullif(current_setting('app.company_id', true), '')::int) home
    join currency k on k.code = home.currency
    where x.quantity <> 0
  ) s
  join product p on p.id = s.product_id
  group by grouping sets ((s.warehouse_id, p.category_id), ())
$$
"""
"""What the company had at the end of a day and what that was worth; the row without both is all.

A product's worth is one for the company: a warehouse has the share of its quantity, and so has what
is between warehouses, in rows without a warehouse.
"""
