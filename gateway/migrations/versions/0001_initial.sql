do $$
begin
  if not exists (select from pg_roles where rolname = 'erp_app') then
    create role erp_app login noinherit;
  end if;
  if not exists (select from pg_roles where rolname = 'erp_partner') then
    create role erp_partner nologin;
  end if;
exception when duplicate_object or unique_violation then null;  -- another database's migration was faster
end $$;
do $$
begin
  if current_setting('server_version_num')::int < 160000 then
    grant erp_partner to erp_app;
  else
    execute 'grant erp_partner to erp_app with inherit false';
  end if;
end $$;
grant usage on schema public to erp_app, erp_partner;
create function erp_uuid7() returns uuid language sql volatile parallel safe as $$
  -- RFC 9562, version 7: 48 bits of Unix milliseconds, then random bits
  select encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
           placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
           from 1 for 6), 52, 1), 53, 1), 'hex')::uuid
$$;
CREATE TABLE app_user (
	id INTEGER GENERATED ALWAYS AS IDENTITY, 
	email TEXT NOT NULL, 
	display_name TEXT NOT NULL, 
	locale TEXT DEFAULT 'en' NOT NULL, 
	archived_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_app_user PRIMARY KEY (id)
);
CREATE UNIQUE INDEX uq_app_user_email ON app_user (lower(email)) WHERE archived_at is null;
COMMENT ON TABLE app_user IS 'A person who signs in.';
CREATE TABLE currency (
	code CHAR(3) NOT NULL, 
	name TEXT NOT NULL, 
	digits SMALLINT NOT NULL, 
	symbol TEXT, 
	archived_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_currency PRIMARY KEY (code), 
	CONSTRAINT ck_currency_code CHECK (code ~ '^[A-Z]{3}$'), 
	CONSTRAINT ck_currency_digits CHECK (digits between 0 and 4)
);
COMMENT ON TABLE currency IS 'A currency by its ISO 4217 code; digits is its number of minor units.';
CREATE TABLE outbox_counter (
	"only" INTEGER DEFAULT '1' NOT NULL, 
	last_seq BIGINT DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_outbox_counter PRIMARY KEY ("only")
);
COMMENT ON TABLE outbox_counter IS 'The last place given in the published log; one row.';
CREATE TABLE outbox_event (
	id UUID DEFAULT erp_uuid7() NOT NULL, 
	company_id INTEGER NOT NULL, 
	topic TEXT NOT NULL, 
	entity TEXT NOT NULL, 
	entity_id BIGINT NOT NULL, 
	payload JSONB NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	written_seq BIGINT GENERATED ALWAYS AS IDENTITY, 
	pub_seq BIGINT, 
	published_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_outbox_event PRIMARY KEY (id), 
	CONSTRAINT uq_outbox_event_pub_seq UNIQUE (pub_seq)
);
CREATE INDEX ix_outbox_event_company_log ON outbox_event (company_id, topic, pub_seq);
CREATE INDEX ix_outbox_event_unpublished ON outbox_event (written_seq) WHERE pub_seq is null;
COMMENT ON TABLE outbox_event IS 'One event, born in the transaction that changed what it tells of.';
CREATE TABLE partner (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	code TEXT NOT NULL, 
	name TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	is_customer BOOLEAN DEFAULT 'false' NOT NULL, 
	is_supplier BOOLEAN DEFAULT 'false' NOT NULL, 
	tax_id TEXT, 
	email TEXT, 
	phone TEXT, 
	language TEXT, 
	version INTEGER DEFAULT '1' NOT NULL, 
	archived_at TIMESTAMP WITH TIME ZONE, 
	search TSVECTOR GENERATED ALWAYS AS (to_tsvector('simple', regexp_replace(code || ' ' || name || ' ' || coalesce(email, '') || ' ' || coalesce(tax_id, ''), '[\u0001-/:-@\u005b-\u0060\u007b-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7\u2000-\u206f\u20a0-\u20cf\u2120-\u2122\u2190-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\u3030\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]+', ' ', 'g'))) STORED, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_partner PRIMARY KEY (id), 
	CONSTRAINT ck_partner_kind CHECK (kind in ('ORGANIZATION', 'PERSON'))
);
CREATE INDEX ix_partner_customers ON partner (name, id) WHERE archived_at is null and is_customer;
CREATE INDEX ix_partner_name ON partner (name, id) WHERE archived_at is null;
CREATE INDEX ix_partner_search ON partner USING gin (search);
CREATE INDEX ix_partner_suppliers ON partner (name, id) WHERE archived_at is null and is_supplier;
CREATE INDEX ix_partner_tax_id ON partner (tax_id) WHERE tax_id is not null;
CREATE UNIQUE INDEX uq_partner_code ON partner (code) WHERE archived_at is null;
COMMENT ON TABLE partner IS 'A person or organisation we deal with; shared by all companies of the database.';
CREATE TABLE payment_term (
	id INTEGER GENERATED ALWAYS AS IDENTITY, 
	code TEXT NOT NULL, 
	name TEXT NOT NULL, 
	net_days INTEGER NOT NULL, 
	CONSTRAINT pk_payment_term PRIMARY KEY (id), 
	CONSTRAINT ck_payment_term_net_days CHECK (net_days between 0 and 365), 
	CONSTRAINT uq_payment_term_code UNIQUE (code)
);
COMMENT ON TABLE payment_term IS 'When an invoice is due.';
CREATE TABLE product_category (
	id INTEGER GENERATED ALWAYS AS IDENTITY, 
	parent_id INTEGER, 
	code TEXT NOT NULL, 
	name TEXT NOT NULL, 
	path TEXT NOT NULL, 
	archived_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_product_category PRIMARY KEY (id), 
	CONSTRAINT ck_product_category_path CHECK (path ~ '^/([^/]+/)+$'), 
	CONSTRAINT fk_product_category_parent_id FOREIGN KEY(parent_id) REFERENCES product_category (id), 
	CONSTRAINT uq_product_category_code UNIQUE (code)
);
CREATE INDEX ix_product_category_parent_id ON product_category (parent_id);
CREATE INDEX ix_product_category_path ON product_category (path text_pattern_ops);
COMMENT ON TABLE product_category IS 'A node of the product tree; path is /parent/child/ by codes.';
CREATE TABLE revoked_token (
	jti TEXT NOT NULL, 
	expires_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_revoked_token PRIMARY KEY (jti)
);
COMMENT ON TABLE revoked_token IS 'A token withdrawn before it expired.';
CREATE TABLE role (
	id INTEGER GENERATED ALWAYS AS IDENTITY, 
	code TEXT NOT NULL, 
	name TEXT NOT NULL, 
	CONSTRAINT pk_role PRIMARY KEY (id), 
	CONSTRAINT uq_role_code UNIQUE (code)
);
COMMENT ON TABLE role IS 'A named set of permissions.';
CREATE TABLE unit_of_measure (
	id INTEGER GENERATED ALWAYS AS IDENTITY, 
	code TEXT NOT NULL, 
	name TEXT NOT NULL, 
	dimension TEXT NOT NULL, 
	factor NUMERIC(24, 12) NOT NULL, 
	rounding NUMERIC(24, 12) NOT NULL, 
	is_reference BOOLEAN DEFAULT 'false' NOT NULL, 
	CONSTRAINT pk_unit_of_measure PRIMARY KEY (id), 
	CONSTRAINT ck_unit_of_measure_factor CHECK (factor > 0), 
	CONSTRAINT ck_unit_of_measure_rounding CHECK (rounding > 0), 
	CONSTRAINT uq_unit_of_measure_code UNIQUE (code)
);
CREATE UNIQUE INDEX uq_unit_of_measure_reference ON unit_of_measure (dimension) WHERE is_reference;
COMMENT ON TABLE unit_of_measure IS 'A unit; factor converts it to the reference unit of its dimension.';
CREATE TABLE company (
	id INTEGER GENERATED ALWAYS AS IDENTITY, 
	code TEXT NOT NULL, 
	name TEXT NOT NULL, 
	country CHAR(2) NOT NULL, 
	tax_id TEXT, 
	currency CHAR(3) NOT NULL, 
	tax_rounding TEXT DEFAULT 'DOCUMENT' NOT NULL, 
	lock_date DATE, 
	archived_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_company PRIMARY KEY (id), 
	CONSTRAINT ck_company_tax_rounding CHECK (tax_rounding in ('LINE', 'DOCUMENT')), 
	CONSTRAINT uq_company_code UNIQUE (code), 
	CONSTRAINT fk_company_currency FOREIGN KEY(currency) REFERENCES currency (code)
);
COMMENT ON TABLE company IS 'A company: the tenant that owns rows.';
CREATE TABLE partner_address (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	partner_id BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	line1 TEXT NOT NULL, 
	line2 TEXT, 
	city TEXT NOT NULL, 
	region TEXT, 
	postal_code TEXT, 
	country CHAR(2) NOT NULL, 
	is_default BOOLEAN DEFAULT 'false' NOT NULL, 
	archived_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_partner_address PRIMARY KEY (id), 
	CONSTRAINT ck_partner_address_kind CHECK (kind in ('BILLING', 'SHIPPING', 'OTHER')), 
	CONSTRAINT fk_partner_address_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id)
);
CREATE INDEX ix_partner_address_partner_id ON partner_address (partner_id, id);
CREATE UNIQUE INDEX uq_partner_address_default ON partner_address (partner_id, kind) WHERE is_default and archived_at is null;
COMMENT ON TABLE partner_address IS 'Where a partner is billed or shipped to.';
CREATE TABLE product (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	sku TEXT NOT NULL, 
	name TEXT NOT NULL, 
	description TEXT, 
	barcode TEXT, 
	kind TEXT DEFAULT 'GOODS' NOT NULL, 
	tracking TEXT DEFAULT 'NONE' NOT NULL, 
	category_id INTEGER NOT NULL, 
	uom_id INTEGER NOT NULL, 
	attributes JSONB DEFAULT '{}' NOT NULL, 
	list_price NUMERIC(20, 6) DEFAULT '0' NOT NULL, 
	list_currency CHAR(3) NOT NULL, 
	weight_kg NUMERIC(12, 4), 
	replaced_by_id BIGINT, 
	version INTEGER DEFAULT '1' NOT NULL, 
	archived_at TIMESTAMP WITH TIME ZONE, 
	search TSVECTOR GENERATED ALWAYS AS (to_tsvector('simple', regexp_replace(sku || ' ' || name || ' ' || coalesce(barcode, ''), '[\u0001-/:-@\u005b-\u0060\u007b-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7\u2000-\u206f\u20a0-\u20cf\u2120-\u2122\u2190-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\u3030\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]+', ' ', 'g'))) STORED, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_product PRIMARY KEY (id), 
	CONSTRAINT ck_product_kind CHECK (kind in ('GOODS', 'SERVICE')), 
	CONSTRAINT ck_product_tracking CHECK (tracking in ('NONE', 'LOT', 'SERIAL')), 
	CONSTRAINT ck_product_list_price CHECK (list_price >= 0), 
	CONSTRAINT fk_product_category_id FOREIGN KEY(category_id) REFERENCES product_category (id), 
	CONSTRAINT fk_product_uom_id FOREIGN KEY(uom_id) REFERENCES unit_of_measure (id), 
	CONSTRAINT fk_product_list_currency FOREIGN KEY(list_currency) REFERENCES currency (code), 
	CONSTRAINT fk_product_replaced_by_id FOREIGN KEY(replaced_by_id) REFERENCES product (id)
);
CREATE INDEX ix_product_category_sku ON product (category_id, sku, id) WHERE archived_at is null;
CREATE INDEX ix_product_kind ON product (kind, sku, id) WHERE archived_at is null;
CREATE INDEX ix_product_name ON product (name, id) WHERE archived_at is null;
CREATE INDEX ix_product_search ON product USING gin (search);
CREATE INDEX ix_product_sku ON product (sku, id);
CREATE UNIQUE INDEX uq_product_barcode ON product (barcode) WHERE barcode is not null and archived_at is null;
CREATE UNIQUE INDEX uq_product_sku ON product (sku) WHERE archived_at is null;
COMMENT ON TABLE product IS 'What is bought, stocked and sold, by its SKU; shared by all companies of the database.';
CREATE TABLE role_permission (
	role_id INTEGER NOT NULL, 
	permission TEXT NOT NULL, 
	CONSTRAINT pk_role_permission PRIMARY KEY (role_id, permission), 
	CONSTRAINT fk_role_permission_role_id FOREIGN KEY(role_id) REFERENCES role (id)
);
COMMENT ON TABLE role_permission IS 'A permission that a role carries.';
CREATE TABLE api_client (
	id INTEGER GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	partner_id BIGINT, 
	code TEXT NOT NULL, 
	name TEXT NOT NULL, 
	key_prefix TEXT NOT NULL, 
	key_hash BYTEA NOT NULL, 
	permissions TEXT[] NOT NULL, 
	cost_per_second INTEGER DEFAULT '100' NOT NULL, 
	cost_bucket INTEGER DEFAULT '2000' NOT NULL, 
	revoked_at TIMESTAMP WITH TIME ZONE, 
	archived_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_api_client PRIMARY KEY (id), 
	CONSTRAINT ck_api_client_key_hash CHECK (octet_length(key_hash) = 32), 
	CONSTRAINT fk_api_client_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_api_client_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id), 
	CONSTRAINT uq_api_client_code UNIQUE (code), 
	CONSTRAINT uq_api_client_key_prefix UNIQUE (key_prefix)
);
CREATE INDEX ix_api_client_company_id ON api_client (company_id);
COMMENT ON TABLE api_client IS 'A program that calls with an API key, stored as its SHA-256; bound to a partner or not.';
CREATE TABLE audit_log (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	company_id INTEGER NOT NULL, 
	actor TEXT NOT NULL, 
	request_id TEXT, 
	operation TEXT NOT NULL, 
	entity TEXT NOT NULL, 
	entity_id BIGINT NOT NULL, 
	action TEXT NOT NULL, 
	diff JSONB, 
	CONSTRAINT pk_audit_log PRIMARY KEY (id), 
	CONSTRAINT fk_audit_log_company_id FOREIGN KEY(company_id) REFERENCES company (id)
);
CREATE INDEX ix_audit_log_entity ON audit_log (company_id, entity, entity_id, id);
COMMENT ON TABLE audit_log IS 'One change of one object: who, in which request, what before and after.';
CREATE TABLE idempotency_key (
	company_id INTEGER NOT NULL, 
	actor TEXT NOT NULL, 
	key TEXT NOT NULL, 
	operation TEXT NOT NULL, 
	request_hash BYTEA NOT NULL, 
	response JSONB, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_idempotency_key PRIMARY KEY (company_id, actor, key), 
	CONSTRAINT ck_idempotency_key_key_length CHECK (length(key) between 1 and 200), 
	CONSTRAINT fk_idempotency_key_company_id FOREIGN KEY(company_id) REFERENCES company (id)
);
CREATE INDEX ix_idempotency_key_created_at ON idempotency_key (created_at);
COMMENT ON TABLE idempotency_key IS 'The first request made with a key and the answer it got.';
CREATE TABLE price_list (
	id INTEGER GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER, 
	code TEXT NOT NULL, 
	name TEXT NOT NULL, 
	currency CHAR(3) NOT NULL, 
	archived_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_price_list PRIMARY KEY (id), 
	CONSTRAINT fk_price_list_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT uq_price_list_code UNIQUE (code), 
	CONSTRAINT fk_price_list_currency FOREIGN KEY(currency) REFERENCES currency (code)
);
CREATE INDEX ix_price_list_company_id ON price_list (company_id, code, id);
COMMENT ON TABLE price_list IS 'Prices in one currency; a list without a company serves all of them.';
CREATE TABLE product_company (
	product_id BIGINT NOT NULL, 
	company_id INTEGER NOT NULL, 
	standard_cost NUMERIC(20, 6), 
	sale_ok BOOLEAN DEFAULT 'true' NOT NULL, 
	purchase_ok BOOLEAN DEFAULT 'true' NOT NULL, 
	CONSTRAINT pk_product_company PRIMARY KEY (product_id, company_id), 
	CONSTRAINT ck_product_company_standard_cost CHECK (standard_cost >= 0), 
	CONSTRAINT fk_product_company_product_id FOREIGN KEY(product_id) REFERENCES product (id), 
	CONSTRAINT fk_product_company_company_id FOREIGN KEY(company_id) REFERENCES company (id)
);
COMMENT ON TABLE product_company IS 'What a company keeps about a product for itself.';
CREATE TABLE user_role (
	user_id INTEGER NOT NULL, 
	company_id INTEGER NOT NULL, 
	role_id INTEGER NOT NULL, 
	CONSTRAINT pk_user_role PRIMARY KEY (user_id, company_id, role_id), 
	CONSTRAINT fk_user_role_user_id FOREIGN KEY(user_id) REFERENCES app_user (id), 
	CONSTRAINT fk_user_role_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_user_role_role_id FOREIGN KEY(role_id) REFERENCES role (id)
);
CREATE INDEX ix_user_role_company_id ON user_role (company_id, user_id);
COMMENT ON TABLE user_role IS 'A role a user holds in a company.';
CREATE TABLE warehouse (
	id INTEGER GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	code TEXT NOT NULL, 
	name TEXT NOT NULL, 
	priority SMALLINT DEFAULT '1' NOT NULL, 
	region TEXT, 
	negative_stock BOOLEAN DEFAULT 'false' NOT NULL, 
	archived_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_warehouse PRIMARY KEY (id), 
	CONSTRAINT uq_warehouse_company_id_code UNIQUE (company_id, code), 
	CONSTRAINT uq_warehouse_owner UNIQUE (id, company_id), 
	CONSTRAINT fk_warehouse_company_id FOREIGN KEY(company_id) REFERENCES company (id)
);
COMMENT ON TABLE warehouse IS 'A site that holds stock.';
CREATE TABLE partner_company (
	partner_id BIGINT NOT NULL, 
	company_id INTEGER NOT NULL, 
	credit_limit NUMERIC(20, 4), 
	payment_term_id INTEGER, 
	price_list_id INTEGER, 
	blocked_at TIMESTAMP WITH TIME ZONE, 
	block_reason TEXT, 
	CONSTRAINT pk_partner_company PRIMARY KEY (partner_id, company_id), 
	CONSTRAINT ck_partner_company_credit_limit CHECK (credit_limit >= 0), 
	CONSTRAINT fk_partner_company_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id), 
	CONSTRAINT fk_partner_company_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_partner_company_payment_term_id FOREIGN KEY(payment_term_id) REFERENCES payment_term (id), 
	CONSTRAINT fk_partner_company_price_list_id FOREIGN KEY(price_list_id) REFERENCES price_list (id)
);
CREATE INDEX ix_partner_company_company_id ON partner_company (company_id, partner_id);
COMMENT ON TABLE partner_company IS 'The terms a company has with a partner.';
CREATE TABLE price_list_item (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER, 
	price_list_id INTEGER NOT NULL, 
	scope TEXT NOT NULL, 
	product_id BIGINT, 
	category_id INTEGER, 
	min_quantity NUMERIC(18, 4) DEFAULT '0' NOT NULL, 
	valid_from DATE DEFAULT '-infinity' NOT NULL, 
	valid_to DATE DEFAULT 'infinity' NOT NULL, 
	method TEXT NOT NULL, 
	fixed_price NUMERIC(20, 6), 
	discount_percent NUMERIC(7, 4), 
	archived_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_price_list_item PRIMARY KEY (id), 
	CONSTRAINT ck_price_list_item_scope CHECK (scope in ('PRODUCT', 'CATEGORY', 'ALL')), 
	CONSTRAINT ck_price_list_item_method CHECK (method in ('FIXED', 'DISCOUNT')), 
	CONSTRAINT ck_price_list_item_product CHECK ((scope = 'PRODUCT') = (product_id is not null)), 
	CONSTRAINT ck_price_list_item_category CHECK ((scope = 'CATEGORY') = (category_id is not null)), 
	CONSTRAINT ck_price_list_item_fixed_price CHECK ((method = 'FIXED') = (fixed_price is not null)), 
	CONSTRAINT ck_price_list_item_discount CHECK ((method = 'DISCOUNT') = (discount_percent is not null)), 
	CONSTRAINT ck_price_list_item_fixed_for_product CHECK (method <> 'FIXED' or scope = 'PRODUCT'), 
	CONSTRAINT ck_price_list_item_not_negative CHECK (fixed_price >= 0), 
	CONSTRAINT ck_price_list_item_percent CHECK (discount_percent between 0 and 100), 
	CONSTRAINT ck_price_list_item_validity CHECK (valid_to > valid_from), 
	CONSTRAINT fk_price_list_item_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_price_list_item_price_list_id FOREIGN KEY(price_list_id) REFERENCES price_list (id), 
	CONSTRAINT fk_price_list_item_product_id FOREIGN KEY(product_id) REFERENCES product (id), 
	CONSTRAINT fk_price_list_item_category_id FOREIGN KEY(category_id) REFERENCES product_category (id)
);
CREATE INDEX ix_price_list_item_general ON price_list_item (price_list_id) WHERE scope <> 'PRODUCT' and archived_at is null;
CREATE INDEX ix_price_list_item_list ON price_list_item (price_list_id, id) WHERE archived_at is null;
CREATE INDEX ix_price_list_item_product_id ON price_list_item (product_id) WHERE product_id is not null;
CREATE UNIQUE INDEX uq_price_list_item_product ON price_list_item (price_list_id, product_id, min_quantity, valid_from) WHERE product_id is not null and archived_at is null;
COMMENT ON TABLE price_list_item IS 'One price rule: for a product, a category or all, from a quantity, within dates.';
CREATE TABLE reorder_rule (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	product_id BIGINT NOT NULL, 
	warehouse_id INTEGER NOT NULL, 
	min_quantity NUMERIC(18, 4) NOT NULL, 
	target_quantity NUMERIC(18, 4) NOT NULL, 
	multiple NUMERIC(18, 4) DEFAULT '1' NOT NULL, 
	archived_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_reorder_rule PRIMARY KEY (id), 
	CONSTRAINT fk_reorder_rule_warehouse FOREIGN KEY(warehouse_id, company_id) REFERENCES warehouse (id, company_id), 
	CONSTRAINT ck_reorder_rule_min_quantity CHECK (min_quantity >= 0), 
	CONSTRAINT ck_reorder_rule_target_quantity CHECK (target_quantity >= min_quantity), 
	CONSTRAINT ck_reorder_rule_multiple CHECK (multiple > 0), 
	CONSTRAINT fk_reorder_rule_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_reorder_rule_product_id FOREIGN KEY(product_id) REFERENCES product (id)
);
CREATE UNIQUE INDEX uq_reorder_rule_active ON reorder_rule (product_id, warehouse_id) WHERE archived_at is null;
COMMENT ON TABLE reorder_rule IS 'From which stock a product is to be ordered again for a warehouse, and how much.';
CREATE TABLE sales_order (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	number TEXT NOT NULL, 
	state TEXT DEFAULT 'DRAFT' NOT NULL, 
	hold TEXT, 
	reservation_status TEXT DEFAULT 'NONE' NOT NULL, 
	shipment_status TEXT DEFAULT 'NONE' NOT NULL, 
	channel TEXT DEFAULT 'MANUAL' NOT NULL, 
	partner_id BIGINT NOT NULL, 
	ship_to_id BIGINT, 
	warehouse_id INTEGER NOT NULL, 
	price_list_id INTEGER, 
	currency CHAR(3) NOT NULL, 
	fx_rate NUMERIC(24, 12) DEFAULT '1' NOT NULL, 
	customer_ref TEXT, 
	external_ref TEXT, 
	placed_on DATE NOT NULL, 
	requested_on DATE, 
	promised_on DATE, 
	subtotal NUMERIC(20, 4) DEFAULT '0' NOT NULL, 
	tax_total NUMERIC(20, 4) DEFAULT '0' NOT NULL, 
	total NUMERIC(20, 4) DEFAULT '0' NOT NULL, 
	total_steps BIGINT GENERATED ALWAYS AS (((total) * 10000)::bigint) STORED NOT NULL, 
	version INTEGER DEFAULT '1' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	confirmed_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_sales_order PRIMARY KEY (id), 
	CONSTRAINT uq_sales_order_company_id_number UNIQUE (company_id, number), 
	CONSTRAINT uq_sales_order_owner UNIQUE (id, company_id, partner_id, currency), 
	CONSTRAINT ck_sales_order_state CHECK (state in ('DRAFT', 'QUOTED', 'PLACED', 'CONFIRMED', 'FULFILLED', 'CANCELED')), 
	CONSTRAINT ck_sales_order_hold CHECK (hold in ('CREDIT', 'PAYMENT', 'MANUAL', 'ADDRESS')), 
	CONSTRAINT ck_sales_order_reservation_status CHECK (reservation_status in ('NONE', 'PARTIAL', 'FULL')), 
	CONSTRAINT ck_sales_order_shipment_status CHECK (shipment_status in ('NONE', 'PARTIAL', 'SHIPPED')), 
	CONSTRAINT ck_sales_order_total CHECK (total = subtotal + tax_total), 
	CONSTRAINT fk_sales_order_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_sales_order_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id), 
	CONSTRAINT fk_sales_order_ship_to_id FOREIGN KEY(ship_to_id) REFERENCES partner_address (id), 
	CONSTRAINT fk_sales_order_warehouse_id FOREIGN KEY(warehouse_id) REFERENCES warehouse (id), 
	CONSTRAINT fk_sales_order_price_list_id FOREIGN KEY(price_list_id) REFERENCES price_list (id), 
	CONSTRAINT fk_sales_order_currency FOREIGN KEY(currency) REFERENCES currency (code)
);
CREATE INDEX ix_sales_order_external_ref ON sales_order (company_id, external_ref) WHERE external_ref is not null;
CREATE INDEX ix_sales_order_hold ON sales_order (company_id, hold, placed_on, id) WHERE hold is not null;
CREATE INDEX ix_sales_order_open ON sales_order (company_id, placed_on, id) WHERE state = 'CONFIRMED' and shipment_status <> 'SHIPPED';
CREATE INDEX ix_sales_order_partner ON sales_order (partner_id, company_id, placed_on, id);
CREATE INDEX ix_sales_order_placed_on ON sales_order (company_id, placed_on, id);
CREATE INDEX ix_sales_order_shipment ON sales_order (company_id, shipment_status, placed_on, id);
CREATE INDEX ix_sales_order_state ON sales_order (company_id, state, placed_on, id);
CREATE INDEX ix_sales_order_total ON sales_order (company_id, total_steps, id);
CREATE INDEX ix_sales_order_warehouse ON sales_order (warehouse_id, placed_on, id);
CREATE UNIQUE INDEX uq_sales_order_external_ref ON sales_order (company_id, channel, external_ref) WHERE external_ref is not null;
COMMENT ON TABLE sales_order IS 'An order of a customer.';
CREATE TABLE stock_level (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	product_id BIGINT NOT NULL, 
	warehouse_id INTEGER NOT NULL, 
	on_hand NUMERIC(18, 4) DEFAULT '0' NOT NULL, 
	reserved NUMERIC(18, 4) DEFAULT '0' NOT NULL, 
	allow_negative BOOLEAN DEFAULT 'false' NOT NULL, 
	version BIGINT DEFAULT '1' NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	available_steps BIGINT GENERATED ALWAYS AS (((on_hand - reserved) * 10000)::bigint) STORED NOT NULL, 
	CONSTRAINT pk_stock_level PRIMARY KEY (id), 
	CONSTRAINT uq_stock_level_product_id_warehouse_id UNIQUE (product_id, warehouse_id), 
	CONSTRAINT fk_stock_level_warehouse FOREIGN KEY(warehouse_id, company_id) REFERENCES warehouse (id, company_id), 
	CONSTRAINT ck_stock_level_reserved CHECK (reserved >= 0), 
	CONSTRAINT ck_stock_level_never_oversold CHECK (allow_negative or (on_hand >= 0 and reserved <= on_hand)), 
	CONSTRAINT fk_stock_level_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_stock_level_product_id FOREIGN KEY(product_id) REFERENCES product (id)
)
 WITH (fillfactor = 70);
