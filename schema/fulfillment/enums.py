"""Words of fulfillment as GraphQL enums."""

from resolvers.fulfillment.rules import (
    FulfillmentStepName,
    ShipmentAction,
    ShipmentState,
    StepState,
)
from schema.core.enums import describe_enum

__all__ = ["FulfillmentStepName", "ShipmentAction", "ShipmentState", "StepState"]

describe_enum(
    ShipmentState,
    "How far a shipment is.",
    {
        "PLANNED": "It is to be picked.",
        "PICKING": "Somebody is collecting the goods.",
        "PACKED": "It is ready for the carrier.",
        "SHIPPED": "It has left the warehouse.",
        "DELIVERED": "It has arrived.",
        "CANCELED": "It does not leave.",
    },
)
describe_enum(
    ShipmentAction,
    "What can be done with a shipment.",
    {
        "START_PICKING": "Find out where the goods are, and collect them.",
        "PACK": "Pack what was picked.",
        "SHIP": "Hand it to the carrier.",
        "CONFIRM_DELIVERY": "Note that it arrived.",
        "CANCEL": "Put the goods back.",
    },
)
describe_enum(
    FulfillmentStepName,
    "What is done for an order, one after the other.",
    {
        "RESERVE": "Promise stock to it.",
        "PICK": "Collect the goods.",
        "PACK": "Pack them.",
        "LABEL": "Have the carrier make a label.",
        "SHIP": "Hand them to the carrier.",
    },
)
describe_enum(
    StepState,
    "How a step went.",
    {
        "PENDING": "It is still to be done.",
        "DONE": "It is done.",
        "FAILED": "It failed, and is tried again.",
    },
)
