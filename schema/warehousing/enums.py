"""Words of transfers and counts as GraphQL enums."""

from resolvers.warehousing.rules import CountAction, CountState, TransferAction, TransferState
from schema.core.enums import describe_enum

__all__ = ["CountAction", "CountState", "TransferAction", "TransferState"]

describe_enum(
    TransferState,
    "Where the goods of a transfer are.",
    {
        "IN_TRANSIT": "On their way, all of them or some; incoming where they go to.",
        "RECEIVED": "All came, or the rest went back after some came.",
        "CANCELED": "All went back.",
    },
)
describe_enum(
    TransferAction,
    "What can be done with a transfer.",
    {"RECEIVE": "Enter what came.", "CANCEL": "Let what is on its way go back."},
)
describe_enum(
    CountState,
    "How far a count is.",
    {
        "COUNTING": "Somebody is counting; stock is as it was.",
        "POSTED": "Stock was corrected by what was counted.",
        "CANCELED": "It was given up; stock stayed as it was.",
    },
)
describe_enum(
    CountAction,
    "What can be done with a count.",
    {
        "RECORD": "Enter what was found.",
        "POST": "Correct stock by what was found.",
        "CANCEL": "Give it up.",
    },
)
