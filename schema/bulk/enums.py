"""Words of upserts as GraphQL enums."""

from resolvers.bulk.rules import OnError
from schema.core.enums import describe_enum

__all__ = ["OnError"]

describe_enum(
    OnError,
    "What becomes of all rows when some are wrong.",
    {
        "REJECT_EVERYTHING": "Nothing is written.",
        "REJECT_FAILED_ROWS": "The others are written.",
    },
)
