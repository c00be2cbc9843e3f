CREATE TABLE incoming_stock (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	product_id BIGINT NOT NULL, 
	warehouse_id INTEGER NOT NULL, 
	expected_on DATE NOT NULL, 
	quantity NUMERIC(18, 4) NOT NULL, 
	source TEXT NOT NULL, 
	source_id BIGINT NOT NULL, 
	CONSTRAINT pk_incoming_stock PRIMARY KEY (id), 
	CONSTRAINT uq_incoming_stock_source_source_id_product_id_warehouse_id UNIQUE (source, source_id, product_id, warehouse_id), 
	CONSTRAINT fk_incoming_stock_warehouse FOREIGN KEY(warehouse_id, company_id) REFERENCES warehouse (id, company_id), 
	CONSTRAINT ck_incoming_stock_quantity CHECK (quantity > 0), 
	CONSTRAINT ck_incoming_stock_source CHECK (source in ('PURCHASE_ORDER_LINE')), 
	CONSTRAINT fk_incoming_stock_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_incoming_stock_product_id FOREIGN KEY(product_id) REFERENCES product (id)
)
 WITH (fillfactor = 70);
CREATE INDEX ix_incoming_stock_expected_on ON incoming_stock (company_id, expected_on, id);
CREATE INDEX ix_incoming_stock_product ON incoming_stock (product_id, company_id, expected_on, id);
CREATE INDEX ix_incoming_stock_warehouse ON incoming_stock (warehouse_id, expected_on, id);
COMMENT ON TABLE incoming_stock IS 'The row behind what is incoming: how much of a product comes to a warehouse, and when.';
alter table incoming_stock enable row level security;
create policy staff on incoming_stock to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select on incoming_stock to erp_app;
grant select on incoming_stock to erp_partner;
create policy partner on incoming_stock for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
CREATE INDEX ix_reorder_rule_company ON reorder_rule (company_id, id) WHERE archived_at is null;
CREATE INDEX ix_reorder_rule_warehouse ON reorder_rule (warehouse_id, id) WHERE archived_at is null;
CREATE TABLE supplier_offer (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	product_id BIGINT NOT NULL, 
	partner_id BIGINT NOT NULL, 
	supplier_sku TEXT, 
	min_quantity NUMERIC(18, 4) DEFAULT '0' NOT NULL, 
	price NUMERIC(20, 6) NOT NULL, 
	currency CHAR(3) NOT NULL, 
	lead_days SMALLINT NOT NULL, 
	priority SMALLINT DEFAULT '1' NOT NULL, 
	archived_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_supplier_offer PRIMARY KEY (id), 
	CONSTRAINT ck_supplier_offer_min_quantity CHECK (min_quantity >= 0), 
	CONSTRAINT ck_supplier_offer_price CHECK (price >= 0), 
	CONSTRAINT ck_supplier_offer_lead_days CHECK (lead_days >= 0), 
	CONSTRAINT ck_supplier_offer_priority CHECK (priority >= 1), 
	CONSTRAINT fk_supplier_offer_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_supplier_offer_product_id FOREIGN KEY(product_id) REFERENCES product (id), 
	CONSTRAINT fk_supplier_offer_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id), 
	CONSTRAINT fk_supplier_offer_currency FOREIGN KEY(currency) REFERENCES currency (code)
);
CREATE INDEX ix_supplier_offer_partner ON supplier_offer (partner_id, company_id, product_id, priority, id) WHERE archived_at is null;
CREATE INDEX ix_supplier_offer_product ON supplier_offer (company_id, product_id, priority, id) WHERE archived_at is null;
CREATE INDEX ix_supplier_offer_supplier_sku ON supplier_offer (company_id, supplier_sku) WHERE archived_at is null;
CREATE UNIQUE INDEX uq_supplier_offer_active ON supplier_offer (product_id, company_id, partner_id, min_quantity) WHERE archived_at is null;
COMMENT ON TABLE supplier_offer IS 'What a supplier asks a company for a product, from a quantity on.';
CREATE TABLE purchase_order (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	number TEXT NOT NULL, 
	state TEXT DEFAULT 'DRAFT' NOT NULL, 
	receipt_status TEXT DEFAULT 'NONE' NOT NULL, 
	partner_id BIGINT NOT NULL, 
	warehouse_id INTEGER NOT NULL, 
	currency CHAR(3) NOT NULL, 
	fx_rate NUMERIC(24, 12) DEFAULT '1' NOT NULL, 
	supplier_ref TEXT, 
	ordered_on DATE NOT NULL, 
	expected_on DATE NOT NULL, 
	subtotal NUMERIC(20, 4) DEFAULT '0' NOT NULL, 
	tax_total NUMERIC(20, 4) DEFAULT '0' NOT NULL, 
	total NUMERIC(20, 4) DEFAULT '0' NOT NULL, 
	version INTEGER DEFAULT '1' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	confirmed_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_purchase_order PRIMARY KEY (id), 
	CONSTRAINT uq_purchase_order_company_id_number UNIQUE (company_id, number), 
	CONSTRAINT uq_purchase_order_owner UNIQUE (id, company_id, partner_id), 
	CONSTRAINT uq_purchase_order_owner_currency UNIQUE (id, company_id, partner_id, currency), 
	CONSTRAINT fk_purchase_order_warehouse FOREIGN KEY(warehouse_id, company_id) REFERENCES warehouse (id, company_id), 
	CONSTRAINT ck_purchase_order_state CHECK (state in ('DRAFT', 'SENT', 'TO_APPROVE', 'CONFIRMED', 'FULFILLED', 'CANCELED')), 
	CONSTRAINT ck_purchase_order_receipt_status CHECK (receipt_status in ('NONE', 'PARTIAL', 'RECEIVED')), 
	CONSTRAINT ck_purchase_order_expected_on CHECK (expected_on >= ordered_on), 
	CONSTRAINT ck_purchase_order_total CHECK (total = subtotal + tax_total), 
	CONSTRAINT fk_purchase_order_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_purchase_order_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id), 
	CONSTRAINT fk_purchase_order_currency FOREIGN KEY(currency) REFERENCES currency (code)
);
CREATE INDEX ix_purchase_order_expected_on ON purchase_order (company_id, expected_on, id);
CREATE INDEX ix_purchase_order_open ON purchase_order (company_id, expected_on, id) WHERE state = 'CONFIRMED' and receipt_status <> 'RECEIVED';
CREATE INDEX ix_purchase_order_ordered_on ON purchase_order (company_id, ordered_on, id);
CREATE INDEX ix_purchase_order_partner ON purchase_order (partner_id, company_id, ordered_on, id);
CREATE INDEX ix_purchase_order_receipt ON purchase_order (company_id, receipt_status, ordered_on, id);
CREATE INDEX ix_purchase_order_state ON purchase_order (company_id, state, ordered_on, id);
CREATE INDEX ix_purchase_order_supplier_ref ON purchase_order (company_id, supplier_ref) WHERE supplier_ref is not null;
CREATE INDEX ix_purchase_order_warehouse ON purchase_order (warehouse_id, ordered_on, id);
COMMENT ON TABLE purchase_order IS 'An order to a supplier.';
CREATE TABLE goods_receipt (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	number TEXT NOT NULL, 
	order_id BIGINT NOT NULL, 
	partner_id BIGINT NOT NULL, 
	warehouse_id INTEGER NOT NULL, 
	delivery_note TEXT, 
	received_on DATE NOT NULL, 
	posted_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	posted_by TEXT NOT NULL, 
	CONSTRAINT pk_goods_receipt PRIMARY KEY (id), 
	CONSTRAINT uq_goods_receipt_company_id_number UNIQUE (company_id, number), 
	CONSTRAINT uq_goods_receipt_owner UNIQUE (id, company_id, partner_id), 
	CONSTRAINT fk_goods_receipt_order FOREIGN KEY(order_id, company_id, partner_id) REFERENCES purchase_order (id, company_id, partner_id), 
	CONSTRAINT fk_goods_receipt_warehouse FOREIGN KEY(warehouse_id, company_id) REFERENCES warehouse (id, company_id), 
	CONSTRAINT fk_goods_receipt_company_id FOREIGN KEY(company_id) REFERENCES company (id)
);
CREATE INDEX ix_goods_receipt_order ON goods_receipt (order_id, id);
CREATE INDEX ix_goods_receipt_partner ON goods_receipt (partner_id, company_id, received_on, id);
CREATE INDEX ix_goods_receipt_received_on ON goods_receipt (company_id, received_on, id);
CREATE INDEX ix_goods_receipt_warehouse ON goods_receipt (warehouse_id, received_on, id);
COMMENT ON TABLE goods_receipt IS 'What arrived of an order in one delivery; never changed.';
CREATE TABLE purchase_order_line (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	partner_id BIGINT NOT NULL, 
	order_id BIGINT NOT NULL, 
	position INTEGER NOT NULL, 
	product_id BIGINT NOT NULL, 
	supplier_sku TEXT, 
	description TEXT NOT NULL, 
	uom_id INTEGER NOT NULL, 
	currency CHAR(3) NOT NULL, 
	quantity NUMERIC(18, 4) NOT NULL, 
	unit_price NUMERIC(20, 6) NOT NULL, 
	net NUMERIC(20, 4) NOT NULL, 
	tax NUMERIC(20, 4) DEFAULT '0' NOT NULL, 
	expected_on DATE NOT NULL, 
	received NUMERIC(18, 4) DEFAULT '0' NOT NULL, 
	canceled NUMERIC(18, 4) DEFAULT '0' NOT NULL, 
	over_receipt_percent NUMERIC(7, 4) DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_purchase_order_line PRIMARY KEY (id), 
	CONSTRAINT fk_purchase_order_line_order FOREIGN KEY(order_id, company_id, partner_id, currency) REFERENCES purchase_order (id, company_id, partner_id, currency) ON UPDATE CASCADE, 
	CONSTRAINT uq_purchase_order_line_order_id_position UNIQUE (order_id, position), 
	CONSTRAINT uq_purchase_order_line_owner UNIQUE (id, company_id, partner_id, product_id), 
	CONSTRAINT ck_purchase_order_line_quantity CHECK (quantity > 0), 
	CONSTRAINT ck_purchase_order_line_unit_price CHECK (unit_price >= 0), 
	CONSTRAINT ck_purchase_order_line_not_negative CHECK (received >= 0 and canceled >= 0), 
	CONSTRAINT ck_purchase_order_line_not_over_canceled CHECK (canceled <= quantity), 
	CONSTRAINT ck_purchase_order_line_over_receipt_percent CHECK (over_receipt_percent between 0 and 100), 
	CONSTRAINT ck_purchase_order_line_not_over_received CHECK (received * 100 <= (quantity - canceled) * (100 + over_receipt_percent)), 
	CONSTRAINT fk_purchase_order_line_product_id FOREIGN KEY(product_id) REFERENCES product (id), 
	CONSTRAINT fk_purchase_order_line_uom_id FOREIGN KEY(uom_id) REFERENCES unit_of_measure (id), 
	CONSTRAINT fk_purchase_order_line_currency FOREIGN KEY(currency) REFERENCES currency (code)
);
CREATE INDEX ix_purchase_order_line_product ON purchase_order_line (product_id, company_id);
COMMENT ON TABLE purchase_order_line IS 'One product on an order to a supplier: how much, at which price, and what came.';
CREATE TABLE goods_receipt_line (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	partner_id BIGINT NOT NULL, 
	receipt_id BIGINT NOT NULL, 
	position INTEGER NOT NULL, 
	order_line_id BIGINT NOT NULL, 
	product_id BIGINT NOT NULL, 
	quantity NUMERIC(18, 4) NOT NULL, 
	rejected NUMERIC(18, 4) DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_goods_receipt_line PRIMARY KEY (id), 
	CONSTRAINT fk_goods_receipt_line_receipt FOREIGN KEY(receipt_id, company_id, partner_id) REFERENCES goods_receipt (id, company_id, partner_id), 
	CONSTRAINT fk_goods_receipt_line_order_line FOREIGN KEY(order_line_id, company_id, partner_id, product_id) REFERENCES purchase_order_line (id, company_id, partner_id, product_id), 
	CONSTRAINT uq_goods_receipt_line_receipt_id_position UNIQUE (receipt_id, position), 
	CONSTRAINT ck_goods_receipt_line_quantity CHECK (quantity > 0), 
	CONSTRAINT ck_goods_receipt_line_rejected CHECK (rejected between 0 and quantity)
);
CREATE INDEX ix_goods_receipt_line_order_line ON goods_receipt_line (order_line_id);
COMMENT ON TABLE goods_receipt_line IS 'How much of one line of an order arrived in a delivery; never changed.';
create function purchase_order_line_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  perform from purchase_order where id in (select order_id from changed) order by id for no key update;

  merge into incoming_stock i using (
    select l.id, l.company_id, l.product_id, o.warehouse_id, l.expected_on,
           case when o.state = 'CONFIRMED' then greatest(l.quantity - l.received - l.canceled, 0)
                else 0 end as outstanding
    from purchase_order_line l join purchase_order o on o.id = l.order_id
    where l.id in (select id from changed)
  ) l on i.source = 'PURCHASE_ORDER_LINE' and i.source_id = l.id
  when matched and l.outstanding = 0 then delete
  when matched and (i.product_id, i.warehouse_id, i.expected_on, i.quantity)
      is distinct from (l.product_id, l.warehouse_id, l.expected_on, l.outstanding) then
    update set product_id = l.product_id, warehouse_id = l.warehouse_id,
               expected_on = l.expected_on, quantity = l.outstanding
  when not matched and l.outstanding > 0 then
    insert (company_id, product_id, warehouse_id, expected_on, quantity, source, source_id)
    values (l.company_id, l.product_id, l.warehouse_id, l.expected_on, l.outstanding,
            'PURCHASE_ORDER_LINE', l.id);

  return null;
