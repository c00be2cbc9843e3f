alter table shipment_line add column location_id integer, add column lot_id bigint;

-- what left says from where and of which lot, as the ledger does; nobody is told of it
alter table shipment_line disable trigger shipment_line_updated;
with broken as (select distinct sales_order_line_id as line from (
        with moved as (
          select source_id as line, from_location_id as location, coalesce(lot_id, 0) as lot,
                 sum(quantity) as quantity
          from stock_move where source = 'SALES_ORDER_LINE' and kind = 'SHIPMENT' group by 1, 2, 3
), sent as (
          select x.order_line_id as line, coalesce(x.location_id, 0) as location,
                 coalesce(x.lot_id, 0) as lot, sum(x.quantity) as quantity
          from shipment_line x join shipment s on s.id = x.shipment_id
          where s.state in ('SHIPPED', 'DELIVERED') group by 1, 2, 3
)
        select line as sales_order_line_id, location as location_id, lot as lot_id,
               coalesce(s.quantity, 0) as in_shipments, coalesce(m.quantity, 0) as moved
        from moved m full join sent s using (line, location, lot)
        where coalesce(s.quantity, 0) <> coalesce(m.quantity, 0)
          -- what left before the ledger began is known to nobody
          and line in (select k.line from moved k)
) b),
        moved as (
          select source_id as line, id, from_location_id as location_id, lot_id, quantity,
                 sum(quantity) over (partition by source_id order by id) as upto
          from stock_move where source = 'SALES_ORDER_LINE' and kind = 'SHIPMENT'
            and source_id in (select line from broken)
        ), sent as (
          select x.id, x.order_line_id as line, x.quantity,
                 sum(x.quantity) over (partition by x.order_line_id
                                       order by s.shipped_at, s.id, x.position) as upto
          from shipment_line x join shipment s on s.id = x.shipment_id
          where s.state in ('SHIPPED', 'DELIVERED')
            and x.order_line_id in (select line from broken)
        ), overlap as (
          select s.id, s.quantity as whole, m.location_id, m.lot_id, min(m.id) as first,
                 sum(least(s.upto, m.upto) - greatest(s.upto - s.quantity, m.upto - m.quantity))
                   as quantity
          from sent s join moved m using (line)
          where m.upto > s.upto - s.quantity and m.upto - m.quantity < s.upto
          group by s.id, s.quantity, m.location_id, m.lot_id
        ), part as (
          select o.*, row_number() over (partition by id order by first) as place,
                 sum(quantity) over (partition by id) as found
          from overlap o
        ), filled as (
          update shipment_line x
          set quantity = p.quantity, picked = p.quantity, location_id = p.location_id,
              lot_id = p.lot_id
          from part p where p.id = x.id and p.place = 1 and p.found = p.whole
        )
        insert into shipment_line (company_id, partner_id, shipment_id, position, order_line_id,
          product_id, quantity, picked, location_id, lot_id)
        select x.company_id, x.partner_id, x.shipment_id,
               (select max(y.position) from shipment_line y where y.shipment_id = x.shipment_id)
                 + row_number() over (partition by x.shipment_id order by x.position, p.place),
               x.order_line_id, x.product_id, p.quantity, p.quantity, p.location_id, p.lot_id
        from part p join shipment_line x on x.id = p.id
        where p.place > 1 and p.found = p.whole;
alter table shipment_line enable trigger shipment_line_updated;

alter table shipment_line
  add constraint fk_shipment_line_location foreign key (location_id, company_id)
  references stock_location (id, company_id),
  add constraint fk_shipment_line_lot foreign key (lot_id, company_id, product_id)
  references lot (id, company_id, product_id);
comment on table shipment_line is
  'How much of an order line is in a shipment, of one lot and from one location.';
create index ix_shipment_warehouse_work on shipment (warehouse_id, id)
  where state in ('PLANNED', 'PICKING', 'PACKED');
create index ix_shipment_line_allocated on shipment_line (product_id, shipment_id)
  where location_id is not null;
create or replace function shipment_line_work_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin

    insert into outbox_event (company_id, topic, entity, entity_id, payload)
    select n.company_id, 'shipment.work_changed', 'Shipment', n.id,
           jsonb_build_object(
             'shipment_id', n.id, 'order_id', n.order_id, 'partner_id', n.partner_id,
             'warehouse_id', n.warehouse_id, 'version', n.version,
             'state', n.state, 'previous_state', n.state,
             'cause', coalesce(nullif(current_setting('app.cause', true), ''), 'EXTERNAL'),
             'document', nullif(current_setting('app.document', true), ''))
    from shipment n where n.id in (
      select l.shipment_id from changed l join before o on o.id = l.id
      where (o.picked, o.quantity, o.location_id, o.lot_id)
        is distinct from (l.picked, l.quantity, l.location_id, l.lot_id)) order by n.id;

  return null;
end $$;
