alter table sales_order add column invoice_status text not null default 'NONE',
  add column payment_status text not null default 'NOT_PAID',
  add constraint ck_sales_order_invoice_status
    check (invoice_status in ('NONE', 'PARTIAL', 'INVOICED')),
  add constraint ck_sales_order_payment_status
    check (payment_status in ('NOT_PAID', 'PARTIAL', 'PAID'));
alter table sales_order_line add column invoiced numeric(18, 4) not null default '0';
update sales_order_line l set invoiced = b.quantity
from (
  select n.sales_order_line_id as id, sum(n.quantity) as quantity
  from invoice_line n join invoice i on i.id = n.invoice_id
  where i.kind = 'CUSTOMER_INVOICE' and n.sales_order_line_id is not null group by 1
) b where l.id = b.id;
alter table sales_order_line add constraint ck_sales_order_line_not_over_invoiced
  check (invoiced between 0 and quantity);
create function derive_sales_billing(orders bigint[]) returns void
language sql security definer set search_path = public as $$
  update sales_order o set invoice_status = s.invoiced, payment_status = s.paid
  from (
    select l.order_id, l.invoiced,
           case when l.invoiced = 'INVOICED' and i.open = 0 then 'PAID'
                when i.paid > 0 then 'PARTIAL' else 'NOT_PAID' end as paid
    from (
      select order_id, case when sum(invoiced) = 0 then 'NONE'
                            when sum(greatest(quantity - canceled - invoiced, 0)) > 0 then 'PARTIAL'
                            else 'INVOICED' end as invoiced
      from sales_order_line where order_id = any(orders) group by 1
    ) l
    cross join lateral (
      select coalesce(sum(residual), 0) as open, coalesce(sum(total - residual), 0) as paid
      from invoice where sales_order_id = l.order_id and kind = 'CUSTOMER_INVOICE'
    ) i
  ) s
  where o.id = s.order_id
    and (o.invoice_status, o.payment_status) is distinct from (s.invoiced, s.paid)
$$;
create function sales_lines_invoiced() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  perform from sales_order where id in (
    select l.order_id from changed n join sales_order_line l on l.id = n.sales_order_line_id
    where l.company_id = n.company_id) order by id for no key update;
  update sales_order_line l set invoiced = l.invoiced + b.quantity
  from (
    select n.sales_order_line_id as id, n.company_id, sum(n.quantity) as quantity
    from changed n join invoice i on i.id = n.invoice_id
    where i.kind = 'CUSTOMER_INVOICE' group by 1, 2
  ) b where l.id = b.id and l.company_id = b.company_id;
  return null;
end $$;
create trigger sales_lines_invoiced after insert on invoice_line
  referencing new table as changed for each statement execute function sales_lines_invoiced();
create function sales_billing_of_lines() returns trigger
language plpgsql security definer set search_path = public as $$
declare orders bigint[];
begin
  select array_agg(distinct n.order_id) into orders
  from changed n join before b on b.id = n.id
  where (n.invoiced, n.canceled, n.quantity) is distinct from (b.invoiced, b.canceled, b.quantity);
  if orders is not null then
    perform derive_sales_billing(orders);
  end if;
  return null;
end $$;
create trigger sales_order_line_updated_billing after update on sales_order_line
  referencing old table as before new table as changed
  for each statement execute function sales_billing_of_lines();
create function sales_billing_of_invoices() returns trigger
language plpgsql security definer set search_path = public as $$
declare orders bigint[];
begin
  select array_agg(distinct n.sales_order_id) into orders
  from changed n join before b on b.id = n.id
  where n.sales_order_id is not null and (n.total, n.residual) is distinct from (b.total, b.residual);
  if orders is not null then
    perform from sales_order where id = any(orders) order by id for no key update;
    perform derive_sales_billing(orders);
  end if;
  return null;
end $$;
create trigger sales_billing_of_invoices after update on invoice
  referencing old table as before new table as changed
  for each statement execute function sales_billing_of_invoices();
select derive_sales_billing(array_agg(id)) from sales_order;
create index ix_sales_order_invoice on sales_order (company_id, invoice_status, placed_on, id);
create index ix_sales_order_payment on sales_order (company_id, payment_status, placed_on, id);
