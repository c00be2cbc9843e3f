CREATE TABLE currency_rate (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	base CHAR(3) NOT NULL, 
	quote CHAR(3) NOT NULL, 
	valid_on DATE NOT NULL, 
	rate NUMERIC(24, 12) NOT NULL, 
	source TEXT DEFAULT 'MANUAL' NOT NULL, 
	CONSTRAINT pk_currency_rate PRIMARY KEY (id), 
	CONSTRAINT uq_currency_rate_base_quote_valid_on UNIQUE (base, quote, valid_on), 
	CONSTRAINT ck_currency_rate_rate CHECK (rate > 0), 
	CONSTRAINT ck_currency_rate_quote CHECK (base <> quote), 
	CONSTRAINT fk_currency_rate_base FOREIGN KEY(base) REFERENCES currency (code), 
	CONSTRAINT fk_currency_rate_quote FOREIGN KEY(quote) REFERENCES currency (code)
);
CREATE INDEX ix_currency_rate_base ON currency_rate (base, valid_on, id);
CREATE INDEX ix_currency_rate_quote ON currency_rate (quote, valid_on, id);
CREATE INDEX ix_currency_rate_valid_on ON currency_rate (valid_on, id);
COMMENT ON TABLE currency_rate IS 'What one unit of base is worth in quote from a day on, until there is a later rate.';
CREATE TABLE tax (
	id INTEGER GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	code TEXT NOT NULL, 
	name TEXT NOT NULL, 
	use TEXT NOT NULL, 
	position TEXT NOT NULL, 
	kind TEXT DEFAULT 'PERCENT' NOT NULL, 
	rate NUMERIC(24, 12) NOT NULL, 
	valid_from DATE NOT NULL, 
	valid_to DATE, 
	archived_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_tax PRIMARY KEY (id), 
	CONSTRAINT uq_tax_company_id_code UNIQUE (company_id, code), 
	CONSTRAINT ck_tax_use CHECK (use in ('SALE', 'PURCHASE')), 
	CONSTRAINT ck_tax_position CHECK (position in ('DOMESTIC', 'EXPORT')), 
	CONSTRAINT ck_tax_kind CHECK (kind in ('PERCENT', 'FIXED')), 
	CONSTRAINT ck_tax_rate CHECK (rate >= 0), 
	CONSTRAINT ck_tax_valid_to CHECK (valid_to > valid_from), 
	CONSTRAINT fk_tax_company_id FOREIGN KEY(company_id) REFERENCES company (id)
);
COMMENT ON TABLE tax IS 'A tax of a company: what is added to the net amounts of its documents.';
create trigger reference_changed after insert or update or delete or truncate on tax for each statement execute function erp_reference_changed();
grant select on currency_rate to erp_app;
grant select on currency_rate to erp_partner;
alter table tax enable row level security;
create policy staff on tax to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select on tax to erp_app;
grant select on tax to erp_partner;
create policy partner on tax for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
alter table sales_order_line add column tax_id integer;
alter table sales_order_line add constraint fk_sales_order_line_tax_id foreign key (tax_id) references tax (id);
