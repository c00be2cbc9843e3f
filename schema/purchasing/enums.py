"""Words of purchasing as GraphQL enums."""

from resolvers.purchasing.rules import BillStatus, PurchaseAction, PurchaseOrderState, ReceiptStatus
from schema.core.enums import describe_enum

__all__ = ["BillStatus", "PurchaseAction", "PurchaseOrderState", "ReceiptStatus"]

describe_enum(
    PurchaseOrderState,
    "Where a purchase order is in its life.",
    {
        "DRAFT": "Being written; nothing is ordered yet.",
        "SENT": "Sent to the supplier, who has not confirmed it.",
        "TO_APPROVE": "Waiting for somebody who may spend so much.",
        "CONFIRMED": "The supplier delivers; what is outstanding counts as incoming.",
        "FULFILLED": "Everything was received, or canceled after a part was.",
        "CANCELED": "Given up before anything was received.",
    },
)
describe_enum(
    PurchaseAction,
    "What can be done with a purchase order.",
    {
        "SEND": "Send it to the supplier.",
        "APPROVE": "Allow so much to be spent.",
        "CONFIRM": "Enter that the supplier delivers it.",
        "RECEIVE": "Enter goods that came.",
        "CLOSE": "Wait no longer for the rest.",
        "CANCEL": "Give it up.",
    },
)
describe_enum(
    ReceiptStatus,
    "How much of a purchase order has arrived.",
    {
        "NONE": "Nothing.",
        "PARTIAL": "A part of what was not canceled.",
        "RECEIVED": "All that was not canceled.",
    },
)
describe_enum(
    BillStatus,
    "How much of a purchase order the supplier has billed.",
    {
        "NONE": "Nothing.",
        "PARTIAL": "A part of what was not canceled.",
        "BILLED": "All that was not canceled.",
    },
)
