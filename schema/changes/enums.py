"""Words of changes as GraphQL enums."""

from resolvers.changes.rules import ChangeTopic
from schema.core.enums import describe_enum

__all__ = ["ChangeTopic"]

describe_enum(
    ChangeTopic,
    "What changes can be of.",
    {
        "STOCK": "A stock level. Requires `stock.read`; not for clients bound to a partner.",
        "ORDER_STATUS": "How far a sales order is. Requires `sales.read`.",
        "SHIPMENT_WORK": "A shipment that there is work on. Requires `shipments.read`.",
        "JOB": "A job. Requires `operations.read`; not for clients bound to a partner.",
    },
)
