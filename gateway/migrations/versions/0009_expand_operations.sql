CREATE INDEX ix_audit_log_actor ON audit_log (company_id, actor, id);
CREATE INDEX ix_audit_log_at ON audit_log (company_id, at, id);
CREATE INDEX ix_audit_log_company ON audit_log (company_id, id);
CREATE INDEX ix_audit_log_type ON audit_log (company_id, entity, id);
CREATE TABLE job (
	id BIGINT GENERATED ALWAYS AS IDENTITY, 
	company_id INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	queue TEXT DEFAULT 'default' NOT NULL, 
	priority SMALLINT DEFAULT '100' NOT NULL, 
	state TEXT DEFAULT 'QUEUED' NOT NULL, 
	arguments JSONB DEFAULT '{}' NOT NULL, 
	dedupe_key TEXT, 
	progress_done INTEGER DEFAULT '0' NOT NULL, 
	progress_total INTEGER, 
	attempts SMALLINT DEFAULT '0' NOT NULL, 
	max_attempts SMALLINT DEFAULT '5' NOT NULL, 
	run_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	worker TEXT, 
	error TEXT, 
	created_by TEXT NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	started_at TIMESTAMP WITH TIME ZONE, 
	finished_at TIMESTAMP WITH TIME ZONE, 
	CONSTRAINT pk_job PRIMARY KEY (id), 
	CONSTRAINT ck_job_state CHECK (state in ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELED', 'DEAD')), 
	CONSTRAINT ck_job_progress_done CHECK (progress_done >= 0), 
	CONSTRAINT ck_job_progress_total CHECK (progress_total >= progress_done), 
	CONSTRAINT ck_job_attempts CHECK (attempts between 0 and max_attempts), 
	CONSTRAINT ck_job_finished_at CHECK (finished_at is null or state <> 'QUEUED' and state <> 'RUNNING'), 
	CONSTRAINT fk_job_company_id FOREIGN KEY(company_id) REFERENCES company (id)
);
CREATE INDEX ix_job_company ON job (company_id, id);
CREATE INDEX ix_job_failed ON job (company_id, finished_at) WHERE state = 'FAILED' or state = 'DEAD';
CREATE INDEX ix_job_kind ON job (company_id, kind, id);
CREATE INDEX ix_job_queue ON job (queue, priority, run_at, id) WHERE state = 'QUEUED';
CREATE INDEX ix_job_state ON job (company_id, state, id);
CREATE UNIQUE INDEX uq_job_dedupe_key ON job (company_id, kind, dedupe_key) WHERE dedupe_key is not null and finished_at is null;
COMMENT ON TABLE job IS 'Work done outside of requests; dedupe_key keeps it from being queued twice.';
create function outbox_waiting(longer interval)
returns table (events bigint, oldest timestamptz)
language sql stable security definer set search_path = public as $$
  select count(*), min(created_at) from (
    select created_at from outbox_event
    where pub_seq is null and created_at < clock_timestamp() - longer
    order by written_seq limit 100000) waiting
$$;
revoke all on function outbox_waiting(interval) from public;
grant execute on function outbox_waiting(interval) to erp_app;
create function operations_state(since timestamptz)
returns table (section text, name text, number bigint, oldest timestamptz)
language sql stable as $$
  select 'queue', queue, count(*), min(run_at) from job where state = 'QUEUED' group by queue
  union all
  select 'failure', kind, count(*), min(finished_at) from job
  where (state = 'FAILED' or state = 'DEAD') and finished_at >= since group by kind
  union all
  select 'outbox', '', events, oldest from outbox_waiting(interval '1 second')
$$;
alter table job enable row level security;
create policy staff on job to erp_app using (company_id = (select nullif(current_setting('app.company_id', true), '')::int));
grant select, insert, update on job to erp_app;
grant select on job to erp_partner;
