CREATE TABLE fulfillment_step (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	partner_id BIGINT NOT NULL, 
	order_id BIGINT NOT NULL, 
	step TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	state TEXT DEFAULT 'PENDING' NOT NULL, 
	attempts INTEGER DEFAULT '0' NOT NULL, 
	last_error TEXT, 
	finished_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_fulfillment_step PRIMARY KEY (id), 
	CONSTRAINT uq_fulfillment_step_order_id_step UNIQUE (order_id, step), 
	CONSTRAINT ck_fulfillment_step_step CHECK (step in ('RESERVE', 'PICK', 'PACK', 'LABEL', 'SHIP')), 
	CONSTRAINT ck_fulfillment_step_state CHECK (state in ('PENDING', 'DONE', 'FAILED')), 
	CONSTRAINT ck_fulfillment_step_attempts CHECK (attempts >= 0), 
	CONSTRAINT ck_fulfillment_step_finished_at CHECK (finished_at is null or state = 'DONE'), 
	CONSTRAINT fk_fulfillment_step_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_fulfillment_step_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id), 
	CONSTRAINT fk_fulfillment_step_order_id FOREIGN KEY(order_id) REFERENCES sales_order (id) DEFERRABLE INITIALLY IMMEDIATE
);
CREATE INDEX ix_fulfillment_step_order ON fulfillment_step (order_id, position, id);
COMMENT ON TABLE fulfillment_step IS 'One step of the work on an order; kept for a while after it is done.';
CREATE TABLE shipment (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	number TEXT NOT NULL, 
	order_id BIGINT NOT NULL, 
	partner_id BIGINT NOT NULL, 
	warehouse_id INTEGER NOT NULL, 
	ship_to_id BIGINT, 
	state TEXT DEFAULT 'PLANNED' NOT NULL, 
	planned_on DATE NOT NULL, 
	shipped_at TIMESTAMP WITH TIME ZONE, 
	delivered_on DATE, 
	carrier TEXT, 
	tracking_no TEXT, 
	version INTEGER DEFAULT '1' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_shipment PRIMARY KEY (id), 
	CONSTRAINT uq_shipment_company_id_number UNIQUE (company_id, number), 
	CONSTRAINT uq_shipment_owner UNIQUE (id, company_id, partner_id), 
	CONSTRAINT ck_shipment_state CHECK (state in ('PLANNED', 'PICKING', 'PACKED', 'SHIPPED', 'DELIVERED', 'CANCELED')), 
	CONSTRAINT ck_shipment_shipped_at CHECK (shipped_at is not null or state <> 'SHIPPED' and state <> 'DELIVERED'), 
	CONSTRAINT ck_shipment_delivered_on CHECK (delivered_on is null or state = 'DELIVERED'), 
	CONSTRAINT fk_shipment_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_shipment_order_id FOREIGN KEY(order_id) REFERENCES sales_order (id) DEFERRABLE INITIALLY IMMEDIATE, 
	CONSTRAINT fk_shipment_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id), 
	CONSTRAINT fk_shipment_warehouse_id FOREIGN KEY(warehouse_id) REFERENCES warehouse (id), 
	CONSTRAINT fk_shipment_ship_to_id FOREIGN KEY(ship_to_id) REFERENCES partner_address (id)
);
CREATE INDEX ix_shipment_order ON shipment (order_id, id);
CREATE INDEX ix_shipment_partner ON shipment (partner_id, company_id, planned_on, id);
CREATE INDEX ix_shipment_planned_on ON shipment (company_id, planned_on, id);
CREATE INDEX ix_shipment_state ON shipment (company_id, state, planned_on, id);
CREATE INDEX ix_shipment_tracking_no ON shipment (company_id, tracking_no) WHERE tracking_no is not null;
CREATE INDEX ix_shipment_warehouse ON shipment (warehouse_id, planned_on, id);
CREATE INDEX ix_shipment_work ON shipment (company_id, planned_on, id) WHERE state in ('PLANNED', 'PICKING', 'PACKED');
COMMENT ON TABLE shipment IS 'What leaves a warehouse for an order at once.';
CREATE TABLE package (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	partner_id BIGINT NOT NULL, 
	shipment_id BIGINT NOT NULL, 
	position INTEGER NOT NULL, 
	tracking_no TEXT, 
	CONSTRAINT pk_package PRIMARY KEY (id), 
	CONSTRAINT uq_package_shipment_id_position UNIQUE (shipment_id, position), 
	CONSTRAINT fk_package_shipment FOREIGN KEY(shipment_id, company_id, partner_id) REFERENCES shipment (id, company_id, partner_id)
);
COMMENT ON TABLE package IS 'A parcel of a shipment.';
CREATE TABLE shipment_line (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	partner_id BIGINT NOT NULL, 
	shipment_id BIGINT NOT NULL, 
	position INTEGER NOT NULL, 
	order_line_id BIGINT NOT NULL, 
	product_id BIGINT NOT NULL, 
	quantity NUMERIC(18, 4) NOT NULL, 
	picked NUMERIC(18, 4) DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_shipment_line PRIMARY KEY (id), 
	CONSTRAINT uq_shipment_line_shipment_id_position UNIQUE (shipment_id, position), 
	CONSTRAINT fk_shipment_line_shipment FOREIGN KEY(shipment_id, company_id, partner_id) REFERENCES shipment (id, company_id, partner_id), 
	CONSTRAINT ck_shipment_line_quantity CHECK (quantity > 0), 
	CONSTRAINT ck_shipment_line_picked CHECK (picked between 0 and quantity), 
	CONSTRAINT fk_shipment_line_order_line_id FOREIGN KEY(order_line_id) REFERENCES sales_order_line (id) DEFERRABLE INITIALLY IMMEDIATE, 
	CONSTRAINT fk_shipment_line_product_id FOREIGN KEY(product_id) REFERENCES product (id)
);
CREATE INDEX ix_shipment_line_order_line ON shipment_line (order_line_id, id);
COMMENT ON TABLE shipment_line IS 'How much of an order line is in a shipment.';
alter table fulfillment_step enable row level security;
create policy staff on fulfillment_step to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on fulfillment_step to erp_app;
grant select on fulfillment_step to erp_partner;
create policy partner on fulfillment_step for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
alter table shipment enable row level security;
create policy staff on shipment to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on shipment to erp_app;
grant select on shipment to erp_partner;
create policy partner on shipment for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
alter table package enable row level security;
create policy staff on package to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on package to erp_app;
grant select on package to erp_partner;
create policy partner on package for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
alter table shipment_line enable row level security;
create policy staff on shipment_line to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on shipment_line to erp_app;
grant select on shipment_line to erp_partner;
create policy partner on shipment_line for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
