"""Tables of connectors, their runs and failures, contracts and usage."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import CHAR

from resolvers.core.table import (
    big_id,
    instant,
    money,
    one_of,
    owned,
    quantity,
    required,
    small_id,
    table,
)
from resolvers.integrations.rules import (
    ConnectorState,
    ContractState,
    RetryState,
    SyncRunState,
    SyncStage,
)

connector = table(
    "connector",
    small_id(),
    required("company_id", Integer, ForeignKey("company.id")),
    required("code"),
    required("kind"),
    required("state", server_default="ACTIVE"),
    required("max_concurrency", SmallInteger, server_default="10"),
    UniqueConstraint("company_id", "code"),
    UniqueConstraint("id", "company_id", name="uq_connector_owner"),
    CheckConstraint(one_of("state", ConnectorState), name="state"),
    CheckConstraint("max_concurrency between 1 and 100", name="max_concurrency"),
    rows=owned("insert", "update"),
    comment="A system whose data is fetched, and how hard it may be asked.",
)

sync_run = table(
    "sync_run",
    big_id(),
    required("company_id", Integer),
    required("connector_id", Integer),
    Column("job_id", BigInteger, ForeignKey("job.id")),
    required("kind"),
    required("state", server_default="RUNNING"),
    required("fetched", Integer, server_default="0"),
    required("inserted", Integer, server_default="0"),
    required("updated", Integer, server_default="0"),
    required("unchanged", Integer, server_default="0"),
    required("failed", Integer, server_default="0"),
    instant("started_at", now=True),
    instant("finished_at"),
    UniqueConstraint("id", "company_id", name="uq_sync_run_owner"),
    ForeignKeyConstraint(
        ["connector_id", "company_id"],
        ["connector.id", "connector.company_id"],
        name="fk_sync_run_connector",
    ),
    CheckConstraint(one_of("state", SyncRunState), name="state"),
    CheckConstraint("inserted + updated + unchanged + failed <= fetched", name="fetched"),
    CheckConstraint("finished_at is null or state <> 'RUNNING'", name="finished_at"),
    Index("ix_sync_run_company", "company_id", "id"),
    Index("ix_sync_run_connector", "connector_id", "id"),
    rows=owned("insert", "update"),
    comment="One run of a connector, and how many records it found and wrote.",
)

sync_failure = table(
    "sync_failure",
    big_id(),
    required("company_id", Integer),
    required("run_id", BigInteger),
    required("entity"),
    Column("external_id", Text),
    required("stage"),
    required("code"),
    Column("message", Text),
    required("attempts", SmallInteger, server_default="1"),
    required("retry_state", server_default="OPEN"),
    ForeignKeyConstraint(
        ["run_id", "company_id"], ["sync_run.id", "sync_run.company_id"], name="fk_sync_failure_run"
    ),
    CheckConstraint(one_of("stage", SyncStage), name="stage"),
    CheckConstraint(one_of("retry_state", RetryState), name="retry_state"),
    Index("ix_sync_failure_run", "run_id", "id"),
    Index(
        "ix_sync_failure_open", "company_id", "id", postgresql_where=text("retry_state = 'OPEN'")
    ),
    rows=owned("insert", "update"),
    comment="A record that a run could not take over, and why.",
)

contract = table(
    "contract",
    big_id(),
    required("company_id", Integer),
    required("connector_id", Integer),
    required("external_id"),
    Column("partner_id", BigInteger, ForeignKey("partner.id")),
    required("number"),
    required("state", server_default="ACTIVE"),
    required("starts_on", Date),
    Column("ends_on", Date),
    required("currency", CHAR(3), ForeignKey("currency.code")),
    required("monthly_revenue", money()),
    instant("updated_at", now=True),
    UniqueConstraint("company_id", "external_id"),
    UniqueConstraint("id", "company_id", name="uq_contract_owner"),
    ForeignKeyConstraint(
        ["connector_id", "company_id"],
        ["connector.id", "connector.company_id"],
        name="fk_contract_connector",
    ),
    CheckConstraint(one_of("state", ContractState), name="state"),
    CheckConstraint("ends_on >= starts_on", name="ends_on"),
    CheckConstraint("monthly_revenue >= 0", name="monthly_revenue"),
    Index("ix_contract_starts_on", "company_id", "starts_on", "id"),
    Index("ix_contract_state", "company_id", "state", "starts_on", "id"),
    Index("ix_contract_partner", "partner_id", "company_id", "starts_on", "id"),
    rows=owned("insert", "update"),
    comment="A contract of another system, as it was fetched last.",
)

usage_record = table(
    "usage_record",
    big_id(),
    required("company_id", Integer),
    required("contract_id", BigInteger),
    required("metric"),
    required("period", Date),
    required("quantity", quantity()),
    ForeignKeyConstraint(
        ["contract_id", "company_id"],
        ["contract.id", "contract.company_id"],
        name="fk_usage_record_contract",
    ),
    UniqueConstraint("contract_id", "metric", "period"),
    Index("ix_usage_record_contract", "contract_id", "period", "id"),
    rows=owned("insert", "update"),
    comment="How much of something was used under a contract in a month.",
)
