drop function partner_receivables(bigint[], date);
create function partner_receivables(partners bigint[], day date)
returns table (partner_id bigint, currency char(3), open numeric, overdue numeric,
               ordered numeric, credit_limit numeric, available numeric,
               aging_current numeric, aging_d1_30 numeric, aging_d31_60 numeric,
               aging_d61_90 numeric, aging_over90 numeric)
language sql stable as $$
  select partner, home.currency, coalesce(i.open, 0), coalesce(i.overdue, 0),
         coalesce(o.ordered, 0), t.credit_limit,
         t.credit_limit - coalesce(i.open, 0) - coalesce(o.ordered, 0),
         coalesce(i.current, 0), coalesce(i.d1_30, 0), coalesce(i.d31_60, 0),
         coalesce(i.d61_90, 0), coalesce(i.over90, 0)
  from unnest(partners) partner
  cross join (select c.currency from company c
              where c.id = nullif(current_setting('app.company_id', true), '')::int) home
  left join partner_company t on t.partner_id = partner
  left join lateral (
    select sum(residual_base) as open,
           sum(residual_base) filter (where due_on < day) as overdue,
           sum(residual_base) filter (where due_on >= day) as current,
           sum(residual_base) filter (where day - due_on between 1 and 30) as d1_30,
           sum(residual_base) filter (where day - due_on between 31 and 60) as d31_60,
           sum(residual_base) filter (where day - due_on between 61 and 90) as d61_90,
           sum(residual_base) filter (where day - due_on > 90) as over90
    from invoice where invoice.partner_id = partner and kind = 'CUSTOMER_INVOICE'
      and settled_on is null
  ) i on true
  left join lateral (
    select round(sum((l.net + l.tax) * s.fx_rate
                     * (l.quantity - l.shipped - l.canceled) / l.quantity), 4) as ordered
    from sales_order s join sales_order_line l on l.order_id = s.id
    where s.partner_id = partner and s.state = 'CONFIRMED' and s.shipment_status <> 'SHIPPED'
  ) o on true
$$;
