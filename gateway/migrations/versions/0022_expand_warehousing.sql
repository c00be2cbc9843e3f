CREATE TABLE stock_count (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	number TEXT NOT NULL, 
	warehouse_id INTEGER NOT NULL, 
	state TEXT DEFAULT 'COUNTING' NOT NULL, 
	note TEXT, 
	started_on DATE NOT NULL, 
	started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	started_by TEXT NOT NULL, 
	ended_at TIMESTAMP WITH TIME ZONE, 
	version INTEGER DEFAULT '1' NOT NULL, 
	CONSTRAINT pk_stock_count PRIMARY KEY (id), 
	CONSTRAINT uq_stock_count_company_id_number UNIQUE (company_id, number), 
	CONSTRAINT uq_stock_count_owner UNIQUE (id, company_id), 
	CONSTRAINT fk_stock_count_warehouse FOREIGN KEY(warehouse_id, company_id) REFERENCES warehouse (id, company_id), 
	CONSTRAINT ck_stock_count_state CHECK (state in ('COUNTING', 'POSTED', 'CANCELED')), 
	CONSTRAINT ck_stock_count_ended_at CHECK ((ended_at is null) = (state = 'COUNTING')), 
	CONSTRAINT fk_stock_count_company_id FOREIGN KEY(company_id) REFERENCES company (id)
);
CREATE INDEX ix_stock_count_number_prefix ON stock_count (company_id, number text_pattern_ops);
CREATE INDEX ix_stock_count_started_on ON stock_count (company_id, started_on, id);
CREATE INDEX ix_stock_count_state ON stock_count (company_id, state, started_on, id);
CREATE INDEX ix_stock_count_warehouse ON stock_count (warehouse_id, started_on, id);
COMMENT ON TABLE stock_count IS 'Places of a warehouse that are counted at once.';
CREATE TABLE stock_transfer (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	number TEXT NOT NULL, 
	from_warehouse_id INTEGER NOT NULL, 
	to_warehouse_id INTEGER NOT NULL, 
	state TEXT DEFAULT 'IN_TRANSIT' NOT NULL, 
	sent_on DATE NOT NULL, 
	expected_on DATE NOT NULL, 
	sent_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	sent_by TEXT NOT NULL, 
	ended_at TIMESTAMP WITH TIME ZONE, 
	version INTEGER DEFAULT '1' NOT NULL, 
	CONSTRAINT pk_stock_transfer PRIMARY KEY (id), 
	CONSTRAINT uq_stock_transfer_company_id_number UNIQUE (company_id, number), 
	CONSTRAINT uq_stock_transfer_owner UNIQUE (id, company_id, to_warehouse_id, expected_on), 
	CONSTRAINT fk_stock_transfer_from FOREIGN KEY(from_warehouse_id, company_id) REFERENCES warehouse (id, company_id), 
	CONSTRAINT fk_stock_transfer_to FOREIGN KEY(to_warehouse_id, company_id) REFERENCES warehouse (id, company_id), 
	CONSTRAINT ck_stock_transfer_state CHECK (state in ('IN_TRANSIT', 'RECEIVED', 'CANCELED')), 
	CONSTRAINT ck_stock_transfer_moves CHECK (from_warehouse_id <> to_warehouse_id), 
	CONSTRAINT ck_stock_transfer_expected_on CHECK (expected_on >= sent_on), 
	CONSTRAINT ck_stock_transfer_ended_at CHECK ((ended_at is null) = (state = 'IN_TRANSIT')), 
	CONSTRAINT fk_stock_transfer_company_id FOREIGN KEY(company_id) REFERENCES company (id)
);
CREATE INDEX ix_stock_transfer_from ON stock_transfer (from_warehouse_id, sent_on, id);
CREATE INDEX ix_stock_transfer_number_prefix ON stock_transfer (company_id, number text_pattern_ops);
CREATE INDEX ix_stock_transfer_sent_on ON stock_transfer (company_id, sent_on, id);
CREATE INDEX ix_stock_transfer_state ON stock_transfer (company_id, state, sent_on, id);
CREATE INDEX ix_stock_transfer_to ON stock_transfer (to_warehouse_id, sent_on, id);
COMMENT ON TABLE stock_transfer IS 'Goods that are carried from one warehouse to another.';
CREATE TABLE goods_return (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	partner_id BIGINT NOT NULL, 
	number TEXT NOT NULL, 
	order_id BIGINT NOT NULL, 
	warehouse_id INTEGER NOT NULL, 
	reason TEXT NOT NULL, 
	received_on DATE NOT NULL, 
	posted_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	posted_by TEXT NOT NULL, 
	CONSTRAINT pk_goods_return PRIMARY KEY (id), 
	CONSTRAINT uq_goods_return_company_id_number UNIQUE (company_id, number), 
	CONSTRAINT uq_goods_return_owner UNIQUE (id, company_id, partner_id), 
	CONSTRAINT fk_goods_return_warehouse FOREIGN KEY(warehouse_id, company_id) REFERENCES warehouse (id, company_id), 
	CONSTRAINT fk_goods_return_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_goods_return_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id), 
	CONSTRAINT fk_goods_return_order_id FOREIGN KEY(order_id) REFERENCES sales_order (id) DEFERRABLE INITIALLY IMMEDIATE
);
CREATE INDEX ix_goods_return_number_prefix ON goods_return (company_id, number text_pattern_ops);
CREATE INDEX ix_goods_return_order ON goods_return (order_id, id);
CREATE INDEX ix_goods_return_partner ON goods_return (partner_id, company_id, received_on, id);
CREATE INDEX ix_goods_return_received_on ON goods_return (company_id, received_on, id);
CREATE INDEX ix_goods_return_warehouse ON goods_return (warehouse_id, received_on, id);
COMMENT ON TABLE goods_return IS 'What came back of an order at once; never changed.';
CREATE TABLE stock_count_line (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	count_id BIGINT NOT NULL, 
	position INTEGER NOT NULL, 
	product_id BIGINT NOT NULL, 
	location_id INTEGER NOT NULL, 
	lot_id BIGINT, 
	expected NUMERIC(18, 4) NOT NULL, 
	last_move_id BIGINT NOT NULL, 
	counted NUMERIC(18, 4), 
	counted_at TIMESTAMP WITH TIME ZONE, 
	counted_by TEXT, 
	CONSTRAINT pk_stock_count_line PRIMARY KEY (id), 
	CONSTRAINT uq_stock_count_line_count_id_position UNIQUE (count_id, position), 
	CONSTRAINT uq_stock_count_line_place UNIQUE NULLS NOT DISTINCT (count_id, product_id, location_id, lot_id), 
	CONSTRAINT fk_stock_count_line_count FOREIGN KEY(count_id, company_id) REFERENCES stock_count (id, company_id), 
	CONSTRAINT fk_stock_count_line_location FOREIGN KEY(location_id, company_id) REFERENCES stock_location (id, company_id), 
	CONSTRAINT fk_stock_count_line_lot FOREIGN KEY(lot_id, company_id, product_id) REFERENCES lot (id, company_id, product_id), 
	CONSTRAINT ck_stock_count_line_counted CHECK (counted >= 0), 
	CONSTRAINT ck_stock_count_line_counted_at CHECK ((counted is null) = (counted_at is null) and (counted is null) = (counted_by is null)), 
	CONSTRAINT fk_stock_count_line_product_id FOREIGN KEY(product_id) REFERENCES product (id)
);
CREATE INDEX ix_stock_count_line_location ON stock_count_line (location_id, id);
CREATE INDEX ix_stock_count_line_lot ON stock_count_line (lot_id) WHERE lot_id is not null;
CREATE INDEX ix_stock_count_line_product ON stock_count_line (product_id, company_id, id);
COMMENT ON TABLE stock_count_line IS 'What should be at a place by the ledger''s last move there, and what was counted.';
CREATE TABLE stock_transfer_line (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	transfer_id BIGINT NOT NULL, 
	to_warehouse_id INTEGER NOT NULL, 
	expected_on DATE NOT NULL, 
	position INTEGER NOT NULL, 
	product_id BIGINT NOT NULL, 
	lot_id BIGINT, 
	quantity NUMERIC(18, 4) NOT NULL, 
	received NUMERIC(18, 4) DEFAULT '0' NOT NULL, 
	returned NUMERIC(18, 4) DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_stock_transfer_line PRIMARY KEY (id), 
	CONSTRAINT uq_stock_transfer_line_transfer_id_position UNIQUE (transfer_id, position), 
	CONSTRAINT fk_stock_transfer_line_transfer FOREIGN KEY(transfer_id, company_id, to_warehouse_id, expected_on) REFERENCES stock_transfer (id, company_id, to_warehouse_id, expected_on), 
	CONSTRAINT fk_stock_transfer_line_lot FOREIGN KEY(lot_id, company_id, product_id) REFERENCES lot (id, company_id, product_id), 
	CONSTRAINT ck_stock_transfer_line_quantity CHECK (quantity > 0), 
	CONSTRAINT ck_stock_transfer_line_not_negative CHECK (received >= 0 and returned >= 0), 
	CONSTRAINT ck_stock_transfer_line_not_more CHECK (received + returned <= quantity), 
	CONSTRAINT fk_stock_transfer_line_product_id FOREIGN KEY(product_id) REFERENCES product (id)
);
CREATE INDEX ix_stock_transfer_line_lot ON stock_transfer_line (lot_id) WHERE lot_id is not null;
CREATE INDEX ix_stock_transfer_line_product ON stock_transfer_line (product_id, company_id, id);
COMMENT ON TABLE stock_transfer_line IS 'So much of one product, of one lot if it is tracked, in a transfer.';
CREATE TABLE goods_return_line (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	partner_id BIGINT NOT NULL, 
	return_id BIGINT NOT NULL, 
	position INTEGER NOT NULL, 
	order_line_id BIGINT NOT NULL, 
	product_id BIGINT NOT NULL, 
	quantity NUMERIC(18, 4) NOT NULL, 
	disposition TEXT NOT NULL, 
	CONSTRAINT pk_goods_return_line PRIMARY KEY (id), 
	CONSTRAINT uq_goods_return_line_return_id_position UNIQUE (return_id, position), 
	CONSTRAINT fk_goods_return_line_return FOREIGN KEY(return_id, company_id, partner_id) REFERENCES goods_return (id, company_id, partner_id), 
	CONSTRAINT ck_goods_return_line_quantity CHECK (quantity > 0), 
	CONSTRAINT ck_goods_return_line_disposition CHECK (disposition in ('RESTOCK', 'INSPECT', 'SCRAP')), 
	CONSTRAINT fk_goods_return_line_order_line_id FOREIGN KEY(order_line_id) REFERENCES sales_order_line (id) DEFERRABLE INITIALLY IMMEDIATE, 
	CONSTRAINT fk_goods_return_line_product_id FOREIGN KEY(product_id) REFERENCES product (id)
);
CREATE INDEX ix_goods_return_line_order_line ON goods_return_line (order_line_id, id);
COMMENT ON TABLE goods_return_line IS 'How much of an order line came back, and what becomes of it; never changed.';
alter table incoming_stock drop constraint ck_incoming_stock_source;
alter table incoming_stock add constraint ck_incoming_stock_source check (source in ('PURCHASE_ORDER_LINE', 'STOCK_TRANSFER_LINE')) not valid;
alter table incoming_stock validate constraint ck_incoming_stock_source;
alter table sales_order_line add column returned numeric(18, 4) default '0' not null;
alter table sales_order_line add constraint ck_sales_order_line_not_over_returned check (returned between 0 and shipped) not valid;
alter table sales_order_line validate constraint ck_sales_order_line_not_over_returned;
create function stock_transfer_line_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  merge into incoming_stock i using (
    select l.id, l.company_id, l.product_id, l.to_warehouse_id, l.expected_on,
           l.quantity - l.received - l.returned as outstanding
    from changed l
  ) l on i.source = 'STOCK_TRANSFER_LINE' and i.source_id = l.id
  when matched and l.outstanding = 0 then delete
  when matched and i.quantity <> l.outstanding then update set quantity = l.outstanding
  when not matched and l.outstanding > 0 then
    insert (company_id, product_id, warehouse_id, expected_on, quantity, source, source_id)
    values (l.company_id, l.product_id, l.to_warehouse_id, l.expected_on, l.outstanding,
            'STOCK_TRANSFER_LINE', l.id);
  return null;
