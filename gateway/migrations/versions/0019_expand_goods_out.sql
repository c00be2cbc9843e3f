create function release_stock(kind text, sources bigint[]) returns void language plpgsql as $$
begin
  perform from stock_level l where l.id in (
    select r.level_id from stock_reservation r
    where r.source = kind and r.source_id = any(sources) and r.state = 'ACTIVE')
  order by l.id for no key update;
  with gone as (
    update stock_reservation r set state = 'RELEASED'
    where r.source = kind and r.source_id = any(sources) and r.state = 'ACTIVE'
    returning r.level_id, r.quantity - r.consumed as rest)
  update stock_level l set reserved = l.reserved - g.rest
  from (select level_id, sum(rest) as rest from gone group by level_id) g
  where l.id = g.level_id;
end $$;
create function post_moves(
  company int, products bigint[], origins int[], targets int[], quantities numeric[], lots bigint[],
  sources bigint[], promised boolean, move_kind text, move_source text, key text,
  day date, actor text, moment timestamptz)
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
      source, source_id, idempotency, effective_on, posted_at, posted_by, lot_id)
    select company, m.product, m.origin, m.target, m.quantity, move_kind, move_source, m.source,
           key || ':' || m.place, day, moment, actor, m.lot
    from unnest(products, origins, targets, quantities, lots, sources)
      with ordinality as m (product, origin, target, quantity, lot, source, place)
    order by m.place
    returning id, idempotency)
  select substring(made.idempotency from '[0-9]+$')::bigint, made.id from made;
end $$;
create function sales_order_line_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  perform from sales_order where id in (select order_id from changed) order by id for no key update;
  if tg_op = 'INSERT' then

  insert into stock_projection as p (company_id, product_id, warehouse_id, outgoing)
  select x.company_id, x.product_id, x.warehouse_id, sum(x.amount)
  from (
    select l.company_id, l.product_id, o.warehouse_id,
            (l.quantity - l.shipped - l.canceled) as amount
    from changed l join sales_order o on o.id = l.order_id where o.state = 'CONFIRMED') x group by 1, 2, 3 having sum(x.amount) <> 0 order by 2, 3
  on conflict (product_id, warehouse_id) do update set outgoing = p.outgoing + excluded.outgoing;

  else

  insert into stock_projection as p (company_id, product_id, warehouse_id, outgoing)
  select x.company_id, x.product_id, x.warehouse_id, sum(x.amount)
  from (
    select l.company_id, l.product_id, o.warehouse_id,
            (l.quantity - l.shipped - l.canceled) as amount
    from changed l join sales_order o on o.id = l.order_id where o.state = 'CONFIRMED' union all 
    select l.company_id, l.product_id, o.warehouse_id,
           - (l.quantity - l.shipped - l.canceled) as amount
    from before l join sales_order o on o.id = l.order_id where o.state = 'CONFIRMED') x group by 1, 2, 3 having sum(x.amount) <> 0 order by 2, 3
  on conflict (product_id, warehouse_id) do update set outgoing = p.outgoing + excluded.outgoing;

  end if;
  return null;
end $$;
create trigger sales_order_line_inserted after insert on sales_order_line
  referencing new table as changed for each statement execute function sales_order_line_changed();
create trigger sales_order_line_updated after update on sales_order_line
  referencing old table as before new table as changed
  for each statement execute function sales_order_line_changed();
create function sales_order_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin

  insert into stock_projection as p (company_id, product_id, warehouse_id, outgoing)
  select x.company_id, x.product_id, x.warehouse_id, sum(x.amount)
  from (
    select l.company_id, l.product_id, o.warehouse_id,
            (l.quantity - l.shipped - l.canceled) as amount
    from sales_order_line l join changed o on o.id = l.order_id where o.state = 'CONFIRMED' and exists (select from before n where n.id = o.id
      and (n.state, n.warehouse_id) is distinct from (o.state, o.warehouse_id)) union all 
    select l.company_id, l.product_id, o.warehouse_id,
           - (l.quantity - l.shipped - l.canceled) as amount
    from sales_order_line l join before o on o.id = l.order_id where o.state = 'CONFIRMED' and exists (select from changed n where n.id = o.id
      and (n.state, n.warehouse_id) is distinct from (o.state, o.warehouse_id))) x group by 1, 2, 3 having sum(x.amount) <> 0 order by 2, 3
  on conflict (product_id, warehouse_id) do update set outgoing = p.outgoing + excluded.outgoing;

  return null;
end $$;
create trigger sales_order_updated after update on sales_order
  referencing old table as before new table as changed
  for each statement execute function sales_order_changed();
create function shipment_numbered() returns trigger language plpgsql as $$
begin
  new.number := new.number || repeat('0', 6 - length(new.id::text)) || new.id;
  return new;
end $$;
create trigger shipment_numbered before insert on shipment
  for each row when (right(new.number, 1) = '-') execute function shipment_numbered();
