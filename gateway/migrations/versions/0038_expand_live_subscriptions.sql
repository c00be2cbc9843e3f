CREATE TABLE live_subscription (
	id BIGINT NOT NULL, 
	company_id INTEGER NOT NULL, 
	partner_id BIGINT, 
	actor TEXT NOT NULL, 
	process UUID NOT NULL, 
	operation_name TEXT, 
	field TEXT NOT NULL, 
	transport TEXT NOT NULL, 
	began_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	seen_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	delivered BIGINT DEFAULT '0' NOT NULL, 
	end_requested_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_live_subscription PRIMARY KEY (id), 
	CONSTRAINT ck_live_subscription_transport CHECK (transport in ('WEBSOCKET', 'SSE'))
)
 WITH (fillfactor = 50);
CREATE INDEX ix_live_subscription_actor ON live_subscription (company_id, actor);
CREATE INDEX ix_live_subscription_end_requested ON live_subscription (process) WHERE end_requested_at is not null;
COMMENT ON TABLE live_subscription IS 'A subscription that a process serves at this moment; seen_at is when it last said so.';
alter table live_subscription enable row level security;
create policy staff on live_subscription to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, update on live_subscription to erp_app;
grant select on live_subscription to erp_partner;
create policy partner on live_subscription for select to erp_partner using (company_id = (select nullif(current_setting('app.company_id', true), '')::int) and partner_id = (select nullif(current_setting('app.partner_id', true), '')::bigint));
