create function fulfillment_steps(orders bigint[])
returns table (order_id bigint, place int, step text, state text, attempts int, last_error text,
               finished_at timestamptz) language sql stable as $$
  select o.id, w.place::int, w.step,
         case when not o.waits then f.state
              when w.step = 'RESERVE' and o.reserved then 'DONE'
              else 'PENDING' end,
         coalesce(f.attempts, 0),
         case when not o.waits then f.last_error end,
         case when not o.waits then f.finished_at end
  from (select s.id, s.reservation_status = 'FULL' as reserved,
               s.state = 'CONFIRMED' and s.shipment_status <> 'SHIPPED' and p.id is null as waits
        from sales_order s
        left join lateral (select p.id from shipment p where p.order_id = s.id
                           and p.state in ('PLANNED', 'PICKING', 'PACKED') limit 1) p on true
        where s.id = any(orders)
        offset 0  -- so that it is found once for an order, and not for each step
       ) o
  cross join unnest(array['RESERVE', 'PICK', 'PACK', 'LABEL', 'SHIP']) with ordinality w (step, place)
  left join fulfillment_step f on f.order_id = o.id and f.step = w.step
  where o.waits or f.id is not null
$$;
