-- What PostGraphile has no words for: a range in a list, and where a page begins.
create schema if not exists bench;
grant usage on schema bench to erp_app;
create or replace function bench.orders_until(until date) returns setof public.sales_order
language sql stable as $$
    select * from public.sales_order where placed_on <= until order by placed_on desc, id desc
$$;
create or replace function bench.products_after(sku text, id bigint) returns setof public.product
language sql stable as $$
    select * from public.product p
    where p.archived_at is null and (p.sku, p.id) > (products_after.sku, products_after.id)
    order by p.sku, p.id
$$;
