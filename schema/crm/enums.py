"""Words of opportunities as GraphQL enums."""

from resolvers.crm.rules import ActivityKind, OpportunityStage
from schema.core.enums import describe_enum

__all__ = ["ActivityKind", "OpportunityStage"]

describe_enum(
    OpportunityStage,
    "How far an opportunity is.",
    {
        "NEW": "Somebody showed interest.",
        "QUALIFIED": "There is a need, and money for it.",
        "PROPOSITION": "An offer was made.",
        "WON": "It became an order.",
        "LOST": "It did not, and will not.",
    },
)
describe_enum(
    ActivityKind,
    "What is done about an opportunity.",
    {
        "CALL": "A telephone call.",
        "MEETING": "A meeting.",
        "EMAIL": "A message.",
        "TASK": "Anything else.",
    },
)
