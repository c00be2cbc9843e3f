"""Warehouses, their stock, the moves it is made of, and what is reserved and on its way."""

from datetime import date, datetime
from decimal import Decimal

from resolvers.catalog.loaders import product_by_id
from resolvers.inventory.loaders import (
    balances_by_level,
    balances_by_lot,
    incoming_stock,
    lines_by_hold,
    location,
    location_by_id,
    locations_by_warehouse,
    lot,
    lot_by_id,
    reservation,
    stock_hold,
    stock_level,
    stock_move,
    warehouse,
    warehouse_by_id,
)
from resolvers.inventory.reads import reservations
from resolvers.partners.loaders import partner_by_id
from schema.catalog.types import Product
from schema.core.connection import Connection, connection
from schema.core.fields import ID, RowType, column, computed, node_id, related
from schema.core.node import Node, node_type, row_type
from schema.inventory.enums import (
    HoldState,
    IncomingSource,
    LocationKind,
    MoveKind,
    ReservationSource,
    ReservationState,
)
from schema.partners.types import Partner


@node_type(location, "A place inside a warehouse, or a virtual place.", requires="stock.read")
class StockLocation(RowType, Node):
    """A row of `stock_location`."""

    id: ID = node_id("StockLocation")
    code: str = column("Code, unique in the company.")
    path: str = column("Codes from the warehouse to here.")
    kind: LocationKind = column("Inside a warehouse, or which virtual place.")
    sellable: bool = column("Stock here can be promised to customers.")
    warehouse: "Warehouse | None" = related(
        "Warehouse it is in; null for virtual places.", warehouse_by_id, "warehouse_id"
    )


@row_type("StockBalance", "Stock of one product, of one lot if it is tracked, at one location.")
class StockBalance(RowType):
    """A row of `stock_balance`."""

    location: StockLocation = related("Where it is.", location_by_id, "location_id")
    lot: "Lot | None" = related(
        "Which lot it is; null for products that are not tracked.", lot_by_id, "lot_id"
    )
    on_hand: Decimal = column("How much is there.")


@node_type(reservation, "Stock promised to something and still there.", requires="stock.read")
class Reservation(RowType, Node):
    """A row of `stock_reservation`."""

    id: ID = node_id("Reservation")
    source: ReservationSource = column("What it is for.")
    qty: Decimal = column("How much was reserved.", of="quantity")
    consumed: Decimal = column("How much of it was shipped.")
    state: ReservationState = column("What became of it.")
    expires_at: datetime | None = column("When it ends by itself.")
    created_at: datetime = column("When it was made.")


@node_type(
    stock_level,
    "Stock of one product in one warehouse: the numbers that orders are promised from.",
    requires="availability.read",
)
class StockLevel(RowType, Node):
    """A row of `stock_level`."""

    id: ID = node_id("StockLevel")
    product: Product = related("Product in stock.", product_by_id, "product_id")
    warehouse: "Warehouse" = related("Warehouse it is in.", warehouse_by_id, "warehouse_id")
    on_hand: Decimal | None = column("Physically there and sellable.", requires="stock.read")
    reserved: Decimal | None = column("Promised to orders and still there.", requires="stock.read")
    available: Decimal = column("onHand - reserved: what can be promised now.")
    incoming: Decimal = column("Ordered from suppliers and not yet received.")
    outgoing: Decimal | None = column(
        "Ordered by customers and not yet shipped.", requires="stock.read"
    )
    projected: Decimal | None = column("onHand + incoming - outgoing.", requires="stock.read")
    below_reorder_point: bool | None = column(
        "The projection is at or below the point from which to order again.", requires="stock.read"
    )
    version: str = computed(
        "Counter of changes; send it back as the expected version of an adjustment.",
        lambda row: str(row["version"]),
        needs=("version",),
    )
    updated_at: datetime = column("When it last changed.")
    balances: list[StockBalance] | None = related(
        "Stock by location, where there is any.",
        balances_by_level,
        "id",
        requires="stock.read",
        size=4,
    )
    reservations: Connection[Reservation] | None = connection(
        "Reservations ever made on this level.",
        reservations,
        parent="level_id",
        requires="stock.read",
    )


