alter table purchase_order add column bill_status text not null default 'NONE';
alter table purchase_order add constraint ck_purchase_order_bill_status
  check (bill_status in ('NONE', 'PARTIAL', 'BILLED'));
alter table purchase_order_line add column billed numeric(18, 4) not null default '0';
alter table purchase_order_line drop constraint ck_purchase_order_line_not_negative;
alter table purchase_order_line add constraint ck_purchase_order_line_not_negative
  check (received >= 0 and canceled >= 0 and billed >= 0);
comment on table purchase_order_line is
  'One product on an order to a supplier: how much, at which price, what came, what was billed.';
update purchase_order_line l set billed = b.quantity
from (
  select n.purchase_order_line_id as id, sum(n.quantity) as quantity
  from invoice_line n join invoice i on i.id = n.invoice_id
  where i.kind = 'VENDOR_BILL' and n.purchase_order_line_id is not null group by 1
) b where l.id = b.id;
update purchase_order o set bill_status = s.status
from (
  select order_id, case when sum(greatest(quantity - canceled - billed, 0)) > 0 then 'PARTIAL'
                        else 'BILLED' end as status
  from purchase_order_line group by 1 having sum(billed) > 0
) s where o.id = s.order_id;
create index ix_purchase_order_bill on purchase_order (company_id, bill_status, ordered_on, id);
create function purchase_lines_billed() returns trigger
language plpgsql security definer set search_path = public as $$
declare orders bigint[];
begin
  select array_agg(distinct l.order_id) into orders
  from changed n join purchase_order_line l on l.id = n.purchase_order_line_id
  where l.company_id = n.company_id;
  if orders is null then
    return null;
  end if;
  perform from purchase_order where id = any(orders) order by id for no key update;
  update purchase_order_line l set billed = l.billed + b.quantity
  from (
    select n.purchase_order_line_id as id, n.company_id, sum(n.quantity) as quantity
    from changed n join invoice i on i.id = n.invoice_id
    where i.kind = 'VENDOR_BILL' group by 1, 2
  ) b where l.id = b.id and l.company_id = b.company_id;
  update purchase_order o set bill_status = s.status, version = o.version + 1
  from (
    select order_id, case when sum(billed) = 0 then 'NONE'
                          when sum(greatest(quantity - canceled - billed, 0)) > 0 then 'PARTIAL'
                          else 'BILLED' end as status
    from purchase_order_line where order_id = any(orders) group by 1
  ) s where o.id = s.order_id;
  return null;
end $$;
create trigger purchase_lines_billed after insert on invoice_line
  referencing new table as changed for each statement execute function purchase_lines_billed();
