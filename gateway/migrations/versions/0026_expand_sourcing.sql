alter table sales_order add column fulfillment_policy text not null default 'BACKORDER',
  add constraint ck_sales_order_fulfillment_policy
    check (fulfillment_policy in ('ALL_OR_NOTHING', 'PARTIAL', 'BACKORDER'));
alter table sales_order_line add column warehouse_id integer;
alter table sales_order_line disable trigger user;
update sales_order_line l set warehouse_id = o.warehouse_id from sales_order o where o.id = l.order_id;
alter table sales_order_line enable trigger user;
alter table sales_order_line alter column warehouse_id set not null;
alter table sales_order_line add constraint fk_sales_order_line_warehouse
  foreign key (warehouse_id, company_id) references warehouse (id, company_id);
create function sales_order_line_placed() returns trigger language plpgsql as $$
begin
  select o.warehouse_id into new.warehouse_id from sales_order o where o.id = new.order_id;
  return new;
end $$;
create trigger sales_order_line_placed before insert on sales_order_line
  for each row when (new.warehouse_id is null) execute function sales_order_line_placed();
create index ix_sales_order_line_warehouse on sales_order_line (warehouse_id, placed_on, id);
create or replace function sales_order_line_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
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