@row_type("StockTotals", "Stock of one product over warehouses.")
class StockTotals(RowType):
    """Sums of `stock_level`."""

    on_hand: Decimal | None = column("Physically there and sellable.", requires="stock.read")
    reserved: Decimal | None = column("Promised to orders and still there.", requires="stock.read")
    available: Decimal = column("What can be promised now.")
    incoming: Decimal = column("Ordered from suppliers and not yet received.")
    outgoing: Decimal | None = column(
        "Ordered by customers and not yet shipped.", requires="stock.read"
    )
    projected: Decimal | None = column("onHand + incoming - outgoing.", requires="stock.read")


@node_type(warehouse, "A site that holds stock.", requires=None)
class Warehouse(RowType, Node):
    """A row of `warehouse`."""

    id: ID = node_id("Warehouse")
    code: str = column("Code, unique in the company.")
    name: str = column("Name of the site.")
    region: str | None = column("Region it serves.")
    priority: int = column("Order in which warehouses are tried; 1 is first.")
    archived_at: datetime | None = column("When it was closed.")
    locations: list[StockLocation] | None = related(
        "Places inside it, by code.", locations_by_warehouse, "id", requires="stock.read"
    )


@node_type(
    lot,
    "Units of a product that are told apart: a batch, or one unit with a serial number.",
    requires="stock.read",
)
class Lot(RowType, Node):
    """A row of `lot`."""

    id: ID = node_id("Lot")
    number: str = column("Number of the lot, or serial number; unique for the product.")
    product: Product = related("Product it is of.", product_by_id, "product_id")
    received_on: date = column("Day it first came.")
    expires_on: date | None = column("Day it expires; null if it keeps.")
    balances: list[StockBalance] = related(
        "Where it is now, customers and other places outside included.",
        balances_by_lot,
        "id",
        size=3,
    )


@node_type(stock_move, "One entry of the stock ledger; it never changes.", requires="stock.read")
class StockMove(RowType, Node):
    """A row of `stock_move`."""

    id: ID = node_id("StockMove")
    product: Product = related("Product that moved.", product_by_id, "product_id")
    from_location: StockLocation = related(
        "Where it came from.", location_by_id, "from_location_id"
    )
    to_location: StockLocation = related("Where it went.", location_by_id, "to_location_id")
    qty: Decimal = column("How much moved, in the product's unit.", of="quantity")
    kind: MoveKind = column("Why it moved.")
    lot: Lot | None = related(
        "Which lot moved; null for products that are not tracked.", lot_by_id, "lot_id"
    )
    reason: str | None = column("Reason given by who made it.")
    effective_on: date = column("Date it counts for.")
    posted_at: datetime = column("When it was posted.")
    posted_by: str = column("Who posted it: user:<number>, client:<number> or a process.")


@row_type("StockHoldLine", "So much of a product that is held in a warehouse.")
class StockHoldLine(RowType):
    """A row of `stock_hold_line`."""

    seq: int = column("Position in the hold, from 1.", of="position")
    product: Product = related("Product held.", product_by_id, "product_id")
    warehouse: Warehouse = related("Warehouse it is held in.", warehouse_by_id, "warehouse_id")
    qty: Decimal = column("How much, in the product's unit.", of="quantity")


@node_type(
    stock_hold,
    "Stock kept for a while for somebody who is still deciding, such as a cart.",
    requires="availability.read",
)
class StockHold(RowType, Node):
    """A row of `stock_hold`."""

    id: ID = node_id("StockHold")
    state: HoldState = column("What became of it.")
    reference: str | None = column("What whoever asked for it calls it, such as the cart's number.")
    partner: Partner | None = related(
        "Customer it is for; null where nobody was named.", partner_by_id, "partner_id"
    )
    expires_at: datetime = column("When it ends by itself.")
    created_at: datetime = column("When it was made.")
    version: int = column("Counter of changes; send it back as the expected version of an edit.")
    lines: list[StockHoldLine] = related("What is held, by position.", lines_by_hold, "id", size=5)


@node_type(
    incoming_stock,
    "Goods on their way to a warehouse: how much of a product comes, and when.",
    requires="availability.read",
)
class IncomingStock(RowType, Node):
    """A row of `incoming_stock`."""

    id: ID = node_id("IncomingStock")
    product: Product = related("Product that comes.", product_by_id, "product_id")
    warehouse: Warehouse = related("Warehouse it comes to.", warehouse_by_id, "warehouse_id")
    expected_on: date = column("Date it is expected; one that has passed means that it is late.")
    qty_outstanding: Decimal = column(
        "How much is still to come, in the product's unit.", of="quantity"
    )
    source: IncomingSource = column("What it comes with.")
