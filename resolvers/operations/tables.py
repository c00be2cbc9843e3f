"""Tables of jobs and of live subscriptions, and the function that sums up how the installation is doing."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from resolvers.core.table import big_id, instant, one_of, owned, required, table
from resolvers.operations.rules import JobState, StreamTransport

job = table(
    "job",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("kind"),
    required("queue", server_default="default"),
    required("priority", SmallInteger, server_default="100"),
    required("state", server_default="QUEUED"),
    required("arguments", JSONB, server_default="{}"),
    Column("dedupe_key", Text),
    required("progress_done", Integer, server_default="0"),
    Column("progress_total", Integer),
    required("attempts", SmallInteger, server_default="0"),
    required("max_attempts", SmallInteger, server_default="5"),
    instant("run_at", now=True),
    Column("worker", Text),
    Column("error", Text),
    Column("result", JSONB),
    required("created_by"),
    instant("created_at", now=True),
    instant("started_at"),
    instant("finished_at"),
    CheckConstraint(one_of("state", JobState), name="state"),
    CheckConstraint("progress_done >= 0", name="progress_done"),
    CheckConstraint("progress_total >= progress_done", name="progress_total"),
    CheckConstraint("attempts between 0 and max_attempts", name="attempts"),
    CheckConstraint(
        "finished_at is null or state <> 'QUEUED' and state <> 'RUNNING'", name="finished_at"
    ),
    Index("ix_job_company", "company_id", "id"),
    Index("ix_job_state", "company_id", "state", "id"),
    Index("ix_job_kind", "company_id", "kind", "id"),
    Index(
        "ix_job_queue",
        "queue",
        "priority",
        "run_at",
        "id",
        postgresql_where=text("state = 'QUEUED'"),
    ),
    Index(
        "ix_job_failed",
        "company_id",
        "finished_at",
        postgresql_where=text("state = 'FAILED' or state = 'DEAD'"),
    ),
    Index(
        "uq_job_dedupe_key",
        "company_id",
        "kind",
        "dedupe_key",
        unique=True,
        postgresql_where=text("dedupe_key is not null and finished_at is null"),
    ),
    rows=owned("insert", "update"),
    comment="Work done outside of requests; dedupe_key keeps it from being queued twice.",
)

live_subscription = table(
    "live_subscription",
    # drawn by the process that serves it, before there is a row
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    required("company_id", Integer),
    Column("partner_id", BigInteger),
    required("actor"),
    required("process", Uuid),
    Column("operation_name", Text),
    required("field"),
    required("transport"),
    instant("began_at", now=True),
    instant("seen_at", now=True),
    required("delivered", BigInteger, server_default="0"),
    instant("end_requested_at"),
    CheckConstraint(one_of("transport", StreamTransport), name="transport"),
    Index("ix_live_subscription_actor", "company_id", "actor"),
    Index(
        "ix_live_subscription_end_requested",
        "process",
        postgresql_where=text("end_requested_at is not null"),
    ),
    # no foreign keys: whoever watches is to be in nobody's way
    rows=owned("update", partner="partner_id = {partner}"),
    comment="A subscription that a process serves at this moment; seen_at is when it last said so.",
    # every row is written anew again and again; none of what changes is in an index
    fillfactor=50,
)

OUTBOX_WAITING = """
create function outbox_waiting(longer interval)
returns table (events bigint, oldest timestamptz)
language sql stable security definer set search_path = public as $$
  select count(*), min(created_at) from (
    select created_at from outbox_event
    where published_at = 'infinity' and created_at < clock_timestamp() - longer
    order by written_seq limit 100000) waiting
$$;
revoke all on function outbox_waiting(interval) from public;
grant execute on function outbox_waiting(interval) to erp_app
"""
"""How many events of all companies wait for the relay longer than they should."""

_EVENT_OF_JOB = """
    insert into outbox_event (company_id, topic, entity, entity_id, payload)
    select n.company_id, 'job.changed', 'Job', n.id,
           jsonb_build_object(
             'job_id', n.id, 'kind', n.kind, 'state', n.state, 'previous_state', {previous},
             'progress_done', n.progress_done, 'progress_total', n.progress_total,
             'attempts', n.attempts, 'created_by', n.created_by)
    from changed n{besides} order by n.id;
"""
_TOLD_OF_JOB = "({row}.state, {row}.progress_done, {row}.progress_total, {row}.attempts)"
_FURTHER = f""" join before o on o.id = n.id
    where {_TOLD_OF_JOB.format(row="o")} is distinct from {_TOLD_OF_JOB.format(row="n")}"""

JOB_EVENTS = f"""
create function job_changed() returns trigger
language plpgsql security definer set search_path = public as $$
begin
  if tg_op = 'INSERT' then
{_EVENT_OF_JOB.format(previous="null", besides="")}
  else
{_EVENT_OF_JOB.format(previous="o.state", besides=_FURTHER)}
  end if;
  return null;
end $$;
create trigger job_inserted after insert on job
  referencing new table as changed for each statement execute function job_changed();
create trigger job_updated after update on job
  referencing old table as before new table as changed
  for each statement execute function job_changed()
"""
"""A job tells of itself: an event when it is asked for, and when its state or progress changed."""

OPERATIONS_STATE = """
create function operations_state(since timestamptz)
returns table (section text, name text, number bigint, oldest timestamptz)
language sql stable as $$
  select 'queue', queue, count(*), min(run_at) from job where state = 'QUEUED' group by queue
  union all
  select 'failure', kind, count(*), min(finished_at) from job
  where (state = 'FAILED' or state = 'DEAD') and finished_at >= since group by kind
  union all
  select 'outbox', '', events, oldest from outbox_waiting(interval '1 second')
$$
"""
"""Queues and failed jobs of the caller's company, and events that wait, in one statement."""
