"""What every command leaves behind besides its rows: an audit trail, and the answer to its key."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from resolvers.core.table import big_id, instant, owned, required, table

# Every command adds to it, some tens of thousands of rows, and what that takes is in its indexes; a
# foreign key would look the company up for each row. See ADR 0034.
audit_log = table(
    "audit_log",
    big_id(),
    instant("at", now=True),
    required("company_id", Integer),
    required("actor"),
    Column("request_id", Text),
    required("operation"),
    required("entity"),
    required("entity_id", BigInteger),
    required("action"),
    Column("diff", JSONB),
    # of the object, once changed; NULL where objects of the kind count none
    Column("version", Integer),
    Index("ix_audit_log_company", "company_id", "id"),
    Index("ix_audit_log_actor", "company_id", "actor", "id"),
    Index("ix_audit_log_type", "company_id", "entity", "id"),
    Index("ix_audit_log_at", "company_id", "at", "id"),
    Index("ix_audit_log_object", "entity_id", "entity"),
    rows=owned("insert"),
    comment="One change of one object: who, in which request, what before and after.",
)

idempotency_key = table(
    "idempotency_key",
    required("company_id", Integer, ForeignKey("company.id")),
    required("actor"),
    required("key"),
    required("operation"),
    required("request_hash", LargeBinary),
    Column("response", JSONB),
    instant("created_at", now=True),
    PrimaryKeyConstraint("company_id", "actor", "key"),
    CheckConstraint("length(key) between 1 and 200", name="key_length"),
    Index("ix_idempotency_key_created_at", "created_at"),
    rows=owned("insert", "update"),
    comment="The first request made with a key and the answer it got.",
)
