"""Tables of webhooks and of what was sent to them."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from resolvers.core.table import (
    archived_at,
    big_id,
    instant,
    one_of,
    owned,
    required,
    table,
    version,
)
from resolvers.webhooks.rules import DeliveryState, WebhookState

webhook = table(
    "webhook",
    big_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    Column("partner_id", BigInteger, ForeignKey("partner.id")),
    # who its subscription runs as, such as user:7 or client:3
    required("owner"),
    required("url"),
    required("document"),
    Column("operation_name", Text),
    required("variables", JSONB, server_default="{}"),
    required("state", server_default="ACTIVE"),
    # place in the log up to which everything was delivered, or became a dead letter
    required("seq", BigInteger, server_default="0"),
    # the same as its stream resumes after, where that is more than a place: within changes told one
    # after the other, and after a state; of another seq it means nothing
    Column("cursor", Text),
    # what its secret is derived from, with a key that the database does not know
    Column("salt", Text),
    Column("previous_salt", Text),
    instant("previous_until"),
    required("failures", SmallInteger, server_default="0"),
    required("dead_in_a_row", SmallInteger, server_default="0"),
    required("delivered", BigInteger, server_default="0"),
    instant("next_attempt_at"),
    Column("last_error", Text),
    instant("last_delivered_at"),
    instant("created_at", now=True),
    archived_at(),
    version(),
    UniqueConstraint("id", "company_id", name="uq_webhook_owner"),
    CheckConstraint(one_of("state", WebhookState), name="state"),
    CheckConstraint("seq >= 0", name="seq"),
    CheckConstraint("(previous_salt is null) = (previous_until is null)", name="previous"),
    CheckConstraint(
        "archived_at is null or state = 'DISABLED' and num_nonnulls(salt, previous_salt) = 0",
        name="archived_at",
    ),
    Index("ix_webhook_company", "company_id", "id", postgresql_where=text("archived_at is null")),
    Index(
        "ix_webhook_state",
        "company_id",
        "state",
        "id",
        postgresql_where=text("archived_at is null"),
    ),
    Index("ix_webhook_partner", "partner_id", "company_id", "id"),
    Index(
        "ix_webhook_live",
        "id",
        postgresql_where=text("state in ('ACTIVE', 'FAILING') and archived_at is null"),
    ),
    rows=owned("insert", "update", partner="partner_id = {partner}"),
    comment="A URL that the changes of a subscription are sent to, and how far it was told.",
)

webhook_delivery = table(
    "webhook_delivery",
    big_id(),
    required("company_id", Integer),
    Column("partner_id", BigInteger, ForeignKey("partner.id")),
    required("webhook_id", BigInteger),
    required("seq", BigInteger),
    required("state"),
    required("attempts", SmallInteger, server_default="1"),
    Column("status_code", SmallInteger),
    Column("error", Text),
    # as it was or is to be sent; gone once it was delivered
    Column("body", Text),
    instant("created_at", now=True),
    instant("attempted_at", now=True),
    UniqueConstraint("webhook_id", "seq"),
    ForeignKeyConstraint(
        ["webhook_id", "company_id"],
        ["webhook.id", "webhook.company_id"],
        name="fk_webhook_delivery_webhook",
    ),
    CheckConstraint(one_of("state", DeliveryState), name="state"),
    CheckConstraint("(body is null) = (state = 'DELIVERED')", name="body"),
    Index("ix_webhook_delivery_seq", "webhook_id", "seq", "id"),
    Index("ix_webhook_delivery_state", "webhook_id", "state", "seq", "id"),
    Index("ix_webhook_delivery_dead", "id", postgresql_where=text("state = 'DEAD'")),
    Index("ix_webhook_delivery_attempted_at", "attempted_at"),
    rows=owned("update", partner="partner_id = {partner}"),
    comment="One change that was sent to a webhook, or is to be: a dead letter if it was given up.",
)

LOG_ENDS = """
create function event_log_last() returns bigint
language sql stable security definer set search_path = public as $$
  select last_seq from outbox_counter
$$;
create function event_log_oldest() returns bigint
language sql stable security definer set search_path = public as $$
  select coalesce((select min(pub_seq) from outbox_event), (select last_seq + 1 from outbox_counter))
$$;
revoke all on function event_log_last(), event_log_oldest() from public;
grant execute on function event_log_last(), event_log_oldest() to erp_app, erp_partner
"""
"""Places of the last event that was published, and of the oldest that is kept, of any company."""
