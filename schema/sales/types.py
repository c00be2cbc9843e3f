"""SalesOrder and SalesOrderLine, and what mutations answer with."""

from datetime import date, datetime
from decimal import Decimal

import strawberry

from resolvers.catalog.loaders import product_by_id
from resolvers.inventory.loaders import warehouse_by_id
from resolvers.partners.loaders import address_by_id, partner_by_id
from resolvers.reference.loaders import tax_by_id, unit_by_id
from resolvers.sales.loaders import (
    lines_by_order,
    lots_by_order_line,
    order_by_id,
    sales_order,
    sales_order_line,
)
from resolvers.sales.rules import order_actions
from schema.catalog.types import Product
from schema.core.fields import (
    ID,
    Money,
    RowType,
    column,
    computed,
    held,
    money,
    node_id,
    related,
)
from schema.core.node import Node, node_type, row_type
from schema.core.payload import Payload, UserError
from schema.core.scalars import CurrencyCode
from schema.inventory.types import Lot, Warehouse
from schema.partners.types import Address, Partner
from schema.reference.types import Tax, UnitOfMeasure
from schema.sales.enums import (
    FulfillmentPolicy,
    InvoiceStatus,
    OrderAction,
    OrderHold,
    OrderPaymentStatus,
    OrderState,
    ReservationStatus,
    ShipmentStatus,
)


@node_type(sales_order_line, "One product on a sales order.", requires="sales.read")
class SalesOrderLine(RowType, Node):
    """A row of `sales_order_line`."""

    id: ID = node_id("SalesOrderLine")
    seq: int = column("Position on the order, from 1.", of="position")
    product: Product = related("Product ordered.", product_by_id, "product_id")
    description: str = column("Text on the order.")
    uom: UnitOfMeasure = related("Unit of the quantities.", unit_by_id, "uom_id")
    qty: Decimal = column("Quantity ordered.", of="quantity")
    qty_entered: Decimal = column(
        "Quantity as it was entered, in uomEntered; qty where no unit was named."
    )
    uom_entered: str = column("Code of the unit it was entered in: a pack, or another unit.")
    unit_price: Money = money("Price of one unit.", "unit_price")
    discount_pct: Decimal = column("Discount in percent.", of="discount_percent")
    net: Money = money("Amount without tax.", "net")
    tax: Money = money("Tax on it.", "tax")
    tax_applied: Tax | None = related(
        "Which tax that is; null where none was named.", tax_by_id, "tax_id"
    )
    promised_on: date | None = column("Date promised to the customer.")
    qty_reserved: Decimal = column("Reserved and not yet shipped.", of="reserved")
    qty_shipped: Decimal = column("Shipped.", of="shipped")
    qty_returned: Decimal = column("Came back, of what was shipped.", of="returned")
    qty_canceled: Decimal = column("Canceled.", of="canceled")
    qty_invoiced: Decimal = column("Asked for by invoices.", of="invoiced")
    qty_backordered: Decimal = column("Still to be shipped and not reserved.", of="backordered")
    warehouse: Warehouse = related("Warehouse it leaves from.", warehouse_by_id, "warehouse_id")
    order: "SalesOrder" = related("Order it is on.", order_by_id, "order_id")
    lots: list[Lot] | None = related(
        "Lots that were shipped for it or came back, if the product is tracked.",
        lots_by_order_line,
        "id",
        requires="stock.read",
        size=2,
    )


@node_type(sales_order, "An order of a customer.", requires="sales.read")
class SalesOrder(RowType, Node):
    """A row of `sales_order`."""

    id: ID = node_id("SalesOrder")
    number: str = column("Number on paper, unique in the company.")
    state: OrderState = column("Where the order is in its life.")
    hold: OrderHold | None = column("Why work on it is stopped; null when it is not.")
    reservation_status: ReservationStatus = column("How much is reserved.")
    shipment_status: ShipmentStatus = column("How much has left the warehouse.")
    invoice_status: InvoiceStatus = column("How much is invoiced.")
    payment_status: OrderPaymentStatus = column("How much is paid, by its invoices.")
    available_actions: list[OrderAction] = computed(
        "What can be done with it now, by its states; the usual next thing first.",
        lambda row: order_actions(
            row["state"], row["hold"], row["reservation_status"], row["shipment_status"]
        ),
        needs=("state", "hold", "reservation_status", "shipment_status"),
    )
    channel: str = column("Where the order came from, such as MANUAL, WEB or EDI.")
    partner: Partner = related("Customer.", partner_by_id, "partner_id")
    ship_to: Address | None = related("Where the goods go.", address_by_id, "ship_to_id")
    warehouse: Warehouse = related(
        "Warehouse it ships from, unless lines name others.", warehouse_by_id, "warehouse_id"
    )
    fulfillment_policy: FulfillmentPolicy = column(
        "What becomes of it where there is not enough stock."
    )
    currency: CurrencyCode = column("Currency of all amounts of the order.")
    valid_until: date | None = column(
        "Last day a quote can be accepted on; null where it does not end."
    )
    customer_ref: str | None = column("The customer's own order number.")
    external_ref: str | None = column("Id of the order in the system it came from.")
    placed_on: date = column("Date of the order.")
    requested_on: date | None = column("Date the customer wants the goods.")
    promised_on: date | None = column("Date promised to the customer.")
    subtotal: Money = money("Sum of the lines without tax.", "subtotal")
    tax_total: Money = money("Tax.", "tax_total")
    total: Money = money("Amount to pay.", "total")
    version: int = column("Counter of changes; send it back as the expected version of an edit.")
    created_at: datetime = column("When the order was entered.")
    confirmed_at: datetime | None = column("When it was accepted.")
    lines: list[SalesOrderLine] = related("Lines, by position.", lines_by_order, "id", size=5)


@row_type("Shortage", "A line of an order that there is not enough stock for.")
class Shortage(RowType):
    """A shortage of the outcome of `reserve_order`."""

    sku: str = column("SKU of the product.")
    requested: Decimal = column("How much the line waits for.")
    available: Decimal = column("How much of that there is.")
    next_incoming_on: date | None = column(
        "Day on which the next of it is expected; null if nothing is on its way.", of="next_on"
    )
    next_incoming_qty: Decimal | None = column(
        "How much comes then; null if nothing is on its way.", of="next_quantity"
    )


@strawberry.type(description="What was reserved for an order, or why it was refused.")
class ReserveOrderPayload(Payload):
    """Outcome of `resolvers.sales.commands.reserve_order`."""

    order: SalesOrder | None = related(
        "The order as it is now; null when there is no such order.", order_by_id, "id"
    )
    shortages: list[Shortage] = held("Lines that still wait for stock.", "shortages", size=5)
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


@strawberry.type(description="What was done with an order, or why it was refused.")
class SalesOrderPayload(Payload):
    """Outcome of commands that change an order and nothing besides."""

    order: SalesOrder | None = related(
        "The order as it is now; null when there is no such order.", order_by_id, "id"
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")
