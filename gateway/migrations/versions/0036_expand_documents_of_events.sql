create or replace function reserve_order(company int, actor text, key text, request_id text, hash bytea,
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

  perform set_config('app.cause', 'RESERVATION', true),
          set_config('app.document', 'SalesOrder:' || this, true);
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