end $$;
create trigger stock_transfer_line_inserted after insert on stock_transfer_line
  referencing new table as changed for each statement execute function stock_transfer_line_changed();
create trigger stock_transfer_line_updated after update on stock_transfer_line
  referencing new table as changed for each statement execute function stock_transfer_line_changed();
create function stock_transfer_numbered() returns trigger language plpgsql as $$
begin
  new.number := new.number || repeat('0', 6 - length(new.id::text)) || new.id;
  return new;
end $$;
create trigger stock_transfer_numbered before insert on stock_transfer
  for each row when (right(new.number, 1) = '-') execute function stock_transfer_numbered();
create function stock_count_numbered() returns trigger language plpgsql as $$
begin
  new.number := new.number || repeat('0', 6 - length(new.id::text)) || new.id;
  return new;
end $$;
create trigger stock_count_numbered before insert on stock_count
  for each row when (right(new.number, 1) = '-') execute function stock_count_numbered();
create function goods_return_numbered() returns trigger language plpgsql as $$
begin
  new.number := new.number || repeat('0', 6 - length(new.id::text)) || new.id;
  return new;
end $$;
create trigger goods_return_numbered before insert on goods_return
  for each row when (right(new.number, 1) = '-') execute function goods_return_numbered();
alter table stock_count enable row level security;
create policy staff on stock_count to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on stock_count to erp_app;
grant select on stock_count to erp_partner;
alter table stock_transfer enable row level security;
create policy staff on stock_transfer to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on stock_transfer to erp_app;
grant select on stock_transfer to erp_partner;
alter table goods_return enable row level security;
create policy staff on goods_return to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert on goods_return to erp_app;
grant select on goods_return to erp_partner;
create policy partner on goods_return for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
alter table stock_count_line enable row level security;
create policy staff on stock_count_line to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on stock_count_line to erp_app;
grant select on stock_count_line to erp_partner;
alter table stock_transfer_line enable row level security;
create policy staff on stock_transfer_line to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on stock_transfer_line to erp_app;
grant select on stock_transfer_line to erp_partner;
alter table goods_return_line enable row level security;
create policy staff on goods_return_line to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert on goods_return_line to erp_app;
grant select on goods_return_line to erp_partner;
create policy partner on goods_return_line for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