CREATE INDEX ix_stock_level_available ON stock_level (company_id, available_steps, id);
CREATE INDEX ix_stock_level_warehouse ON stock_level (warehouse_id, product_id);
CREATE INDEX ix_stock_level_warehouse_available ON stock_level (warehouse_id, available_steps, id);
COMMENT ON TABLE stock_level IS 'Stock of one product in one warehouse: the number that orders are promised from.';
CREATE TABLE stock_location (
	id INTEGER GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	warehouse_id INTEGER, 
	code TEXT NOT NULL, 
	path TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	sellable BOOLEAN DEFAULT 'true' NOT NULL, 
	archived_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_stock_location PRIMARY KEY (id), 
	CONSTRAINT uq_stock_location_company_id_code UNIQUE (company_id, code), 
	CONSTRAINT uq_stock_location_owner UNIQUE (id, company_id), 
	CONSTRAINT fk_stock_location_warehouse FOREIGN KEY(warehouse_id, company_id) REFERENCES warehouse (id, company_id), 
	CONSTRAINT ck_stock_location_kind CHECK (kind in ('INTERNAL', 'TRANSIT', 'SUPPLIER', 'CUSTOMER', 'LOSS', 'SCRAP')), 
	CONSTRAINT ck_stock_location_warehouse CHECK ((kind = 'INTERNAL') = (warehouse_id is not null)), 
	CONSTRAINT fk_stock_location_company_id FOREIGN KEY(company_id) REFERENCES company (id)
);
CREATE INDEX ix_stock_location_warehouse_id ON stock_location (warehouse_id, code);
COMMENT ON TABLE stock_location IS 'A place inside a warehouse, or a virtual place goods come from and go to.';
CREATE TABLE stock_projection (
	company_id INTEGER NOT NULL, 
	product_id BIGINT NOT NULL, 
	warehouse_id INTEGER NOT NULL, 
	incoming NUMERIC(18, 4) DEFAULT '0' NOT NULL, 
	outgoing NUMERIC(18, 4) DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_stock_projection PRIMARY KEY (product_id, warehouse_id), 
	CONSTRAINT fk_stock_projection_warehouse FOREIGN KEY(warehouse_id, company_id) REFERENCES warehouse (id, company_id), 
	CONSTRAINT fk_stock_projection_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_stock_projection_product_id FOREIGN KEY(product_id) REFERENCES product (id)
)
 WITH (fillfactor = 70);
