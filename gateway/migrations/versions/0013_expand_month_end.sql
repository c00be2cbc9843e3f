create function close_checks(periods int[])
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
  ) c (place, code, count)
  where p.id = any(periods)
$$;
