alter table company add column costing text default 'AVERAGE' not null;
alter table company add constraint ck_company_costing check (costing in ('AVERAGE', 'FIFO'));
alter table stock_move add column cost numeric(20, 4);
alter table stock_move add constraint ck_stock_move_cost check (cost >= 0) not valid;
alter table stock_move validate constraint ck_stock_move_cost;
drop function post_moves(int, bigint[], int[], int[], numeric[], bigint[], bigint[], boolean, text, text, text, date, text, timestamptz);
create function post_moves(
  company int, products bigint[], origins int[], targets int[], quantities numeric[], lots bigint[],
  sources bigint[], promised boolean, move_kind text, move_source text, key text,
  day date, actor text, moment timestamptz, costs numeric[] default null)
returns table (place bigint, move_id bigint) language plpgsql as $$
begin
  insert into stock_level (company_id, product_id, warehouse_id, allow_negative)
  select distinct company, m.product, x.warehouse_id, w.negative_stock
  
    from unnest(products, origins, targets, quantities, lots, sources)
      as m (product, origin, target, quantity, lot, source)
    cross join lateral (values (m.origin, -m.quantity), (m.target, m.quantity)) as e (location, amount)
    join stock_location x on x.id = e.location
 join warehouse w on w.id = x.warehouse_id
  order by m.product, x.warehouse_id
  on conflict (product_id, warehouse_id) do nothing;
  perform from stock_level l
  where (l.product_id, l.warehouse_id) in (select m.product, x.warehouse_id 
    from unnest(products, origins, targets, quantities, lots, sources)
      as m (product, origin, target, quantity, lot, source)
    cross join lateral (values (m.origin, -m.quantity), (m.target, m.quantity)) as e (location, amount)
    join stock_location x on x.id = e.location
)
  order by l.id for no key update;

  insert into stock_balance (company_id, product_id, location_id, lot_id, is_serial)
  select distinct company, m.product, e.location, m.lot, p.tracking = 'SERIAL'
  
    from unnest(products, origins, targets, quantities, lots, sources)
      as m (product, origin, target, quantity, lot, source)
    cross join lateral (values (m.origin, -m.quantity), (m.target, m.quantity)) as e (location, amount)
    join stock_location x on x.id = e.location
 join product p on p.id = m.product
  order by m.product, e.location, m.lot
  on conflict (product_id, location_id, lot_id) do nothing;
  perform from stock_balance b
  where (b.product_id, b.location_id, coalesce(b.lot_id, 0)) in (
    select m.product, e.location, coalesce(m.lot, 0) 
    from unnest(products, origins, targets, quantities, lots, sources)
      as m (product, origin, target, quantity, lot, source)
    cross join lateral (values (m.origin, -m.quantity), (m.target, m.quantity)) as e (location, amount)
    join stock_location x on x.id = e.location
)
  order by b.id for no key update;

  -- what leaves first, so that a serial number is never at two places
  update stock_balance b set on_hand = b.on_hand + d.amount
  from (select m.product, e.location, m.lot, sum(e.amount) as amount 
    from unnest(products, origins, targets, quantities, lots, sources)
      as m (product, origin, target, quantity, lot, source)
    cross join lateral (values (m.origin, -m.quantity), (m.target, m.quantity)) as e (location, amount)
    join stock_location x on x.id = e.location
 group by 1, 2, 3) d
  where b.product_id = d.product and b.location_id = d.location
    and b.lot_id is not distinct from d.lot and d.amount < 0;
  update stock_balance b set on_hand = b.on_hand + d.amount
  from (select m.product, e.location, m.lot, sum(e.amount) as amount 
    from unnest(products, origins, targets, quantities, lots, sources)
      as m (product, origin, target, quantity, lot, source)
    cross join lateral (values (m.origin, -m.quantity), (m.target, m.quantity)) as e (location, amount)
    join stock_location x on x.id = e.location
 group by 1, 2, 3) d
  where b.product_id = d.product and b.location_id = d.location
    and b.lot_id is not distinct from d.lot and d.amount > 0;

  -- on hand and promised at once: one change of the level, one event
  update stock_level l set on_hand = l.on_hand + d.amount, reserved = l.reserved - d.used
  from (select m.product, x.warehouse_id,
               coalesce(sum(e.amount) filter (where x.sellable), 0) as amount,
               coalesce(sum(-e.amount) filter (where promised and e.amount < 0), 0) as used
        
    from unnest(products, origins, targets, quantities, lots, sources)
      as m (product, origin, target, quantity, lot, source)
    cross join lateral (values (m.origin, -m.quantity), (m.target, m.quantity)) as e (location, amount)
    join stock_location x on x.id = e.location
 where x.warehouse_id is not null group by 1, 2) d
  where l.product_id = d.product and l.warehouse_id = d.warehouse_id
    and (d.amount <> 0 or d.used <> 0);
  update stock_reservation r
  set consumed = r.consumed + d.used,
      state = case when r.consumed + d.used = r.quantity then 'CONSUMED' else r.state end
  from (select m.source, m.product, x.warehouse_id, sum(-e.amount) as used
        
    from unnest(products, origins, targets, quantities, lots, sources)
      as m (product, origin, target, quantity, lot, source)
    cross join lateral (values (m.origin, -m.quantity), (m.target, m.quantity)) as e (location, amount)
    join stock_location x on x.id = e.location
 where promised and e.amount < 0 group by 1, 2, 3) d
  join stock_level l on l.product_id = d.product and l.warehouse_id = d.warehouse_id
  where r.source = move_source and r.source_id = d.source and r.level_id = l.id
    and r.state = 'ACTIVE';

  return query
  with made as (
    insert into stock_move (company_id, product_id, from_location_id, to_location_id, quantity, kind,
      source, source_id, idempotency, effective_on, posted_at, posted_by, lot_id, cost)
    select company, m.product, m.origin, m.target, m.quantity, move_kind, move_source, m.source,
           key || ':' || m.place, day, moment, actor, m.lot, costs[m.place]
    from unnest(products, origins, targets, quantities, lots, sources)
      with ordinality as m (product, origin, target, quantity, lot, source, place)
    order by m.place
    returning id, idempotency)
  select substring(made.idempotency from '[0-9]+$')::bigint, made.id from made;