COMMENT ON TABLE stock_projection IS 'What is to come and to go; no column of the level, so that purchases never wait for sales.';
CREATE TABLE sales_order_line (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	partner_id BIGINT NOT NULL, 
	order_id BIGINT NOT NULL, 
	position INTEGER NOT NULL, 
	product_id BIGINT NOT NULL, 
	description TEXT NOT NULL, 
	uom_id INTEGER NOT NULL, 
	currency CHAR(3) NOT NULL, 
	quantity NUMERIC(18, 4) NOT NULL, 
	unit_price NUMERIC(20, 6) NOT NULL, 
	discount_percent NUMERIC(7, 4) DEFAULT '0' NOT NULL, 
	net NUMERIC(20, 4) NOT NULL, 
	tax NUMERIC(20, 4) DEFAULT '0' NOT NULL, 
	promised_on DATE, 
	reserved NUMERIC(18, 4) DEFAULT '0' NOT NULL, 
	shipped NUMERIC(18, 4) DEFAULT '0' NOT NULL, 
	canceled NUMERIC(18, 4) DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_sales_order_line PRIMARY KEY (id), 
	CONSTRAINT fk_sales_order_line_order FOREIGN KEY(order_id, company_id, partner_id, currency) REFERENCES sales_order (id, company_id, partner_id, currency) ON UPDATE CASCADE, 
	CONSTRAINT uq_sales_order_line_order_id_position UNIQUE (order_id, position), 
	CONSTRAINT ck_sales_order_line_quantity CHECK (quantity > 0), 
	CONSTRAINT ck_sales_order_line_unit_price CHECK (unit_price >= 0), 
	CONSTRAINT ck_sales_order_line_discount CHECK (discount_percent between 0 and 100), 
	CONSTRAINT ck_sales_order_line_not_negative CHECK (shipped >= 0 and canceled >= 0 and reserved >= 0), 
	CONSTRAINT ck_sales_order_line_not_over_shipped CHECK (shipped + canceled <= quantity), 
	CONSTRAINT ck_sales_order_line_not_over_reserved CHECK (reserved <= quantity - shipped - canceled), 
	CONSTRAINT fk_sales_order_line_product_id FOREIGN KEY(product_id) REFERENCES product (id), 
	CONSTRAINT fk_sales_order_line_uom_id FOREIGN KEY(uom_id) REFERENCES unit_of_measure (id), 
	CONSTRAINT fk_sales_order_line_currency FOREIGN KEY(currency) REFERENCES currency (code)
);
CREATE INDEX ix_sales_order_line_open ON sales_order_line (product_id) WHERE shipped + canceled < quantity;
CREATE INDEX ix_sales_order_line_product ON sales_order_line (product_id, company_id);
COMMENT ON TABLE sales_order_line IS 'One product on an order: what was ordered, at which price, and how far it got.';
CREATE TABLE stock_balance (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	product_id BIGINT NOT NULL, 
	location_id INTEGER NOT NULL, 
	on_hand NUMERIC(18, 4) DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_stock_balance PRIMARY KEY (id), 
	CONSTRAINT uq_stock_balance_product_id_location_id UNIQUE (product_id, location_id), 
	CONSTRAINT fk_stock_balance_location FOREIGN KEY(location_id, company_id) REFERENCES stock_location (id, company_id), 
	CONSTRAINT fk_stock_balance_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_stock_balance_product_id FOREIGN KEY(product_id) REFERENCES product (id)
)
 WITH (fillfactor = 70);
