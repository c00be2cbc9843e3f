create function product_archive_stock() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if exists (select from stock_balance b join stock_location l on l.id = b.location_id
    where b.product_id = old.id and b.on_hand <> 0 and l.warehouse_id is not null) then
    raise exception using errcode = 'ERP01', message = 'There is still stock of it; adjust that to zero first.';
  end if;
  return null;
end $$;
create trigger product_archive_stock after update of archived_at on product
  for each row when (old.archived_at is null and new.archived_at is not null)
  execute function product_archive_stock();
create function product_archive_sales_lines() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if exists (select from sales_order_line l join sales_order o on o.id = l.order_id
    where l.shipped + l.canceled < l.quantity and o.state not in ('FULFILLED', 'CANCELED') and l.product_id = old.id) then
    raise exception using errcode = 'ERP01', message = 'It is on open sales orders; fulfill or cancel those lines first.';
  end if;
  return null;
end $$;
create trigger product_archive_sales_lines after update of archived_at on product
  for each row when (old.archived_at is null and new.archived_at is not null)
  execute function product_archive_sales_lines();
create function partner_archive_sales_orders() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if exists (select from sales_order_line l join sales_order o on o.id = l.order_id
    where l.shipped + l.canceled < l.quantity and o.state not in ('FULFILLED', 'CANCELED') and l.partner_id = old.id) then
    raise exception using errcode = 'ERP01', message = 'There are open sales orders with it; fulfill or cancel those first.';
  end if;
  return null;
end $$;
create trigger partner_archive_sales_orders after update of archived_at on partner
  for each row when (old.archived_at is null and new.archived_at is not null)
  execute function partner_archive_sales_orders();
create function product_archive_purchase_lines() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if exists (select from purchase_order_line l join purchase_order o on o.id = l.order_id
    where l.received + l.canceled < l.quantity and o.state not in ('FULFILLED', 'CANCELED') and l.product_id = old.id) then
    raise exception using errcode = 'ERP01', message = 'It is on open purchase orders; fulfill or cancel those lines first.';
  end if;
  return null;
end $$;
create trigger product_archive_purchase_lines after update of archived_at on product
  for each row when (old.archived_at is null and new.archived_at is not null)
  execute function product_archive_purchase_lines();
create function partner_archive_purchase_orders() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if exists (select from purchase_order_line l join purchase_order o on o.id = l.order_id
    where l.received + l.canceled < l.quantity and o.state not in ('FULFILLED', 'CANCELED') and l.partner_id = old.id) then
    raise exception using errcode = 'ERP01', message = 'There are open purchase orders with it; fulfill or cancel those first.';
  end if;
  return null;
end $$;
create trigger partner_archive_purchase_orders after update of archived_at on partner
  for each row when (old.archived_at is null and new.archived_at is not null)
  execute function partner_archive_purchase_orders();
