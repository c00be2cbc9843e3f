"""The outbox: events written with the change they tell of, published later by the relay."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from resolvers.core.statement import compile_statement
from resolvers.core.table import instant, internal, required, table

WRITTEN_CHANNEL = "erp_outbox_written"
"""Processes notify here after a commit that wrote events, to wake the relay."""
PUBLISHED_CHANNEL = "erp_outbox_published"
"""The relay notifies here after it published events, to wake every process."""
WAITING: Final = "infinity"
"""When an event is published that has no place yet: never so far. It keeps such events together."""

_PLACED = text("pub_seq is not null")

# Partitioned by when an event was published: those that wait have a partition of their own, which
# stays small, and each day of the log has one, which is never written to again and dropped whole.
outbox_event = table(
    "outbox_event",
    required("id", Uuid, server_default=text("erp_uuid7()")),
    required("company_id", Integer),
    required("topic"),
    required("entity"),
    required("entity_id", BigInteger),
    required("payload", JSONB),
    instant("created_at", now=True),
    # An event that follows from another was written later, so this order never puts it first; ids
    # of transactions and clocks do (a transaction may wait for one that began after it).
    required("written_seq", BigInteger, server_default=text("nextval('outbox_event_written')")),
    Column("pub_seq", BigInteger),
    required("published_at", DateTime(timezone=True), server_default=WAITING),
    PrimaryKeyConstraint("written_seq", "published_at"),
    CheckConstraint("(pub_seq is null) = (published_at = 'infinity')", name="published"),
    # writers pay for the key alone: what waits is in no other index
    Index("ix_outbox_event_pub_seq", "pub_seq", postgresql_where=_PLACED),
    Index(
        "ix_outbox_event_company_log", "company_id", "topic", "pub_seq", postgresql_where=_PLACED
    ),
    rows=internal(),
    comment="One event, born in the transaction that changed what it tells of.",
    partition_by="range (published_at)",
)

WRITTEN_SEQUENCE = "create sequence outbox_event_written"
"""A sequence of its own: identity columns of partitioned tables need PostgreSQL 17."""

PARTITIONS = """
create table outbox_event_waiting partition of outbox_event
  for values from ('infinity') to (maxvalue);
create table outbox_event_rest partition of outbox_event default;
alter sequence outbox_event_written owned by outbox_event.written_seq;
alter table outbox_event_waiting enable row level security;
alter table outbox_event_rest enable row level security
"""
"""Where events wait, and where those go for whose day there is no partition; the relay makes days."""

outbox_counter = table(
    "outbox_counter",
    Column("only", Integer, primary_key=True, server_default="1"),
    required("last_seq", BigInteger, server_default="0"),
    rows=internal(),
    comment="The last place given in the published log; one row.",
)

UUID7 = """
create function erp_uuid7() returns uuid language sql volatile parallel safe as $$
  -- RFC 9562, version 7: 48 bits of Unix milliseconds, then random bits
  select encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
           placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
           from 1 for 6), 52, 1), 53, 1), 'hex')::uuid
$$
"""
"""Time-ordered ids on PostgreSQL 15 to 17, which have no uuidv7()."""

COUNTER_ROW = "insert into outbox_counter default values"

LOG_POSITION = compile_statement(
    text("select last_seq, last_written, waiting from log_position(:topics, :most)"),
    "log position",
)
"""One row: the last place given, a number that whatever is written from now on has a greater
``written_seq`` than, and those of the company's events of some topics that have no place yet: so
many at most."""

LOG_POSITION_FUNCTION = """
create function log_position(topics text[], most integer,
                             out last_seq bigint, out last_written bigint, out waiting bigint[])
language sql stable security definer set search_path = public as $$
  select counter.last_seq, written.last_value, array(
           select event.written_seq from outbox_event event
           where event.published_at = 'infinity' and event.topic = any(topics)
             and event.company_id = nullif(current_setting('app.company_id', true), '')::integer
           order by event.written_seq limit most)
  from outbox_counter counter, outbox_event_written written
$$;
revoke execute on function log_position(text[], integer) from public;
grant execute on function log_position(text[], integer) to erp_app, erp_partner
"""
"""The outbox is closed to the roles that serve; this tells them no more than how far it is."""

LOG_POSITION_BEFORE = """
create function log_position(out last_seq bigint, out unpublished text[])
language sql stable security definer set search_path = public as $$
  select counter.last_seq, array(
           select event.id::text from outbox_event event
           where event.published_at = 'infinity'
             and event.company_id = nullif(current_setting('app.company_id', true), '')::integer)
  from outbox_counter counter
$$;
revoke execute on function log_position() from public;
grant execute on function log_position() to erp_app, erp_partner
"""
"""The same as processes of the release before ask it."""
