CREATE TABLE document (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	filename TEXT NOT NULL, 
	media_type TEXT NOT NULL, 
	size_bytes INTEGER NOT NULL, 
	sha256 TEXT NOT NULL, 
	storage_key TEXT NOT NULL, 
	uploaded_by TEXT NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	archived_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_document PRIMARY KEY (id), 
	CONSTRAINT uq_document_company_id_kind_sha256 UNIQUE (company_id, kind, sha256), 
	CONSTRAINT uq_document_owner UNIQUE (id, company_id), 
	CONSTRAINT ck_document_kind CHECK (kind in ('BILL', 'LABEL', 'OTHER')), 
	CONSTRAINT ck_document_size_bytes CHECK (size_bytes between 1 and 26214400), 
	CONSTRAINT fk_document_company_id FOREIGN KEY(company_id) REFERENCES company (id)
);
CREATE INDEX ix_document_company ON document (company_id, id);
COMMENT ON TABLE document IS 'A file that came in; sha256 keeps it from being taken twice.';
CREATE TABLE extraction (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	document_id BIGINT NOT NULL, 
	job_id BIGINT, 
	extractor TEXT NOT NULL, 
	extractor_version TEXT NOT NULL, 
	state TEXT DEFAULT 'QUEUED' NOT NULL, 
	supplier_id BIGINT, 
	invoice_id BIGINT, 
	fields JSONB DEFAULT '[]' NOT NULL, 
	issues JSONB DEFAULT '[]' NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_extraction PRIMARY KEY (id), 
	CONSTRAINT uq_extraction_owner UNIQUE (id, company_id), 
	CONSTRAINT fk_extraction_document FOREIGN KEY(document_id, company_id) REFERENCES document (id, company_id), 
	CONSTRAINT ck_extraction_state CHECK (state in ('QUEUED', 'RUNNING', 'VALID', 'NEEDS_REVIEW', 'NEEDS_OCR', 'FAILED', 'ACCEPTED', 'REJECTED')), 
	CONSTRAINT fk_extraction_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_extraction_job_id FOREIGN KEY(job_id) REFERENCES job (id), 
	CONSTRAINT fk_extraction_supplier_id FOREIGN KEY(supplier_id) REFERENCES partner (id), 
	CONSTRAINT fk_extraction_invoice_id FOREIGN KEY(invoice_id) REFERENCES invoice (id)
);
CREATE INDEX ix_extraction_company ON extraction (company_id, id);
CREATE INDEX ix_extraction_document ON extraction (document_id, id);
CREATE INDEX ix_extraction_state ON extraction (company_id, state, id);
CREATE INDEX ix_extraction_supplier ON extraction (supplier_id, company_id, id);
COMMENT ON TABLE extraction IS 'What one extractor read in a document: fields with their places, lines, issues.';
CREATE TABLE extraction_line (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	extraction_id BIGINT NOT NULL, 
	position INTEGER NOT NULL, 
	supplier_sku TEXT, 
	description TEXT NOT NULL, 
	quantity NUMERIC(18, 4), 
	unit_price NUMERIC(20, 6), 
	amount NUMERIC(20, 4), 
	product_id BIGINT, 
	purchase_order_line_id BIGINT, 
	CONSTRAINT pk_extraction_line PRIMARY KEY (id), 
	CONSTRAINT fk_extraction_line_extraction FOREIGN KEY(extraction_id, company_id) REFERENCES extraction (id, company_id), 
	CONSTRAINT uq_extraction_line_extraction_id_position UNIQUE (extraction_id, position), 
	CONSTRAINT fk_extraction_line_product_id FOREIGN KEY(product_id) REFERENCES product (id), 
	CONSTRAINT fk_extraction_line_purchase_order_line_id FOREIGN KEY(purchase_order_line_id) REFERENCES purchase_order_line (id)
);
COMMENT ON TABLE extraction_line IS 'A line that was read on a bill, and what it was matched with.';
alter table document enable row level security;
create policy staff on document to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on document to erp_app;
grant select on document to erp_partner;
alter table extraction enable row level security;
create policy staff on extraction to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on extraction to erp_app;
grant select on extraction to erp_partner;
alter table extraction_line enable row level security;
create policy staff on extraction_line to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on extraction_line to erp_app;
grant select on extraction_line to erp_partner;
CREATE TABLE opportunity (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	number TEXT NOT NULL, 
	partner_id BIGINT NOT NULL, 
	title TEXT NOT NULL, 
	stage TEXT DEFAULT 'NEW' NOT NULL, 
	probability SMALLINT DEFAULT '0' NOT NULL, 
	currency CHAR(3) NOT NULL, 
	expected_revenue NUMERIC(20, 4) DEFAULT '0' NOT NULL, 
	expected_close DATE NOT NULL, 
	owner_id INTEGER, 
	lost_reason TEXT, 
	version INTEGER DEFAULT '1' NOT NULL, 
	archived_at TIMESTAMP WITH TIME ZONE, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_opportunity PRIMARY KEY (id), 
	CONSTRAINT uq_opportunity_company_id_number UNIQUE (company_id, number), 
	CONSTRAINT uq_opportunity_owner UNIQUE (id, company_id), 
	CONSTRAINT ck_opportunity_stage CHECK (stage in ('NEW', 'QUALIFIED', 'PROPOSITION', 'WON', 'LOST')), 
	CONSTRAINT ck_opportunity_probability CHECK (probability between 0 and 100), 
	CONSTRAINT ck_opportunity_expected_revenue CHECK (expected_revenue >= 0), 
	CONSTRAINT ck_opportunity_lost_reason CHECK (lost_reason is null or stage = 'LOST'), 
	CONSTRAINT fk_opportunity_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_opportunity_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id), 
	CONSTRAINT fk_opportunity_currency FOREIGN KEY(currency) REFERENCES currency (code), 
	CONSTRAINT fk_opportunity_owner_id FOREIGN KEY(owner_id) REFERENCES app_user (id)
);
CREATE INDEX ix_opportunity_expected_close ON opportunity (company_id, expected_close, id);
CREATE INDEX ix_opportunity_open ON opportunity (company_id, expected_close, id) WHERE archived_at is null and stage <> 'WON' and stage <> 'LOST';
CREATE INDEX ix_opportunity_partner ON opportunity (partner_id, company_id, expected_close, id);
CREATE INDEX ix_opportunity_stage ON opportunity (company_id, stage, expected_close, id);
COMMENT ON TABLE opportunity IS 'What may become an order, and how likely that is.';
CREATE TABLE activity (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	opportunity_id BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	summary TEXT NOT NULL, 
	due_on DATE NOT NULL, 
	owner_id INTEGER, 
	done_at TIMESTAMP WITH TIME ZONE, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_activity PRIMARY KEY (id), 
	CONSTRAINT fk_activity_opportunity FOREIGN KEY(opportunity_id, company_id) REFERENCES opportunity (id, company_id), 
	CONSTRAINT ck_activity_kind CHECK (kind in ('CALL', 'MEETING', 'EMAIL', 'TASK')), 
	CONSTRAINT fk_activity_owner_id FOREIGN KEY(owner_id) REFERENCES app_user (id)
);
CREATE INDEX ix_activity_done ON activity (company_id, due_on, id) WHERE done_at is not null;
CREATE INDEX ix_activity_due_on ON activity (company_id, due_on, id);
CREATE INDEX ix_activity_kind ON activity (company_id, kind, due_on, id);
CREATE INDEX ix_activity_open ON activity (company_id, due_on, id) WHERE done_at is null;
CREATE INDEX ix_activity_opportunity ON activity (opportunity_id, due_on, id);
COMMENT ON TABLE activity IS 'Something to be done about an opportunity, or done already.';
alter table opportunity enable row level security;
create policy staff on opportunity to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on opportunity to erp_app;
grant select on opportunity to erp_partner;
alter table activity enable row level security;
create policy staff on activity to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on activity to erp_app;
grant select on activity to erp_partner;
CREATE TABLE connector (
	id INTEGER GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	code TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	state TEXT DEFAULT 'ACTIVE' NOT NULL, 
	max_concurrency SMALLINT DEFAULT '10' NOT NULL, 
	CONSTRAINT pk_connector PRIMARY KEY (id), 
	CONSTRAINT uq_connector_company_id_code UNIQUE (company_id, code), 
	CONSTRAINT uq_connector_owner UNIQUE (id, company_id), 
	CONSTRAINT ck_connector_state CHECK (state in ('ACTIVE', 'PAUSED', 'ERROR')), 
	CONSTRAINT ck_connector_max_concurrency CHECK (max_concurrency between 1 and 100), 
	CONSTRAINT fk_connector_company_id FOREIGN KEY(company_id) REFERENCES company (id)
);
COMMENT ON TABLE connector IS 'A system whose data is fetched, and how hard it may be asked.';
CREATE TABLE contract (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	connector_id INTEGER NOT NULL, 
	external_id TEXT NOT NULL, 
	partner_id BIGINT, 
	number TEXT NOT NULL, 
	state TEXT DEFAULT 'ACTIVE' NOT NULL, 
	starts_on DATE NOT NULL, 
	ends_on DATE, 
	currency CHAR(3) NOT NULL, 
	monthly_revenue NUMERIC(20, 4) NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_contract PRIMARY KEY (id), 
	CONSTRAINT uq_contract_company_id_external_id UNIQUE (company_id, external_id), 
	CONSTRAINT uq_contract_owner UNIQUE (id, company_id), 
	CONSTRAINT fk_contract_connector FOREIGN KEY(connector_id, company_id) REFERENCES connector (id, company_id), 
	CONSTRAINT ck_contract_state CHECK (state in ('ACTIVE', 'ENDED')), 
	CONSTRAINT ck_contract_ends_on CHECK (ends_on >= starts_on), 
	CONSTRAINT ck_contract_monthly_revenue CHECK (monthly_revenue >= 0), 
	CONSTRAINT fk_contract_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id), 
	CONSTRAINT fk_contract_currency FOREIGN KEY(currency) REFERENCES currency (code)
);
CREATE INDEX ix_contract_partner ON contract (partner_id, company_id, starts_on, id);
CREATE INDEX ix_contract_starts_on ON contract (company_id, starts_on, id);
CREATE INDEX ix_contract_state ON contract (company_id, state, starts_on, id);
COMMENT ON TABLE contract IS 'A contract of another system, as it was fetched last.';
CREATE TABLE sync_run (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	connector_id INTEGER NOT NULL, 
	job_id BIGINT, 
	kind TEXT NOT NULL, 
	state TEXT DEFAULT 'RUNNING' NOT NULL, 
	fetched INTEGER DEFAULT '0' NOT NULL, 
	inserted INTEGER DEFAULT '0' NOT NULL, 
	updated INTEGER DEFAULT '0' NOT NULL, 
	unchanged INTEGER DEFAULT '0' NOT NULL, 
	failed INTEGER DEFAULT '0' NOT NULL, 
	started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	finished_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_sync_run PRIMARY KEY (id), 
	CONSTRAINT uq_sync_run_owner UNIQUE (id, company_id), 
	CONSTRAINT fk_sync_run_connector FOREIGN KEY(connector_id, company_id) REFERENCES connector (id, company_id), 
	CONSTRAINT ck_sync_run_state CHECK (state in ('RUNNING', 'SUCCEEDED', 'PARTIAL', 'FAILED', 'CANCELED')), 
	CONSTRAINT ck_sync_run_fetched CHECK (inserted + updated + unchanged + failed <= fetched), 
	CONSTRAINT ck_sync_run_finished_at CHECK (finished_at is null or state <> 'RUNNING'), 
	CONSTRAINT fk_sync_run_job_id FOREIGN KEY(job_id) REFERENCES job (id)
);
CREATE INDEX ix_sync_run_company ON sync_run (company_id, id);
CREATE INDEX ix_sync_run_connector ON sync_run (connector_id, id);
COMMENT ON TABLE sync_run IS 'One run of a connector, and how many records it found and wrote.';
CREATE TABLE sync_failure (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	run_id BIGINT NOT NULL, 
	entity TEXT NOT NULL, 
	external_id TEXT, 
	stage TEXT NOT NULL, 
	code TEXT NOT NULL, 
	message TEXT, 
	attempts SMALLINT DEFAULT '1' NOT NULL, 
	retry_state TEXT DEFAULT 'OPEN' NOT NULL, 
	CONSTRAINT pk_sync_failure PRIMARY KEY (id), 
	CONSTRAINT fk_sync_failure_run FOREIGN KEY(run_id, company_id) REFERENCES sync_run (id, company_id), 
	CONSTRAINT ck_sync_failure_stage CHECK (stage in ('FETCH', 'ENRICH', 'VALIDATE', 'LOAD')), 
	CONSTRAINT ck_sync_failure_retry_state CHECK (retry_state in ('OPEN', 'RETRIED', 'IGNORED'))
);
CREATE INDEX ix_sync_failure_open ON sync_failure (company_id, id) WHERE retry_state = 'OPEN';
CREATE INDEX ix_sync_failure_run ON sync_failure (run_id, id);
COMMENT ON TABLE sync_failure IS 'A record that a run could not take over, and why.';
CREATE TABLE usage_record (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	contract_id BIGINT NOT NULL, 
	metric TEXT NOT NULL, 
	period DATE NOT NULL, 
	quantity NUMERIC(18, 4) NOT NULL, 
	CONSTRAINT pk_usage_record PRIMARY KEY (id), 
	CONSTRAINT fk_usage_record_contract FOREIGN KEY(contract_id, company_id) REFERENCES contract (id, company_id), 
	CONSTRAINT uq_usage_record_contract_id_metric_period UNIQUE (contract_id, metric, period)
);
CREATE INDEX ix_usage_record_contract ON usage_record (contract_id, period, id);
COMMENT ON TABLE usage_record IS 'How much of something was used under a contract in a month.';
alter table connector enable row level security;
create policy staff on connector to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on connector to erp_app;
grant select on connector to erp_partner;
alter table contract enable row level security;
create policy staff on contract to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on contract to erp_app;
grant select on contract to erp_partner;
alter table sync_run enable row level security;
create policy staff on sync_run to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on sync_run to erp_app;
grant select on sync_run to erp_partner;
alter table sync_failure enable row level security;
create policy staff on sync_failure to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on sync_failure to erp_app;
grant select on sync_failure to erp_partner;
alter table usage_record enable row level security;
create policy staff on usage_record to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on usage_record to erp_app;
grant select on usage_record to erp_partner;
