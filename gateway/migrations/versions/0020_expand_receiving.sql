create function incoming_stock_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if tg_op = 'INSERT' then

    insert into stock_projection as p (company_id, product_id, warehouse_id, incoming)
    select x.company_id, x.product_id, x.warehouse_id, sum(x.amount)
    from (select *, quantity as amount from changed) x group by 1, 2, 3 having sum(x.amount) <> 0 order by 2, 3
    on conflict (product_id, warehouse_id) do update set incoming = p.incoming + excluded.incoming;

  elsif tg_op = 'DELETE' then

    insert into stock_projection as p (company_id, product_id, warehouse_id, incoming)
    select x.company_id, x.product_id, x.warehouse_id, sum(x.amount)
    from (select *, -quantity as amount from before) x group by 1, 2, 3 having sum(x.amount) <> 0 order by 2, 3
    on conflict (product_id, warehouse_id) do update set incoming = p.incoming + excluded.incoming;

  else

    insert into stock_projection as p (company_id, product_id, warehouse_id, incoming)
    select x.company_id, x.product_id, x.warehouse_id, sum(x.amount)
    from (select *, quantity as amount from changed union all select *, -quantity as amount from before) x group by 1, 2, 3 having sum(x.amount) <> 0 order by 2, 3
    on conflict (product_id, warehouse_id) do update set incoming = p.incoming + excluded.incoming;

  end if;
  return null;
end $$;
create trigger incoming_stock_inserted after insert on incoming_stock
  referencing new table as changed for each statement execute function incoming_stock_changed();
create trigger incoming_stock_updated after update on incoming_stock
  referencing old table as before new table as changed
  for each statement execute function incoming_stock_changed();
create trigger incoming_stock_deleted after delete on incoming_stock
  referencing old table as before for each statement execute function incoming_stock_changed();
create function goods_receipt_numbered() returns trigger language plpgsql as $$
begin
  new.number := new.number || repeat('0', 6 - length(new.id::text)) || new.id;
  return new;
end $$;
create trigger goods_receipt_numbered before insert on goods_receipt
  for each row when (right(new.number, 1) = '-') execute function goods_receipt_numbered();