end $$;
drop function stock_valuation(date);
CREATE TABLE product_cost (
	company_id INTEGER NOT NULL, 
	product_id BIGINT NOT NULL, 
	quantity NUMERIC(18, 4) DEFAULT '0' NOT NULL, 
	value NUMERIC(20, 4) DEFAULT '0' NOT NULL, 
	unit_cost NUMERIC(20, 6) NOT NULL, 
	CONSTRAINT pk_product_cost PRIMARY KEY (product_id, company_id), 
	CONSTRAINT fk_product_cost_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_product_cost_product_id FOREIGN KEY(product_id) REFERENCES product (id)
)
 WITH (fillfactor = 70);
COMMENT ON TABLE product_cost IS 'What a company has of a product and what that is worth: the row that moves wait for.';
CREATE TABLE cost_layer (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	product_id BIGINT NOT NULL, 
	lot_id BIGINT, 
	move_id BIGINT NOT NULL, 
	received_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	quantity NUMERIC(18, 4) NOT NULL, 
	remaining NUMERIC(18, 4) NOT NULL, 
	value NUMERIC(20, 4) NOT NULL, 
	CONSTRAINT pk_cost_layer PRIMARY KEY (id), 
	CONSTRAINT fk_cost_layer_lot FOREIGN KEY(lot_id, company_id, product_id) REFERENCES lot (id, company_id, product_id), 
	CONSTRAINT ck_cost_layer_value CHECK (remaining <> 0 or value = 0), 
	CONSTRAINT fk_cost_layer_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_cost_layer_product_id FOREIGN KEY(product_id) REFERENCES product (id), 
	CONSTRAINT fk_cost_layer_move_id FOREIGN KEY(move_id) REFERENCES stock_move (id)
)
 WITH (fillfactor = 70);
CREATE INDEX ix_cost_layer_move ON cost_layer (move_id);
CREATE INDEX ix_cost_layer_open ON cost_layer (product_id, company_id, id) WHERE remaining <> 0;
COMMENT ON TABLE cost_layer IS 'Goods that came at one cost, first in, first out; below 0 what left before it came.';
CREATE TABLE valuation_entry (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	product_id BIGINT NOT NULL, 
	move_id BIGINT, 
	kind TEXT NOT NULL, 
	quantity NUMERIC(18, 4) NOT NULL, 
	amount NUMERIC(20, 4) NOT NULL, 
	effective_on DATE NOT NULL, 
	posted_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	posted_by TEXT NOT NULL, 
	CONSTRAINT pk_valuation_entry PRIMARY KEY (id), 
	CONSTRAINT ck_valuation_entry_kind CHECK (kind in ('OPENING', 'PURCHASE', 'SALE', 'DIFFERENCE', 'PRICE_DIFFERENCE')), 
	CONSTRAINT fk_valuation_entry_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_valuation_entry_product_id FOREIGN KEY(product_id) REFERENCES product (id), 
	CONSTRAINT fk_valuation_entry_move_id FOREIGN KEY(move_id) REFERENCES stock_move (id)
);
CREATE INDEX ix_valuation_entry_kind ON valuation_entry (company_id, kind, posted_at, id);
CREATE INDEX ix_valuation_entry_move ON valuation_entry (move_id, id);
CREATE INDEX ix_valuation_entry_posted_at ON valuation_entry (company_id, posted_at, id);
CREATE INDEX ix_valuation_entry_product ON valuation_entry (product_id, company_id, posted_at, id);
COMMENT ON TABLE valuation_entry IS 'The ledger of value: what a move or a cost added to the worth of a product.';
create function value_share(value numeric, part numeric, whole numeric, digits int)
returns numeric language sql immutable as $$
  select round(sign(value * part) * div(2 * abs(value * part) * 10::numeric ^ digits + whole, 2 * whole)
               / 10::numeric ^ digits, digits)
