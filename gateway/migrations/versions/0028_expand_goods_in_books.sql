alter table account drop constraint ck_account_role;
alter table account add constraint ck_account_role check (role in ('BANK', 'RECEIVABLE', 'INPUT_TAX', 'PAYABLE', 'OUTPUT_TAX', 'CAPITAL', 'SALES', 'PURCHASES', 'EXCHANGE_GAINS', 'EXCHANGE_LOSSES', 'INVENTORY', 'GOODS_RECEIVED', 'COST_OF_GOODS_SOLD', 'STOCK_DIFFERENCES', 'PRICE_DIFFERENCES')) not valid;
alter table account validate constraint ck_account_role;
alter table journal_entry drop constraint ck_journal_entry_journal;
alter table journal_entry add constraint ck_journal_entry_journal check (journal in ('SALES', 'PURCHASES', 'BANK', 'GENERAL', 'STOCK')) not valid;
alter table journal_entry validate constraint ck_journal_entry_journal;
create function journal_entry_numbered() returns trigger language plpgsql as $$
begin
  new.number := new.number || repeat('0', 6 - length(new.id::text)) || new.id;
  return new;
end $$;
create trigger journal_entry_numbered before insert on journal_entry
  for each row when (right(new.number, 1) = '-') execute function journal_entry_numbered();
create function value_posted() returns trigger
language plpgsql security definer set search_path = public as $$
declare
  x record;
  period record;
  entry bigint;
begin
  for x in
    select n.company_id, n.effective_on, min(n.posted_by) as posted_by, min(n.posted_at) as posted_at,
           initcap(replace(string_agg(distinct n.kind, ', ' order by n.kind), '_', ' ')) as told
    from changed n
    where exists (select from account a
                  where a.company_id = n.company_id and a.role = 'INVENTORY')
    group by 1, 2 order by 1, 2
  loop
    -- a month after all others begins with what is first posted in it, and those between with it
    insert into fiscal_period (company_id, code, starts_on, ends_on)
    select x.company_id, to_char(m.month, 'YYYY-MM'), greatest(m.month::date, last.ends_on + 1),
           (m.month + interval '1 month')::date - 1
    from (select max(p.ends_on) as ends_on from fiscal_period p
          where p.company_id = x.company_id) last
    cross join generate_series(
      date_trunc('month', coalesce(last.ends_on + 1, x.effective_on)::timestamp),
      x.effective_on::timestamp, interval '1 month') m (month)
    where x.effective_on > coalesce(last.ends_on, '-infinity')
    on conflict (company_id, code) do nothing;
    select p.code, p.state into period from fiscal_period p
    where p.company_id = x.company_id and x.effective_on between p.starts_on and p.ends_on
    for share;
    if not found or period.state <> 'OPEN' then
      raise exception using errcode = 'ERP02', detail = coalesce(period.code, ''),
        message = case when period.code is null then 'The books have no period for that day.'
                       else 'The books of ' || period.code || ' are closed.' end;
    end if;
    entry := null;
    if exists (select from changed n where n.company_id = x.company_id
               and n.effective_on = x.effective_on group by n.kind having sum(n.amount) <> 0) then
      insert into journal_entry (company_id, number, journal, posted_on, description, posted_by,
        posted_at)
      values (x.company_id, 'JE-' || to_char(x.effective_on, 'YYYY') || '-', 'STOCK',
        x.effective_on, x.told, x.posted_by, x.posted_at)
      returning id into entry;
      insert into journal_line (company_id, entry_id, position, account_id, posted_on, debit, credit)
      select x.company_id, entry, row_number() over (order by v.kind, s.side), a.id, x.effective_on,
             greatest(v.amount * s.side, 0), greatest(-v.amount * s.side, 0)
      from (select n.kind, sum(n.amount) as amount from changed n
            where n.company_id = x.company_id and n.effective_on = x.effective_on
            group by n.kind having sum(n.amount) <> 0) v
      join (values ('OPENING', 'CAPITAL'), ('PURCHASE', 'GOODS_RECEIVED'), ('SALE', 'COST_OF_GOODS_SOLD'), ('DIFFERENCE', 'STOCK_DIFFERENCES'), ('PRICE_DIFFERENCE', 'PRICE_DIFFERENCES')) e (kind, role) on e.kind = v.kind
      cross join (values (1), (-1)) s (side)
      join account a on a.company_id = x.company_id
        and a.role = case when s.side = 1 then 'INVENTORY' else e.role end;
    end if;
  end loop;
  return null;
end $$;
create trigger value_posted after insert on valuation_entry
  referencing new table as changed for each statement execute function value_posted();
