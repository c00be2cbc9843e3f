create function stock_valuation(day date)
returns table (warehouse_id int, category_id int, currency char(3), on_hand numeric, value numeric)
language sql stable as $$
  select s.warehouse_id, p.category_id, min(home.currency), sum(s.quantity),
         sum(round(s.quantity * coalesce(c.standard_cost, 0), 4))
  from (
    select l.warehouse_id, x.product_id, sum(x.quantity) as quantity
    from (
      select location_id, product_id, on_hand as quantity from stock_balance
      union all
      select to_location_id, product_id, -quantity from stock_move where effective_on > day
      union all
      select from_location_id, product_id, quantity from stock_move where effective_on > day
    ) x join stock_location l on l.id = x.location_id
    where l.warehouse_id is not null
    group by 1, 2
  ) s
  join product p on p.id = s.product_id
  left join product_company c on c.product_id = p.id
  cross join (select company.currency from company
              where id = nullif(current_setting('app.company_id', true), '')::int) home
  where s.quantity <> 0
  group by grouping sets ((1, 2), ())
$$;
