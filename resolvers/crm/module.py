"""Introduces opportunities to the registry."""

from resolvers.core.module import DataModule
from resolvers.crm.tables import activity, opportunity

MODULE = DataModule(
    name="crm",
    tables=(opportunity, activity),
    permissions={"crm.read": "See opportunities, and what is done about them."},
)
