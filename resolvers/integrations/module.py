"""Introduces connectors to the registry."""

from resolvers.core.module import DataModule
from resolvers.integrations.invariants import INVARIANTS
from resolvers.integrations.tables import (
    connector,
    contract,
    sync_failure,
    sync_run,
    usage_record,
)

MODULE = DataModule(
    name="integrations",
    tables=(connector, sync_run, sync_failure, contract, usage_record),
    invariants=INVARIANTS,
    permissions={"integrations.read": "See connectors, their runs, contracts and usage."},
)