CREATE INDEX ix_stock_balance_location ON stock_balance (location_id, product_id);
COMMENT ON TABLE stock_balance IS 'Stock of one product at one location, for picking. Virtual locations run negative.';
CREATE TABLE stock_move (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	product_id BIGINT NOT NULL, 
	from_location_id INTEGER NOT NULL, 
	to_location_id INTEGER NOT NULL, 
	quantity NUMERIC(18, 4) NOT NULL, 
	kind TEXT NOT NULL, 
	reason TEXT, 
	source TEXT, 
	source_id BIGINT, 
	reversal_of_id BIGINT, 
	idempotency TEXT NOT NULL, 
	effective_on DATE NOT NULL, 
	posted_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	posted_by TEXT NOT NULL, 
	CONSTRAINT pk_stock_move PRIMARY KEY (id), 
	CONSTRAINT uq_stock_move_company_id_idempotency UNIQUE (company_id, idempotency), 
	CONSTRAINT fk_stock_move_from FOREIGN KEY(from_location_id, company_id) REFERENCES stock_location (id, company_id), 
	CONSTRAINT fk_stock_move_to FOREIGN KEY(to_location_id, company_id) REFERENCES stock_location (id, company_id), 
	CONSTRAINT ck_stock_move_quantity CHECK (quantity > 0), 
	CONSTRAINT ck_stock_move_moves CHECK (from_location_id <> to_location_id), 
	CONSTRAINT ck_stock_move_kind CHECK (kind in ('OPENING', 'RECEIPT', 'SHIPMENT', 'RETURN', 'TRANSFER', 'ADJUSTMENT', 'SCRAP')), 
	CONSTRAINT fk_stock_move_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_stock_move_product_id FOREIGN KEY(product_id) REFERENCES product (id), 
	CONSTRAINT fk_stock_move_reversal_of_id FOREIGN KEY(reversal_of_id) REFERENCES stock_move (id)
);
CREATE INDEX ix_stock_move_kind ON stock_move (company_id, kind, posted_at, id);
CREATE INDEX ix_stock_move_posted_at ON stock_move (company_id, posted_at, id);
CREATE INDEX ix_stock_move_product ON stock_move (product_id, company_id, posted_at, id);
CREATE INDEX ix_stock_move_source ON stock_move (source, source_id) WHERE source is not null;
COMMENT ON TABLE stock_move IS 'The ledger: one immutable move of goods from one location to another.';
CREATE TABLE stock_reservation (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	level_id BIGINT NOT NULL, 
	source TEXT NOT NULL, 
	source_id BIGINT NOT NULL, 
	quantity NUMERIC(18, 4) NOT NULL, 
	consumed NUMERIC(18, 4) DEFAULT '0' NOT NULL, 
	state TEXT DEFAULT 'ACTIVE' NOT NULL, 
	expires_at TIMESTAMP WITH TIME ZONE, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_stock_reservation PRIMARY KEY (id), 
	CONSTRAINT ck_stock_reservation_quantity CHECK (quantity > 0), 
	CONSTRAINT ck_stock_reservation_consumed CHECK (consumed between 0 and quantity), 
	CONSTRAINT ck_stock_reservation_source CHECK (source in ('SALES_ORDER_LINE', 'CART')), 
	CONSTRAINT ck_stock_reservation_state CHECK (state in ('ACTIVE', 'CONSUMED', 'RELEASED', 'EXPIRED')), 
	CONSTRAINT fk_stock_reservation_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_stock_reservation_level_id FOREIGN KEY(level_id) REFERENCES stock_level (id)
);
CREATE INDEX ix_stock_reservation_expiry ON stock_reservation (expires_at) WHERE state = 'ACTIVE' and expires_at is not null;
CREATE INDEX ix_stock_reservation_level ON stock_reservation (level_id, id);
CREATE UNIQUE INDEX uq_stock_reservation_active ON stock_reservation (source, source_id, level_id) WHERE state = 'ACTIVE';
COMMENT ON TABLE stock_reservation IS 'The row behind what a level has reserved.';
create function user_access(wanted_email text)
returns table (user_id int, display_name text, company_id int, company_code text, permissions text[])
language sql stable security definer set search_path = public as $$
  select u.id, u.display_name, c.id, c.code, array_agg(distinct p.permission order by p.permission)
  from app_user u
  join user_role ur on ur.user_id = u.id
  join company c on c.id = ur.company_id and c.archived_at is null
  join role_permission p on p.role_id = ur.role_id
  where lower(u.email) = lower(wanted_email) and u.archived_at is null
  group by u.id, u.display_name, c.id, c.code
  order by c.id
