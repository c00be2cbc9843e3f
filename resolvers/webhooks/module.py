"""Introduces webhooks to the registry."""

from resolvers.core.module import DataModule
from resolvers.webhooks.invariants import INVARIANTS
from resolvers.webhooks.tables import LOG_ENDS, webhook, webhook_delivery

MODULE = DataModule(
    name="webhooks",
    tables=(webhook, webhook_delivery),
    functions=(LOG_ENDS,),
    invariants=INVARIANTS,
    permissions={
        "webhooks.read": "See webhooks and what was sent to them.",
        "webhooks.manage": "Make, change, pause, replay and delete webhooks.",
    },
)