end $$;
create trigger purchase_order_line_inserted after insert on purchase_order_line
  referencing new table as changed for each statement execute function purchase_order_line_changed();
create trigger purchase_order_line_updated after update on purchase_order_line
  referencing new table as changed for each statement execute function purchase_order_line_changed();
create function purchase_order_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin

  merge into incoming_stock i using (
    select l.id, l.company_id, l.product_id, o.warehouse_id, l.expected_on,
           case when o.state = 'CONFIRMED' then greatest(l.quantity - l.received - l.canceled, 0)
                else 0 end as outstanding
    from purchase_order_line l join purchase_order o on o.id = l.order_id
    where l.order_id in (
        select n.id from changed n join before b on b.id = n.id
        where (n.state, n.warehouse_id) is distinct from (b.state, b.warehouse_id))
  ) l on i.source = 'PURCHASE_ORDER_LINE' and i.source_id = l.id
  when matched and l.outstanding = 0 then delete
  when matched and (i.product_id, i.warehouse_id, i.expected_on, i.quantity)
      is distinct from (l.product_id, l.warehouse_id, l.expected_on, l.outstanding) then
    update set product_id = l.product_id, warehouse_id = l.warehouse_id,
               expected_on = l.expected_on, quantity = l.outstanding
  when not matched and l.outstanding > 0 then
    insert (company_id, product_id, warehouse_id, expected_on, quantity, source, source_id)
    values (l.company_id, l.product_id, l.warehouse_id, l.expected_on, l.outstanding,
            'PURCHASE_ORDER_LINE', l.id);

  return null;
end $$;
create trigger purchase_order_updated after update on purchase_order
  referencing old table as before new table as changed
  for each statement execute function purchase_order_changed();
alter table supplier_offer enable row level security;
create policy staff on supplier_offer to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on supplier_offer to erp_app;
grant select on supplier_offer to erp_partner;
create policy partner on supplier_offer for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
alter table purchase_order enable row level security;
create policy staff on purchase_order to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on purchase_order to erp_app;
grant select on purchase_order to erp_partner;
create policy partner on purchase_order for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
alter table goods_receipt enable row level security;
create policy staff on goods_receipt to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert on goods_receipt to erp_app;
grant select on goods_receipt to erp_partner;
create policy partner on goods_receipt for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
alter table purchase_order_line enable row level security;
create policy staff on purchase_order_line to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on purchase_order_line to erp_app;
grant select on purchase_order_line to erp_partner;
create policy partner on purchase_order_line for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
alter table goods_receipt_line enable row level security;
create policy staff on goods_receipt_line to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert on goods_receipt_line to erp_app;
grant select on goods_receipt_line to erp_partner;
create policy partner on goods_receipt_line for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
