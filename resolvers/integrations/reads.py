"""Lists of connectors, runs, failures and contracts."""

from resolvers.core.listing import Between, Listing, OneOf
from resolvers.integrations.loaders import connector, contract, sync_failure, sync_run

_contract = contract.columns

connectors = Listing(
    name="connectors", entity=connector, orders={"CODE": ("code",)}, default_order="CODE"
)
sync_runs = Listing(
    name="syncRuns", entity=sync_run, orders={"ID": ()}, default_order="ID", default_descending=True
)
sync_failures = Listing(
    name="syncFailures", entity=sync_failure, orders={"ID": ()}, default_order="ID"
)
contracts = Listing(
    name="contracts",
    entity=contract,
    orders={"STARTS_ON": ("starts_on",)},
    default_order="STARTS_ON",
    default_descending=True,
    filters={
        "states": OneOf(_contract["state"]),
        "partner_ids": OneOf(_contract["partner_id"], "Partner"),
        "starts_on": Between(_contract["starts_on"]),
    },
)
