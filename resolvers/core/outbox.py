"""The outbox: events written with the change they tell of, published later by the relay."""

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from resolvers.core.statement import compile_statement
from resolvers.core.table import instant, internal, required, table

WRITTEN_CHANNEL = "erp_outbox_written"
"""Processes notify here after a commit that wrote events, to wake the relay."""
PUBLISHED_CHANNEL = "erp_outbox_published"
"""The relay notifies here after it published events, to wake every process."""


outbox_event = table(
    "outbox_event",
    Column("id", Uuid, primary_key=True, server_default=text("erp_uuid7()")),
    required("company_id", Integer),
    required("topic"),
    required("entity"),
    required("entity_id", BigInteger),
    required("payload", JSONB),
    instant("created_at", now=True),
    # An event that follows from another was written later, so this order never puts it first; ids
    # of transactions and clocks do (a transaction may wait for one that began after it).
    Column("written_seq", BigInteger, Identity(always=True), nullable=False),
    Column("pub_seq", BigInteger, unique=True),
    instant("published_at"),
    Index("ix_outbox_event_unpublished", "written_seq", postgresql_where=text("pub_seq is null")),
    Index("ix_outbox_event_company_log", "company_id", "topic", "pub_seq"),
    rows=internal(),
    comment="One event, born in the transaction that changed what it tells of.",
)

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
    text("select last_seq, unpublished from log_position()"), "log position"
)
"""One row: the last place given, and the ids of the company's events that have none yet."""

LOG_POSITION_FUNCTION = """
create function log_position(out last_seq bigint, out unpublished text[])
language sql stable security definer set search_path = public as $$
  select counter.last_seq, array(
           select event.id::text from outbox_event event
           where event.pub_seq is null
             and event.company_id = nullif(current_setting('app.company_id', true), '')::integer)
  from outbox_counter counter
$$;
revoke execute on function log_position() from public;
grant execute on function log_position() to erp_app, erp_partner
"""
"""The outbox is closed to the roles that serve; this tells them no more than how far it is."""
