CREATE TABLE webhook (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	partner_id BIGINT, 
	owner TEXT NOT NULL, 
	url TEXT NOT NULL, 
	document TEXT NOT NULL, 
	operation_name TEXT, 
	variables JSONB DEFAULT '{}' NOT NULL, 
	state TEXT DEFAULT 'ACTIVE' NOT NULL, 
	seq BIGINT DEFAULT '0' NOT NULL, 
	salt TEXT, 
	previous_salt TEXT, 
	previous_until TIMESTAMP WITH TIME ZONE, 
	failures SMALLINT DEFAULT '0' NOT NULL, 
	dead_in_a_row SMALLINT DEFAULT '0' NOT NULL, 
	delivered BIGINT DEFAULT '0' NOT NULL, 
	next_attempt_at TIMESTAMP WITH TIME ZONE, 
	last_error TEXT, 
	last_delivered_at TIMESTAMP WITH TIME ZONE, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	archived_at TIMESTAMP WITH TIME ZONE, 
	version INTEGER DEFAULT '1' NOT NULL, 
	CONSTRAINT pk_webhook PRIMARY KEY (id), 
	CONSTRAINT uq_webhook_owner UNIQUE (id, company_id), 
	CONSTRAINT ck_webhook_state CHECK (state in ('ACTIVE', 'FAILING', 'PAUSED', 'DISABLED')), 
	CONSTRAINT ck_webhook_seq CHECK (seq >= 0), 
	CONSTRAINT ck_webhook_previous CHECK ((previous_salt is null) = (previous_until is null)), 
	CONSTRAINT ck_webhook_archived_at CHECK (archived_at is null or state = 'DISABLED' and num_nonnulls(salt, previous_salt) = 0), 
	CONSTRAINT fk_webhook_company_id FOREIGN KEY(company_id) REFERENCES company (id), 
	CONSTRAINT fk_webhook_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id)
);
CREATE INDEX ix_webhook_company ON webhook (company_id, id) WHERE archived_at is null;
CREATE INDEX ix_webhook_live ON webhook (id) WHERE state in ('ACTIVE', 'FAILING') and archived_at is null;
CREATE INDEX ix_webhook_partner ON webhook (partner_id, company_id, id);
CREATE INDEX ix_webhook_state ON webhook (company_id, state, id) WHERE archived_at is null;
COMMENT ON TABLE webhook IS 'A URL that the changes of a subscription are sent to, and how far it was told.';
CREATE TABLE webhook_delivery (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	partner_id BIGINT, 
	webhook_id BIGINT NOT NULL, 
	seq BIGINT NOT NULL, 
	state TEXT NOT NULL, 
	attempts SMALLINT DEFAULT '1' NOT NULL, 
	status_code SMALLINT, 
	error TEXT, 
	body TEXT, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	attempted_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	CONSTRAINT pk_webhook_delivery PRIMARY KEY (id), 
	CONSTRAINT uq_webhook_delivery_webhook_id_seq UNIQUE (webhook_id, seq), 
	CONSTRAINT fk_webhook_delivery_webhook FOREIGN KEY(webhook_id, company_id) REFERENCES webhook (id, company_id), 
	CONSTRAINT ck_webhook_delivery_state CHECK (state in ('DELIVERED', 'RETRYING', 'DEAD')), 
	CONSTRAINT ck_webhook_delivery_body CHECK ((body is null) = (state = 'DELIVERED')), 
	CONSTRAINT fk_webhook_delivery_partner_id FOREIGN KEY(partner_id) REFERENCES partner (id)
);
CREATE INDEX ix_webhook_delivery_attempted_at ON webhook_delivery (attempted_at);
CREATE INDEX ix_webhook_delivery_dead ON webhook_delivery (id) WHERE state = 'DEAD';
CREATE INDEX ix_webhook_delivery_seq ON webhook_delivery (webhook_id, seq, id);
CREATE INDEX ix_webhook_delivery_state ON webhook_delivery (webhook_id, state, seq, id);
COMMENT ON TABLE webhook_delivery IS 'One change that was sent to a webhook, or is to be: a dead letter if it was given up.';
create function event_log_last() returns bigint
language sql stable security definer set search_path = public as $$
  select last_seq from outbox_counter
$$;
create function event_log_oldest() returns bigint
language sql stable security definer set search_path = public as $$
  select coalesce((select min(pub_seq) from outbox_event), (select last_seq + 1 from outbox_counter))
$$;
revoke all on function event_log_last(), event_log_oldest() from public;
grant execute on function event_log_last(), event_log_oldest() to erp_app, erp_partner;
alter table webhook enable row level security;
create policy staff on webhook to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on webhook to erp_app;
grant select on webhook to erp_partner;
create policy partner on webhook for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
alter table webhook_delivery enable row level security;
create policy staff on webhook_delivery to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, update on webhook_delivery to erp_app;
grant select on webhook_delivery to erp_partner;
create policy partner on webhook_delivery for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
