"""Root fields of integrations."""

import strawberry

from resolvers.integrations.reads import connectors, contracts, sync_runs
from schema.core.connection import Connection, connection
from schema.integrations.inputs import ContractFilter, ContractOrderBy
from schema.integrations.types import Connector, Contract, SyncRun


@strawberry.type
class Query:
    """Root fields of this module."""

    connectors: Connection[Connector] | None = connection(
        "Systems whose data is fetched, by code.", connectors, requires="integrations.read"
    )
    sync_runs: Connection[SyncRun] | None = connection(
        "Runs of all of them, latest first.", sync_runs, requires="integrations.read"
    )
    contracts: Connection[Contract] | None = connection(
        "Contracts that were fetched, those that began last first.",
        contracts,
        filter_input=ContractFilter,
        order=ContractOrderBy,
        requires="integrations.read",
    )
