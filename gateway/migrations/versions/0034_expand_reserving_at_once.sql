alter table sales_order set (fillfactor = 80);
alter table sales_order_line set (fillfactor = 80);
create or replace function sales_order_line_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if tg_op = 'UPDATE' then
    if not exists (
      select from changed n left join before o on o.id = n.id
      where (o.order_id, o.product_id, o.warehouse_id, o.quantity - o.shipped - o.canceled)
        is distinct from (n.order_id, n.product_id, n.warehouse_id, n.quantity - n.shipped - n.canceled)
    ) then
      return null;
    end if;
  end if;
  perform from sales_order where id in (select order_id from changed) order by id for no key update;
  if tg_op = 'INSERT' then

  insert into stock_projection as p (company_id, product_id, warehouse_id, outgoing)
  select x.company_id, x.product_id, x.warehouse_id, sum(x.amount)
  from (
    select l.company_id, l.product_id, l.warehouse_id,
            (l.quantity - l.shipped - l.canceled) as amount
    from changed l join sales_order o on o.id = l.order_id where o.state = 'CONFIRMED') x group by 1, 2, 3 having sum(x.amount) <> 0 order by 2, 3
  on conflict (product_id, warehouse_id) do update set outgoing = p.outgoing + excluded.outgoing;

  else

  insert into stock_projection as p (company_id, product_id, warehouse_id, outgoing)
  select x.company_id, x.product_id, x.warehouse_id, sum(x.amount)
  from (
    select l.company_id, l.product_id, l.warehouse_id,
            (l.quantity - l.shipped - l.canceled) as amount
    from changed l join sales_order o on o.id = l.order_id where o.state = 'CONFIRMED' union all 
    select l.company_id, l.product_id, l.warehouse_id,
           - (l.quantity - l.shipped - l.canceled) as amount
    from before l join sales_order o on o.id = l.order_id where o.state = 'CONFIRMED') x group by 1, 2, 3 having sum(x.amount) <> 0 order by 2, 3
  on conflict (product_id, warehouse_id) do update set outgoing = p.outgoing + excluded.outgoing;

  end if;
  return null;
end $$;
create or replace function sales_order_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if not exists (
    select from changed n left join before o on o.id = n.id where o.state is distinct from n.state
  ) then
    return null;
  end if;

  insert into stock_projection as p (company_id, product_id, warehouse_id, outgoing)
  select x.company_id, x.product_id, x.warehouse_id, sum(x.amount)
  from (
    select l.company_id, l.product_id, l.warehouse_id,
            (l.quantity - l.shipped - l.canceled) as amount
    from sales_order_line l join changed o on o.id = l.order_id where o.state = 'CONFIRMED' and exists (select from before n where n.id = o.id and n.state <> o.state) union all 
    select l.company_id, l.product_id, l.warehouse_id,
           - (l.quantity - l.shipped - l.canceled) as amount
    from sales_order_line l join before o on o.id = l.order_id where o.state = 'CONFIRMED' and exists (select from changed n where n.id = o.id and n.state <> o.state)) x group by 1, 2, 3 having sum(x.amount) <> 0 order by 2, 3
  on conflict (product_id, warehouse_id) do update set outgoing = p.outgoing + excluded.outgoing;

  return null;
end $$;
create function reserve_all(levels bigint[], quantities numeric[], kind text, sources bigint[])
returns void language plpgsql as $$
declare
  promised int;
begin
  -- in the order of their ids, so that no two reservations wait for one another
  perform from stock_level l where l.id = any(levels) order by l.id for no key update;
  with given as (
    update stock_level l set reserved = l.reserved + w.quantity
    from (select u.level, sum(u.quantity) as quantity
          from unnest(levels, quantities) u (level, quantity) group by u.level) w
    where l.id = w.level and (l.allow_negative or l.on_hand - l.reserved >= w.quantity)
    returning l.id, l.company_id)
  insert into stock_reservation as r (company_id, level_id, source, source_id, quantity)
  select g.company_id, g.id, kind, w.source, w.quantity
  from unnest(levels, quantities, sources) w (level, quantity, source) join given g on g.id = w.level
  on conflict (source, source_id, level_id) where state = 'ACTIVE'
  do update set quantity = r.quantity + excluded.quantity;
  get diagnostics promised = row_count;
  if promised < cardinality(sources) then
    raise sqlstate 'ERP03' using message = 'somebody else was quicker';
  end if;
end $$;
create function reserve_order(company int, actor text, key text, request_id text, hash bytea,
                              answer jsonb, this bigint, expected int) returns boolean
language plpgsql as $$
declare
  seen record;
begin
  -- a look at everything without a lock: what is unusual is left to others, with nothing written
  select o.version, array_agg(l.id order by l.position) as lines,
         array_agg(s.id order by l.position) as levels,
         array_agg(w.quantity order by l.position) as quantities,
         jsonb_object_agg(l.id, w.quantity::text) as told,
         bool_and(p.kind = 'GOODS' and s.id is not null
                  and (s.allow_negative or s.on_hand - s.reserved >= w.quantity)) as there
  into seen
  from sales_order o join sales_order_line l on l.order_id = o.id
  cross join lateral (select l.quantity - l.shipped - l.canceled - l.reserved as quantity) w
  join product p on p.id = l.product_id
  left join stock_level s on s.product_id = l.product_id and s.warehouse_id = l.warehouse_id
  where o.id = this and o.version = coalesce(expected, o.version) and o.state = 'CONFIRMED'
    and o.hold is null and o.reservation_status <> 'FULL' and w.quantity > 0
  group by o.version;
  if seen.there is not true then
    return false;
  end if;

  perform set_config('app.cause', 'RESERVATION', true);
  insert into idempotency_key (company_id, actor, key, operation, request_hash, response)
  values (company, actor, key, 'reserveOrder', hash, answer)
  on conflict do nothing;
  if not found then
    return false;
  end if;

  -- whoever changes lines counts the version of their order
  update sales_order o set reservation_status = 'FULL', version = o.version + 1
  where o.id = this and o.version = seen.version;
  if not found then
    raise sqlstate 'ERP03' using message = 'the order changed';
  end if;
  update sales_order_line l set reserved = l.reserved + w.quantity
  from unnest(seen.lines, seen.quantities) w (id, quantity) where l.id = w.id;
  insert into audit_log (company_id, actor, request_id, operation, entity, entity_id, action, diff,
                         version)
  values (company, actor, request_id, 'reserveOrder', 'SalesOrder', this, 'reserve',
          jsonb_build_object('reserved', seen.told, 'reservationStatus', 'FULL'), seen.version + 1);

  -- last, as these are what others wait for
  perform reserve_all(seen.levels, seen.quantities, 'SALES_ORDER_LINE', seen.lines);
  return true;
end $$;
