"""Connectors, runs and contracts as readers know them, and how to get to them."""

from resolvers.core.entity import entity
from resolvers.core.relation import by_key, children
from resolvers.integrations.tables import connector as connector_table
from resolvers.integrations.tables import contract as contract_table
from resolvers.integrations.tables import sync_failure as failure_table
from resolvers.integrations.tables import sync_run as run_table
from resolvers.integrations.tables import usage_record as usage_table

connector = entity("Connector", connector_table)
sync_run = entity("SyncRun", run_table)
sync_failure = entity("SyncFailure", failure_table)
contract = entity("Contract", contract_table)
usage_record = entity("UsageRecord", usage_table)

connector_by_id = by_key(connector)
usage_by_contract = children(usage_record, "contract_id", order=("contract_id", "period", "id"))
