CREATE TABLE stock_hold (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	partner_id BIGINT, 
	state TEXT DEFAULT 'HELD' NOT NULL, 
	reference TEXT, 
	expires_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	created_by TEXT NOT NULL, 
	version INTEGER DEFAULT '1' NOT NULL, 
	CONSTRAINT pk_stock_hold PRIMARY KEY (id), 
	CONSTRAINT uq_stock_hold_owner UNIQUE (id, company_id), 
	CONSTRAINT ck_stock_hold_state CHECK (state in ('HELD', 'TAKEN', 'RELEASED', 'EXPIRED')), 
	CONSTRAINT ck_stock_hold_expires_at CHECK (expires_at > created_at), 
	CONSTRAINT fk_stock_hold_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_stock_hold_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id)
);
CREATE INDEX ix_stock_hold_due ON stock_hold (expires_at, id) WHERE state = 'HELD';
CREATE INDEX ix_stock_hold_expires_at ON stock_hold (company_id, expires_at, id);
CREATE INDEX ix_stock_hold_partner ON stock_hold (partner_id, company_id, expires_at, id);
CREATE INDEX ix_stock_hold_state ON stock_hold (company_id, state, expires_at, id);
COMMENT ON TABLE stock_hold IS 'Stock kept for a while for somebody who is still deciding, such as a cart.';
CREATE TABLE stock_hold_line (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	partner_id BIGINT, 
	hold_id BIGINT NOT NULL, 
	position INTEGER NOT NULL, 
	product_id BIGINT NOT NULL, 
	warehouse_id INTEGER NOT NULL, 
	quantity NUMERIC(18, 4) NOT NULL, 
	CONSTRAINT pk_stock_hold_line PRIMARY KEY (id), 
	CONSTRAINT uq_stock_hold_line_hold_id_position UNIQUE (hold_id, position), 
	CONSTRAINT fk_stock_hold_line_hold FOREIGN KEY(hold_id, company_id) REFERENCES stock_hold (id, company_id), 
	CONSTRAINT fk_stock_hold_line_warehouse FOREIGN KEY(warehouse_id, company_id) REFERENCES warehouse (id, company_id), 
	CONSTRAINT ck_stock_hold_line_quantity CHECK (quantity > 0), 
	CONSTRAINT fk_stock_hold_line_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id), 
	CONSTRAINT fk_stock_hold_line_product_id FOREIGN KEY(product_id) REFERENCES product (id)
);
COMMENT ON TABLE stock_hold_line IS 'So much of a product in a warehouse that is held.';
create function expire_holds(most int) returns int language plpgsql as $$
declare due bigint[];
begin
  select array_agg(d.id) into due from (
    select h.id from stock_hold h where h.state = 'HELD' and h.expires_at <= now()
    order by h.expires_at, h.id limit most for update skip locked) d;
  if due is null then
    return 0;
  end if;
  perform set_config('app.cause', 'HOLD_EXPIRED', true);
  perform from stock_level l where l.id in (
    select r.level_id from stock_hold_line x
    join stock_reservation r on r.source = 'CART' and r.source_id = x.id and r.state = 'ACTIVE'
    where x.hold_id = any(due))
  order by l.id for no key update;
  with gone as (
    update stock_reservation r set state = 'EXPIRED' from stock_hold_line x
    where x.hold_id = any(due) and r.source = 'CART' and r.source_id = x.id and r.state = 'ACTIVE'
    returning r.level_id, r.quantity)
  update stock_level l set reserved = l.reserved - g.quantity
  from (select level_id, sum(quantity) as quantity from gone group by level_id) g
  where l.id = g.level_id;
  with ended as (
    update stock_hold h set state = 'EXPIRED', version = h.version + 1 where h.id = any(due)
    returning h.id, h.company_id, h.version)
  insert into audit_log (company_id, actor, operation, entity, entity_id, action, diff, version)
  select company_id, 'worker', 'expireHolds', 'StockHold', id, 'expire',
         jsonb_build_object('state', 'EXPIRED'), version
  from ended order by id;
  return cardinality(due);
end $$;
create function expire_overdue(products bigint[], warehouses int[]) returns int
language plpgsql as $$
declare freed int;
begin
  with gone as (
    update stock_reservation r set state = 'EXPIRED'
    where r.source = 'CART' and r.state = 'ACTIVE' and r.expires_at <= now() and r.level_id in (
      select l.id from stock_level l join unnest(products, warehouses) w (product, warehouse)
        on l.product_id = w.product and l.warehouse_id = w.warehouse)
    returning r.level_id, r.quantity),
  given as (
    update stock_level l set reserved = l.reserved - g.quantity
    from (select level_id, sum(quantity) as quantity from gone group by level_id) g
    where l.id = g.level_id returning l.id)
  select count(*) into freed from given;
  return freed;
end $$;
create function pass_stock(held bigint[], holders bigint[], takers bigint[], quantities numeric[],
                           kind text)
returns table (line_id bigint, passed numeric) language plpgsql as $$
begin
  perform from stock_level l where l.id in (
    select r.level_id from stock_reservation r
    where r.source = 'CART' and r.source_id = any(held) and r.state = 'ACTIVE')
  order by l.id for no key update;
  return query
  with gone as (
    update stock_reservation r set state = 'RELEASED'
    where r.source = 'CART' and r.source_id = any(held) and r.state = 'ACTIVE'
    returning r.company_id, r.level_id, r.source_id, r.quantity),
  given as (
    select g.company_id, g.level_id, w.taker, sum(w.quantity) as quantity
    from unnest(holders, takers, quantities) w (holder, taker, quantity)
    join gone g on g.source_id = w.holder
    group by g.company_id, g.level_id, w.taker),
  freed as (
    update stock_level l set reserved = l.reserved - x.quantity
    from (
      select c.level_id, sum(c.quantity) as quantity from (
        select g.level_id, g.quantity from gone g
        union all
        select v.level_id, -v.quantity from given v) c
      group by c.level_id) x
    where l.id = x.level_id and x.quantity <> 0)
  insert into stock_reservation (company_id, level_id, source, source_id, quantity)
  select v.company_id, v.level_id, kind, v.taker, v.quantity from given v
  returning source_id, quantity;
end $$;
alter table stock_hold enable row level security;
create policy staff on stock_hold to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on stock_hold to erp_app;
grant select on stock_hold to erp_partner;
create policy partner on stock_hold for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
alter table stock_hold_line enable row level security;
create policy staff on stock_hold_line to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert on stock_hold_line to erp_app;
grant select on stock_hold_line to erp_partner;
create policy partner on stock_hold_line for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
alter function derive_sales_billing(bigint[]) security invoker reset all;
