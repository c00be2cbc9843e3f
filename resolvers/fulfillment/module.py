"""Introduces fulfillment to the registry."""

from resolvers.core.module import DataModule
from resolvers.fulfillment.invariants import INVARIANTS
from resolvers.fulfillment.tables import (
    FULFILLMENT_STEPS,
    SHIPMENT_EVENTS,
    SHIPMENT_NUMBERS,
    fulfillment_step,
    package,
    shipment,
    shipment_line,
)

MODULE = DataModule(
    name="fulfillment",
    tables=(shipment, shipment_line, package, fulfillment_step),
    functions=(SHIPMENT_NUMBERS, SHIPMENT_EVENTS, FULFILLMENT_STEPS),
    invariants=INVARIANTS,
    permissions={
        "shipments.read": "See shipments, parcels, and how far orders are.",
        "shipments.write": "Ship orders.",
    },
)