$$;
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
  moves bigint[] := '{}';
  kinds text[] := '{}';
  quantities numeric[] := '{}';
  amounts numeric[] := '{}';
begin
  for x in
    select m.id, m.company_id, m.product_id, m.quantity, m.cost, m.posted_at, h.costing, k.digits,
           case when h.costing = 'FIFO' then m.lot_id end as lot_id, t.kind in ('INTERNAL', 'TRANSIT') as comes,
           case when m.kind = 'OPENING' then 'OPENING'
                when 'SUPPLIER' in (o.kind, t.kind) then 'PURCHASE'
                when 'CUSTOMER' in (o.kind, t.kind) then 'SALE'
                else 'DIFFERENCE' end as kind
    from moved m
    join stock_location o on o.id = m.from_location_id
    join stock_location t on t.id = m.to_location_id
    join company h on h.id = m.company_id
    join currency k on k.code = h.currency
    where (o.kind in ('INTERNAL', 'TRANSIT')) <> (t.kind in ('INTERNAL', 'TRANSIT'))
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
  referencing new table as moved for each statement execute function stock_moves_valued();
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
  for each row when (old.costing <> new.costing) execute function company_costing_kept();
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
        where l.kind in ('INTERNAL', 'TRANSIT')
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
$$;
alter table product_cost enable row level security;
create policy staff on product_cost to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select on product_cost to erp_app;
grant select on product_cost to erp_partner;
alter table cost_layer enable row level security;
create policy staff on cost_layer to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select on cost_layer to erp_app;
grant select on cost_layer to erp_partner;
alter table valuation_entry enable row level security;
create policy staff on valuation_entry to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select on valuation_entry to erp_app;
grant select on valuation_entry to erp_partner;
-- what was moved before is valued at standard cost, else at the last price it was bought at
insert into product_cost (company_id, product_id, unit_cost)
select m.company_id, m.product_id, coalesce(
  (select p.standard_cost from product_company p
   where p.product_id = m.product_id and p.company_id = m.company_id),
  (select round(l.unit_price * o.fx_rate, 6)
   from purchase_order_line l join purchase_order o on o.id = l.order_id
   where l.product_id = m.product_id and l.company_id = m.company_id and l.received > 0
   order by l.id desc limit 1), 0)
from (select distinct m.company_id, m.product_id from stock_move m
      join stock_location o on o.id = m.from_location_id
      join stock_location t on t.id = m.to_location_id
      where (o.kind in ('INTERNAL', 'TRANSIT')) <> (t.kind in ('INTERNAL', 'TRANSIT'))) m
order by 2, 1;
insert into valuation_entry (company_id, product_id, move_id, kind, quantity, amount, effective_on,
  posted_at, posted_by)
select company_id, product_id, id, kind, quantity,
       round(upto * unit_cost, digits) - round((upto - quantity) * unit_cost, digits),
       effective_on, posted_at, posted_by
from (
  select m.company_id, m.product_id, m.id, m.effective_on, m.posted_at, m.posted_by, c.unit_cost, k.digits, s.quantity,
         sum(s.quantity) over (partition by m.product_id, m.company_id order by m.id) as upto,
         case when m.kind = 'OPENING' then 'OPENING'
              when 'SUPPLIER' in (o.kind, t.kind) then 'PURCHASE'
              when 'CUSTOMER' in (o.kind, t.kind) then 'SALE'
              else 'DIFFERENCE' end as kind
  from stock_move m
  join stock_location o on o.id = m.from_location_id
  join stock_location t on t.id = m.to_location_id
  join product_cost c on c.product_id = m.product_id and c.company_id = m.company_id
  join company h on h.id = m.company_id
  join currency k on k.code = h.currency
  cross join lateral (
    select m.quantity * case when t.kind in ('INTERNAL', 'TRANSIT') then 1 else -1 end as quantity
  ) s
  where (o.kind in ('INTERNAL', 'TRANSIT')) <> (t.kind in ('INTERNAL', 'TRANSIT'))
) v order by id;
update product_cost c set quantity = e.quantity, value = e.amount
from (select product_id, company_id, sum(quantity) as quantity, sum(amount) as amount
      from valuation_entry group by 1, 2) e
where e.product_id = c.product_id and e.company_id = c.company_id;