$$;

revoke execute on function user_access(text) from public;
grant execute on function user_access(text) to erp_app;
create function client_access(wanted_prefix text)
returns table (client_id int, code text, name text, key_hash bytea, partner_id bigint, company_id int,
               company_code text, permissions text[], cost_per_second int, cost_bucket int)
language sql stable security definer set search_path = public as $$
  select a.id, a.code, a.name, a.key_hash, a.partner_id, c.id, c.code, a.permissions,
         a.cost_per_second, a.cost_bucket
  from api_client a
  join company c on c.id = a.company_id and c.archived_at is null
  where a.key_prefix = wanted_prefix and a.archived_at is null and a.revoked_at is null
$$;

revoke execute on function client_access(text) from public;
grant execute on function client_access(text) to erp_app;
create function token_revoked(wanted_jti text) returns boolean
language sql stable security definer set search_path = public as $$
  select exists (select from revoked_token where jti = wanted_jti)
$$;

revoke execute on function token_revoked(text) from public;
grant execute on function token_revoked(text) to erp_app;
create function stock_level_version() returns trigger language plpgsql as $$
begin
  new.version := old.version + 1;
  new.updated_at := now();
  return new;
end $$;
create trigger stock_level_version before update on stock_level
  for each row when (old.on_hand <> new.on_hand or old.reserved <> new.reserved)
  execute function stock_level_version();
