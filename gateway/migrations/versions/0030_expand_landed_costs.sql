alter table account drop constraint ck_account_role;
alter table account add constraint ck_account_role check (role in ('BANK', 'RECEIVABLE', 'INPUT_TAX', 'PAYABLE', 'OUTPUT_TAX', 'CAPITAL', 'SALES', 'PURCHASES', 'EXCHANGE_GAINS', 'EXCHANGE_LOSSES', 'INVENTORY', 'GOODS_RECEIVED', 'COST_OF_GOODS_SOLD', 'STOCK_DIFFERENCES', 'PRICE_DIFFERENCES', 'LANDED_COSTS')) not valid;
alter table account validate constraint ck_account_role;
alter table valuation_entry drop constraint ck_valuation_entry_kind;
alter table valuation_entry add constraint ck_valuation_entry_kind check (kind in ('OPENING', 'PURCHASE', 'SALE', 'DIFFERENCE', 'PRICE_DIFFERENCE', 'LANDED_COST')) not valid;
alter table valuation_entry validate constraint ck_valuation_entry_kind;
CREATE TABLE landed_cost (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	receipt_id BIGINT NOT NULL, 
	amount NUMERIC(20, 4) NOT NULL, 
	description TEXT NOT NULL, 
	effective_on DATE NOT NULL, 
	posted_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	posted_by TEXT NOT NULL, 
	CONSTRAINT pk_landed_cost PRIMARY KEY (id), 
	CONSTRAINT ck_landed_cost_amount CHECK (amount > 0), 
	CONSTRAINT fk_landed_cost_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_landed_cost_receipt_id FOREIGN KEY(receipt_id) REFERENCES goods_receipt (id)
);
CREATE INDEX ix_landed_cost_receipt ON landed_cost (receipt_id, id);
COMMENT ON TABLE landed_cost IS 'What goods of a receipt cost besides their price, such as freight; never changed.';
create function landed_cost_valued() returns trigger
language plpgsql security definer set search_path = public as $$
declare
  n record;
  x record;
  c product_cost%rowtype;
  layer bigint;
  rest numeric;
  there numeric;
  kept numeric;
  moves bigint[];
  kinds text[];
  amounts numeric[];
begin
  for n in
    select l.*, h.costing, k.digits from changed l
    join company h on h.id = l.company_id join currency k on k.code = h.currency order by l.id
  loop
    c := null;
    moves := '{}';
    kinds := '{}';
    amounts := '{}';
    for x in
      select w.move_id, w.product_id, w.quantity,
             value_share(n.amount, w.upto, w.whole, n.digits)
             - value_share(n.amount, w.upto - w.weight, w.whole, n.digits) as amount
      from (
        select v.*, sum(v.weight) over (order by v.product_id, v.move_id) as upto,
               sum(v.weight) over () as whole
        from (
          -- by value; by quantity where nothing of it cost anything
          select e.move_id, e.product_id, e.quantity,
                 case when sum(e.amount) over () > 0 then e.amount else e.quantity end as weight
          from goods_receipt_line l
          join stock_move m on m.source = 'GOODS_RECEIPT_LINE' and m.source_id = l.id
          join valuation_entry e on e.move_id = m.id and e.quantity > 0
          where l.receipt_id = n.receipt_id and l.company_id = n.company_id
        ) v
      ) w order by w.product_id, w.move_id
    loop
      if c.product_id is distinct from x.product_id then
        select * into c from product_cost p
        where p.product_id = x.product_id and p.company_id = n.company_id for no key update;
        rest := greatest(c.quantity, 0);
      end if;
      there := least(x.quantity, rest);  -- of several moves of a product no piece counts twice
      rest := rest - there;
      if n.costing = 'FIFO' then
        select y.id, y.remaining into layer, there from cost_layer y
        where y.move_id = x.move_id and y.remaining > 0;
        there := coalesce(there, 0);
      end if;
      kept := value_share(x.amount, there, x.quantity, n.digits);
      if n.costing = 'FIFO' then
        update cost_layer y set value = y.value + kept where y.id = layer and there > 0;
      end if;
      update product_cost p
      set value = p.value + kept,
          unit_cost = case when p.quantity > 0
            then value_share(p.value + kept, 1, p.quantity, 6) else p.unit_cost end
      where p.product_id = x.product_id and p.company_id = n.company_id;
      if x.amount <> 0 then
        moves := moves || x.move_id;
        kinds := kinds || 'LANDED_COST'::text;
        amounts := amounts || x.amount;
      end if;
      if kept <> x.amount then  -- what has left cost more than was known
        moves := moves || x.move_id;
        kinds := kinds || 'PRICE_DIFFERENCE'::text;
        amounts := amounts || kept - x.amount;
      end if;
    end loop;
    insert into valuation_entry (company_id, product_id, move_id, kind, quantity, amount,
      effective_on, posted_at, posted_by)
    select n.company_id, m.product_id, m.id, e.kind, 0, e.amount, n.effective_on, n.posted_at,
           n.posted_by
    from unnest(moves, kinds, amounts) with ordinality as e (move_id, kind, amount, place)
    join stock_move m on m.id = e.move_id order by e.place;
  end loop;
  return null;
end $$;
create trigger landed_cost_valued after insert on landed_cost
  referencing new table as changed for each statement execute function landed_cost_valued();
alter table landed_cost enable row level security;
create policy staff on landed_cost to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert on landed_cost to erp_app;
grant select on landed_cost to erp_partner;
create or replace function value_posted() returns trigger
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
      join (values ('OPENING', 'CAPITAL'), ('PURCHASE', 'GOODS_RECEIVED'), ('SALE', 'COST_OF_GOODS_SOLD'), ('DIFFERENCE', 'STOCK_DIFFERENCES'), ('PRICE_DIFFERENCE', 'PRICE_DIFFERENCES'), ('LANDED_COST', 'LANDED_COSTS')) e (kind, role) on e.kind = v.kind
      cross join (values (1), (-1)) s (side)
      join account a on a.company_id = x.company_id
        and a.role = case when s.side = 1 then 'INVENTORY' else e.role end;
    end if;
  end loop;
  return null;
end $$;
-- the account for costs that are added; one whose code is taken gets another
insert into account (company_id, code, name, kind, role)
select c.company_id, '2150' || case when exists (
         select from account a where a.company_id = c.company_id and a.code = '2150')
       then '-landed_costs' else '' end, 'Landed costs, not billed', 'LIABILITY', 'LANDED_COSTS'
from (select distinct company_id from account where role = 'INVENTORY') c
where not exists (select from account a where a.company_id = c.company_id and a.role = 'LANDED_COSTS')
order by c.company_id;
