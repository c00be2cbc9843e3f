"""Words of sales as GraphQL enums."""

from resolvers.sales.rules import (
    FulfillmentPolicy,
    InvoiceStatus,
    OrderAction,
    OrderAxis,
    OrderHold,
    OrderPaymentStatus,
    OrderState,
    ReservationStatus,
    ShipmentStatus,
    SourcingStrategy,
)
from schema.core.enums import describe_enum

__all__ = [
    "FulfillmentPolicy",
    "InvoiceStatus",
    "OrderAction",
    "OrderAxis",
    "OrderHold",
    "OrderPaymentStatus",
    "OrderState",
    "ReservationStatus",
    "ShipmentStatus",
    "SourcingStrategy",
]

describe_enum(
    OrderState,
    "Where a sales order is in its life.",
    {
        "DRAFT": "Being written; nothing is promised.",
        "QUOTED": "Offered to the customer.",
        "PLACED": "Ordered by the customer and not yet accepted.",
        "CONFIRMED": "Accepted; goods are reserved and shipped.",
        "FULFILLED": "Everything was shipped.",
        "CANCELED": "Given up.",
    },
)
describe_enum(
    OrderHold,
    "Why work on a sales order is stopped.",
    {
        "CREDIT": "The customer's credit limit is used up.",
        "PAYMENT": "A payment failed.",
        "MANUAL": "Somebody stopped it.",
        "ADDRESS": "The address has to be cleared up.",
    },
)
describe_enum(
    OrderAxis,
    "In which respect a sales order got further, or back.",
    {
        "LIFECYCLE": "Where it is in its life: its `state`.",
        "HOLD": "Whether work on it is stopped.",
        "RESERVATION": "How much is reserved.",
        "SHIPMENT": "How much has left the warehouse.",
        "INVOICE": "How much is invoiced.",
        "PAYMENT": "How much is paid.",
    },
)
describe_enum(
    ReservationStatus,
    "How much of a sales order is reserved.",
    {
        "NONE": "Nothing.",
        "PARTIAL": "A part of what is still to be shipped.",
        "FULL": "All that is still to be shipped.",
    },
)
describe_enum(
    ShipmentStatus,
    "How much of a sales order has left the warehouse.",
    {"NONE": "Nothing.", "PARTIAL": "A part.", "SHIPPED": "All of it."},
)
describe_enum(
    InvoiceStatus,
    "How much of a sales order is invoiced.",
    {"NONE": "Nothing.", "PARTIAL": "A part.", "INVOICED": "All that was not canceled."},
)
describe_enum(
    OrderPaymentStatus,
    "How much of a sales order is paid.",
    {
        "NOT_PAID": "Nothing.",
        "PARTIAL": "A part, or all of what was invoiced while more is to be.",
        "PAID": "All of it was invoiced, and the invoices are paid.",
    },
)
describe_enum(
    FulfillmentPolicy,
    "What becomes of a sales order that there is not enough stock for.",
    {
        "ALL_OR_NOTHING": "It waits until everything is there, and leaves all at once.",
        "PARTIAL": "What is there leaves; what is not reserved by then is canceled.",
        "BACKORDER": "What is there leaves, and the rest waits.",
    },
)
describe_enum(
    SourcingStrategy,
    "How the warehouses are chosen that goods come from.",
    {
        "SINGLE_WAREHOUSE_FIRST": "The first warehouse that has everything, else for each line the "
        "first that has all of it, else as few as there can be.",
        "PRIORITY": "By their priority.",
        "NEAREST_REGION": "First those whose region is that of the address, then those that serve "
        "its country, then the others, each by priority.",
        "HIGHEST_AVAILABLE": "For each line, those first that have most of it.",
    },
)
describe_enum(
    OrderAction,
    "What can be done with a sales order.",
    {
        "CONFIRM": "Accept it, and promise stock to it.",
        "RESERVE": "Promise stock to what has none yet.",
        "SHIP": "Ship what is reserved.",
        "RELEASE_HOLD": "Let work on it go on.",
        "HOLD": "Stop work on it.",
        "CANCEL": "Give it up.",
        "RETURN_GOODS": "Take back what was shipped.",
    },
)