create function stock_level_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if tg_op = 'INSERT' then
    insert into outbox_event (company_id, topic, entity, entity_id, payload)
    select n.company_id, 'stock.changed', 'StockLevel', n.id,
           
    jsonb_build_object(
        'level_id', n.id, 'product_id', n.product_id, 'warehouse_id', n.warehouse_id,
        'version', n.version, 'on_hand', n.on_hand::text, 'reserved', n.reserved::text,
        'previous_on_hand', 0.0000::text, 'previous_reserved', 0.0000::text,
        'cause', coalesce(nullif(current_setting('app.cause', true), ''), 'EXTERNAL'),
        'document', nullif(current_setting('app.document', true), ''))

    from changed n where n.on_hand <> 0 or n.reserved <> 0 order by n.id;
  else
    insert into outbox_event (company_id, topic, entity, entity_id, payload)
    select n.company_id, 'stock.changed', 'StockLevel', n.id,
           
    jsonb_build_object(
        'level_id', n.id, 'product_id', n.product_id, 'warehouse_id', n.warehouse_id,
        'version', n.version, 'on_hand', n.on_hand::text, 'reserved', n.reserved::text,
        'previous_on_hand', o.on_hand::text, 'previous_reserved', o.reserved::text,
        'cause', coalesce(nullif(current_setting('app.cause', true), ''), 'EXTERNAL'),
        'document', nullif(current_setting('app.document', true), ''))

    from changed n join before o on o.id = n.id
    where o.on_hand <> n.on_hand or o.reserved <> n.reserved order by n.id;
  end if;
  return null;
