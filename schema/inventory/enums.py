"""Words of stock as GraphQL enums."""

from resolvers.inventory.rules import (
    Crossing,
    HoldState,
    IncomingSource,
    LocationKind,
    MoveKind,
    ReservationSource,
    ReservationState,
    StockGroup,
)
from schema.core.enums import describe_enum

__all__ = [
    "Crossing",
    "HoldState",
    "IncomingSource",
    "LocationKind",
    "MoveKind",
    "ReservationSource",
    "ReservationState",
    "StockGroup",
]

describe_enum(
    StockGroup,
    "What a summary of stock can be grouped by.",
    {
        "WAREHOUSE": "The warehouse.",
        "PRODUCT": "The product.",
        "CATEGORY": "The category of the product.",
    },
)
describe_enum(
    LocationKind,
    "What a stock location is. Goods enter and leave through the virtual ones.",
    {
        "INTERNAL": "A place inside a warehouse.",
        "TRANSIT": "Goods on the way between warehouses.",
        "SUPPLIER": "Where goods come from.",
        "CUSTOMER": "Where goods go to.",
        "LOSS": "Counterpart of corrections.",
        "SCRAP": "Goods given up.",
    },
)
describe_enum(
    MoveKind,
    "Why goods moved.",
    {
        "OPENING": "Stock at the start.",
        "RECEIPT": "They came from a supplier.",
        "SHIPMENT": "They went to a customer.",
        "RETURN": "They came back.",
        "TRANSFER": "From one place to another.",
        "ADJUSTMENT": "A correction.",
        "SCRAP": "They were given up.",
    },
)
describe_enum(
    ReservationState,
    "What became of a reservation.",
    {
        "ACTIVE": "It holds stock.",
        "CONSUMED": "The goods were shipped.",
        "RELEASED": "It was given up.",
        "EXPIRED": "Its time ran out.",
    },
)
describe_enum(
    ReservationSource,
    "What a reservation is for.",
    {"SALES_ORDER_LINE": "A line of a sales order.", "CART": "A cart that is not yet an order."},
)
describe_enum(
    HoldState,
    "What became of stock that was held for somebody who was still deciding.",
    {
        "HELD": "It is kept for them until the hold expires.",
        "TAKEN": "An order took it over.",
        "RELEASED": "It was let go of.",
        "EXPIRED": "The time ran out.",
    },
)
describe_enum(
    IncomingSource,
    "What goods on their way come with.",
    {
        "PURCHASE_ORDER_LINE": "A line of a purchase order.",
        "STOCK_TRANSFER_LINE": "A line of a transfer from another warehouse.",
    },
)

describe_enum(
    Crossing,
    "Which threshold a change of availability crossed.",
    {
        "NONE": "It crossed none.",
        "FELL_BELOW": "It fell below availableBelow.",
        "ROSE_ABOVE": "It rose to availableBelow or above.",
        "OUT_OF_STOCK": "Nothing is left.",
        "BACK_IN_STOCK": "There is some again.",
    },
)
