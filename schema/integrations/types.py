"""Connectors, runs, failures, contracts and usage."""

from datetime import date, datetime
from decimal import Decimal

from resolvers.integrations.loaders import (
    connector,
    connector_by_id,
    contract,
    sync_failure,
    sync_run,
    usage_by_contract,
    usage_record,
)
from resolvers.integrations.reads import sync_failures, sync_runs
from resolvers.partners.loaders import partner_by_id
from schema.core.connection import Connection, connection
from schema.core.fields import ID, Money, RowType, column, money, node_id, related
from schema.core.node import Node, node_type
from schema.core.scalars import CurrencyCode
from schema.integrations.enums import (
    ConnectorState,
    ContractState,
    RetryState,
    SyncRunState,
    SyncStage,
)
from schema.partners.types import Partner


@node_type(sync_failure, "A record that a run could not take over.", requires="integrations.read")
class SyncFailure(RowType, Node):
    """A row of `sync_failure`."""

    id: ID = node_id("SyncFailure")
    entity: str = column("What kind of record it is, such as contract.")
    external_id: str | None = column("Its id in the other system, if it has one.")
    stage: SyncStage = column("Where it failed.")
    code: str = column("Why, for programs, such as UNKNOWN_CUSTOMER.")
    message: str | None = column("Why, for people.")
    attempts: int = column("How often it was tried.")
    retry_state: RetryState = column("What became of it.")


@node_type(sync_run, "One run of a connector.", requires="integrations.read")
class SyncRun(RowType, Node):
    """A row of `sync_run`."""

    id: ID = node_id("SyncRun")
    kind: str = column("What it fetched, such as contracts.")
    state: SyncRunState = column("How it went.")
    fetched: int = column("Records that were found.")
    inserted: int = column("Of these, new ones.")
    updated: int = column("Of these, changed ones.")
    unchanged: int = column("Of these, such as are the same as before.")
    failed: int = column("Of these, such as could not be taken over.")
    started_at: datetime = column("When it began.")
    finished_at: datetime | None = column("When it ended; null while it runs.")
    failures: Connection[SyncFailure] = connection(
        "What could not be taken over, in the order it was found.", sync_failures, parent="run_id"
    )


@node_type(connector, "A system whose data is fetched.", requires="integrations.read")
class Connector(RowType, Node):
    """A row of `connector`."""

    id: ID = node_id("Connector")
    code: str = column("Code, unique in the company.")
    kind: str = column("What kind of system it is, such as billing.")
    state: ConnectorState = column("Whether it works.")
    max_concurrency: int = column("Most requests to the system at once.")
    runs: Connection[SyncRun] = connection(
        "Its runs, latest first.", sync_runs, parent="connector_id"
    )


@node_type(
    usage_record, "How much was used under a contract in a month.", requires="integrations.read"
)
class UsageRecord(RowType, Node):
    """A row of `usage_record`."""

    id: ID = node_id("UsageRecord")
    metric: str = column("What was counted, such as api_calls.")
    period: date = column("First day of the month.")
    qty: Decimal = column("How much was used.", of="quantity")


@node_type(contract, "A contract of another system.", requires="integrations.read")
class Contract(RowType, Node):
    """A row of `contract`."""

    id: ID = node_id("Contract")
    number: str = column("Number on paper.")
    external_id: str = column("Its id in the system it came from.")
    state: ContractState = column("Whether it holds.")
    starts_on: date = column("First day.")
    ends_on: date | None = column("Last day; null if it has none.")
    currency: CurrencyCode = column("Currency of its revenue.")
    mrr: Money = money("Revenue in a month.", "monthly_revenue")
    updated_at: datetime = column("When it was taken over last.")
    partner: Partner | None = related(
        "Customer, if it was recognized.", partner_by_id, "partner_id", requires="partners.read"
    )
    connector: Connector = related("Where it came from.", connector_by_id, "connector_id")
    usage: list[UsageRecord] = related(
        "What was used, month by month.", usage_by_contract, "id", size=12
    )