end $$;
create trigger stock_level_inserted after insert on stock_level
  referencing new table as changed for each statement execute function stock_level_changed();
create trigger stock_level_updated after update on stock_level
  referencing old table as before new table as changed
  for each statement execute function stock_level_changed();
alter table app_user enable row level security;
create policy staff on app_user to erp_app using (exists (select from user_role r where r.user_id = app_user.id and r.company_id = (select nullif(current_setting('app.company_id', true), '')::int)));
grant select on app_user to erp_app;
grant select on app_user to erp_partner;
grant select on currency to erp_app;
grant select on currency to erp_partner;
alter table outbox_counter enable row level security;
alter table outbox_event enable row level security;
alter table partner enable row level security;
create policy staff on partner to erp_app using (true);
grant select, insert, update on partner to erp_app;
grant select on partner to erp_partner;
create policy partner on partner for select to erp_partner using (id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
grant select on payment_term to erp_app;
grant select on payment_term to erp_partner;
grant select on product_category to erp_app;
grant select on product_category to erp_partner;
alter table revoked_token enable row level security;
alter table role enable row level security;
create policy staff on role to erp_app using (true);
grant select on role to erp_app;
grant select on role to erp_partner;
grant select on unit_of_measure to erp_app;
grant select on unit_of_measure to erp_partner;
alter table company enable row level security;
create policy staff on company to erp_app using (id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select on company to erp_app;
grant select on company to erp_partner;
create policy partner on company for select to erp_partner using (id = (select nullif(current_setting('app.company_id', true), '')::int));
alter table partner_address enable row level security;
create policy staff on partner_address to erp_app using (true);
grant select, insert, update on partner_address to erp_app;
grant select on partner_address to erp_partner;
create policy partner on partner_address for select to erp_partner using (partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
grant select, insert, update on product to erp_app;
grant select on product to erp_partner;
alter table role_permission enable row level security;
create policy staff on role_permission to erp_app using (true);
grant select on role_permission to erp_app;
grant select on role_permission to erp_partner;
alter table api_client enable row level security;
create policy staff on api_client to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select on api_client to erp_app;
grant select on api_client to erp_partner;
alter table audit_log enable row level security;
create policy staff on audit_log to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert on audit_log to erp_app;
grant select on audit_log to erp_partner;
alter table idempotency_key enable row level security;
create policy staff on idempotency_key to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on idempotency_key to erp_app;
grant select on idempotency_key to erp_partner;
alter table price_list enable row level security;
create policy staff on price_list to erp_app using ((company_id is null or company_id = (select nullif(current_setting('app.company_id', true), '')::int)));
grant select on price_list to erp_app;
grant select on price_list to erp_partner;
create policy partner on price_list for select to erp_partner using ((company_id is null or company_id = (select nullif(current_setting('app.company_id', true), '')::int)) and id = (select pc.price_list_id from partner_company pc where pc.company_id = (select nullif(current_setting('app.company_id', true), '')::int) and pc.partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint)));
alter table product_company enable row level security;
create policy staff on product_company to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on product_company to erp_app;
grant select on product_company to erp_partner;
alter table user_role enable row level security;
create policy staff on user_role to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select on user_role to erp_app;
grant select on user_role to erp_partner;
alter table warehouse enable row level security;
create policy staff on warehouse to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select on warehouse to erp_app;
grant select on warehouse to erp_partner;
create policy partner on warehouse for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
alter table partner_company enable row level security;
create policy staff on partner_company to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on partner_company to erp_app;
grant select on partner_company to erp_partner;
create policy partner on partner_company for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
alter table price_list_item enable row level security;
create policy staff on price_list_item to erp_app using ((company_id is null or company_id = (select nullif(current_setting('app.company_id', true), '')::int)));
grant select on price_list_item to erp_app;
grant select on price_list_item to erp_partner;
create policy partner on price_list_item for select to erp_partner using ((company_id is null or company_id = (select nullif(current_setting('app.company_id', true), '')::int)) and price_list_id = (select pc.price_list_id from partner_company pc where pc.company_id = (select nullif(current_setting('app.company_id', true), '')::int) and pc.partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint)));
alter table reorder_rule enable row level security;
create policy staff on reorder_rule to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on reorder_rule to erp_app;
grant select on reorder_rule to erp_partner;
alter table sales_order enable row level security;
create policy staff on sales_order to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on sales_order to erp_app;
grant select on sales_order to erp_partner;
create policy partner on sales_order for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
alter table stock_level enable row level security;
create policy staff on stock_level to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on stock_level to erp_app;
grant select on stock_level to erp_partner;
create policy partner on stock_level for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
alter table stock_location enable row level security;
create policy staff on stock_location to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select on stock_location to erp_app;
grant select on stock_location to erp_partner;
alter table stock_projection enable row level security;
create policy staff on stock_projection to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on stock_projection to erp_app;
grant select on stock_projection to erp_partner;
create policy partner on stock_projection for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
alter table sales_order_line enable row level security;
create policy staff on sales_order_line to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on sales_order_line to erp_app;
grant select on sales_order_line to erp_partner;
create policy partner on sales_order_line for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
alter table stock_balance enable row level security;
create policy staff on stock_balance to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on stock_balance to erp_app;
grant select on stock_balance to erp_partner;
alter table stock_move enable row level security;
create policy staff on stock_move to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert on stock_move to erp_app;
grant select on stock_move to erp_partner;
alter table stock_reservation enable row level security;
create policy staff on stock_reservation to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on stock_reservation to erp_app;
grant select on stock_reservation to erp_partner;
insert into outbox_counter default values;