create or replace function close_checks(periods int[])
returns table (period_id int, place int, code text, count bigint) language sql stable as $$
  select p.id, c.place, c.code, c.count
  from fiscal_period p
  cross join lateral (
    select 1, 'EARLIER_PERIODS_CLOSED', count(*) from fiscal_period e
    where e.company_id = p.company_id and e.ends_on < p.starts_on and e.state = 'OPEN'
    union all
    select 2, 'ENTRIES_BALANCE', count(*) from (
      select from journal_line l
      where l.company_id = p.company_id and l.posted_on between p.starts_on and p.ends_on
      group by l.entry_id having sum(l.debit) <> sum(l.credit)) x
    union all
    select 3, 'RECEIVABLES_RECONCILE', (
      coalesce((select sum(total) from aged_balances('CUSTOMER_INVOICE', p.ends_on)), 0)
      <> coalesce((select balance from control_balance('RECEIVABLE', p.ends_on)), 0))::int
    union all
    select 4, 'PAYABLES_RECONCILE', (
      coalesce((select sum(total) from aged_balances('VENDOR_BILL', p.ends_on)), 0)
      <> coalesce(-(select balance from control_balance('PAYABLE', p.ends_on)), 0))::int
    union all
    select 5, 'SHIPMENTS_LEFT', count(*) from shipment s
    where s.company_id = p.company_id and s.state in ('PLANNED', 'PICKING', 'PACKED')
      and s.planned_on <= p.ends_on
    union all
    select 6, 'RECEIPTS_BILLED', count(*) from goods_receipt g
    where g.company_id = p.company_id and g.received_on between p.starts_on and p.ends_on
      and not exists (select from invoice i where i.purchase_order_id = g.order_id
                      and i.invoiced_on <= p.ends_on)
    union all
    select 7, 'NUMBERS_WITHOUT_GAPS', coalesce(sum(x.missing), 0)::bigint from (
      select max(n.place) - min(n.place) + 1 - count(*) as missing
      from (select i.kind, regexp_replace(i.number, '[0-9]+$', '') as series,
                   substring(i.number from '[0-9]{1,18}$')::bigint as place
            from invoice i where i.company_id = p.company_id
              and i.invoiced_on between p.starts_on and p.ends_on) n
      group by n.kind, n.series) x
    union all
    select 8, 'INVENTORY_RECONCILES', (
      coalesce((select sum(v.amount) from valuation_entry v
                where v.company_id = p.company_id and v.effective_on <= p.ends_on), 0)
      <> coalesce((select balance from control_balance('INVENTORY', p.ends_on)), 0)
      -- before goods were in the books there is nothing to compare
      and exists (select from journal_line l join account a on a.id = l.account_id
                  where a.company_id = p.company_id and a.role = 'INVENTORY'
                    and l.posted_on <= p.ends_on)
      and not exists (select from journal_entry e
                      where e.company_id = p.company_id and e.journal = 'STOCK'
                        and e.posted_by = 'migration' and e.posted_on > p.ends_on))::int
  ) c (place, code, count)
  where p.id = any(periods)
$$;

-- companies that keep books get accounts for goods; one whose code is taken gets another
insert into account (company_id, code, name, kind, role)
select c.company_id, n.code || case when exists (
         select from account a where a.company_id = c.company_id and a.code = n.code)
       then '-' || lower(n.role) else '' end, n.name, n.kind, n.role
from (select distinct company_id from account where role is not null) c
cross join (values
  (1, '1400', 'Inventory', 'ASSET', 'INVENTORY'),
  (2, '2100', 'Goods received, not billed', 'LIABILITY', 'GOODS_RECEIVED'),
  (3, '5100', 'Cost of goods sold', 'EXPENSE', 'COST_OF_GOODS_SOLD'),
  (4, '5200', 'Stock differences', 'EXPENSE', 'STOCK_DIFFERENCES'),
  (5, '5300', 'Price differences', 'EXPENSE', 'PRICE_DIFFERENCES'),
  (6, '5000', 'Purchases', 'EXPENSE', 'PURCHASES'),
  (7, '3000', 'Capital', 'EQUITY', 'CAPITAL')
) n (place, code, name, kind, role)
where not exists (select from account a where a.company_id = c.company_id and a.role = n.role)
order by c.company_id, n.place;
-- what there is goes into the books today, or on the first day that is open: it was an expense before
with opened as (
  select c.company_id, greatest(current_date, coalesce((
           select max(p.ends_on) from fiscal_period p
           where p.company_id = c.company_id and p.state = 'CLOSED'), '-infinity') + 1) as day,
         coalesce((select sum(v.value) from product_cost v where v.company_id = c.company_id), 0)
           as value,
         coalesce((
           select sum(round(l.received * l.unit_price * o.fx_rate, k.digits)
                      - round(l.billed * l.unit_price * o.fx_rate, k.digits))
           from purchase_order_line l join purchase_order o on o.id = l.order_id
           join company h on h.id = l.company_id join currency k on k.code = h.currency
           where l.company_id = c.company_id), 0) as open
  from (select distinct company_id from account where role = 'INVENTORY') c
), periods as (
  insert into fiscal_period (company_id, code, starts_on, ends_on)
  select o.company_id, to_char(m.month, 'YYYY-MM'), greatest(m.month::date, last.ends_on + 1),
         (m.month + interval '1 month')::date - 1
  from opened o cross join lateral (
    select max(p.ends_on) as ends_on from fiscal_period p where p.company_id = o.company_id) last
  cross join generate_series(
    date_trunc('month', coalesce(last.ends_on + 1, o.day)::timestamp), o.day::timestamp,
    interval '1 month') m (month)
  where (o.value <> 0 or o.open <> 0) and o.day > coalesce(last.ends_on, '-infinity')
), entries as (
  insert into journal_entry (company_id, number, journal, posted_on, description, posted_by)
  select company_id, 'JE-' || to_char(day, 'YYYY') || '-', 'STOCK', day,
         'Stock that was there before it was in the books', 'migration'
  from opened where value <> 0 or open <> 0
  returning id, company_id, posted_on
)
insert into journal_line (company_id, entry_id, position, account_id, posted_on, debit, credit)
select e.company_id, e.id, row_number() over (partition by e.id order by s.place), a.id, e.posted_on,
       greatest(s.amount, 0), greatest(-s.amount, 0)
from entries e join opened o on o.company_id = e.company_id
cross join lateral (values (1, 'INVENTORY', o.value), (2, 'GOODS_RECEIVED', -o.open),
                           (3, 'PURCHASES', o.open - o.value)) s (place, role, amount)
join account a on a.company_id = e.company_id and a.role = s.role
where s.amount <> 0;
