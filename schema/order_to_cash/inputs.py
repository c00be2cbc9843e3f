"""Inputs of orders that are placed."""

from datetime import date
from decimal import Decimal

import strawberry

from schema.reference.inputs import UOM
from schema.sales.enums import FulfillmentPolicy, SourcingStrategy


@strawberry.input(description="So much of a product that is ordered.")
class SalesOrderLineInput:
    """One line of `placeSalesOrder`."""

    sku: str = strawberry.field(description="SKU of the product.")
    qty: Decimal = strawberry.field(description="How much of it, above 0.")
    uom: str | None = strawberry.field(default=None, description=UOM)


@strawberry.input(description="An order of a customer; what is left out is found out.")
class PlaceSalesOrderInput:
    """Input of `placeSalesOrder`."""

    partner_id: strawberry.ID = strawberry.field(description="The customer.")
    lines: list[SalesOrderLineInput] = strawberry.field(
        description="What is ordered, 1 to 400 lines."
    )
    warehouse_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="Where all of it leaves from; null: it is chosen by what there is.",
    )
    sourcing: SourcingStrategy = strawberry.field(
        default=SourcingStrategy.SINGLE_WAREHOUSE_FIRST,
        description="How it is chosen where lines leave from, where warehouseId is null. A line "
        "may become several that come to the same amounts.",
    )
    fulfillment_policy: FulfillmentPolicy = strawberry.field(
        default=FulfillmentPolicy.BACKORDER,
        description="What becomes of it where there is not enough stock.",
    )
    hold_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="Stock held by holdStock that its lines get, wherever it is; the hold ends. "
        "Only with confirm.",
    )
    ship_to_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="Address of the customer it goes to; null: its default one. The tax is that of "
        "the address's country.",
    )
    channel: str = strawberry.field(
        default="API", description="Where the order comes from, 1 to 100 characters."
    )
    customer_ref: str | None = strawberry.field(
        default=None, description="The customer's own number of the order."
    )
    external_ref: str | None = strawberry.field(
        default=None,
        description="Your number of the order, once per channel: a second order with it is refused "
        "with the first (DUPLICATE).",
    )
    requested_on: date | None = strawberry.field(
        default=None, description="Day the customer wants it on."
    )
    confirm: bool = strawberry.field(
        default=False,
        description="True: accept it at once, as confirmSalesOrder does; over the customer's "
        "credit it is put on hold instead.",
    )
