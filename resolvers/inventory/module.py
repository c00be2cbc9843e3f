"""Introduces stock to the registry."""

from resolvers.core.module import DataModule
from resolvers.inventory.invariants import INVARIANTS
from resolvers.inventory.tables import (
    EXPIRE_HOLDS,
    INCOMING_PROJECTED,
    LEVEL_EVENTS,
    LEVEL_VERSION,
    POST_MOVES,
    PRODUCT_WITH_STOCK,
    RELEASE_STOCK,
    RESERVE_ALL,
    RESERVE_STOCK,
    incoming_stock,
    lot,
    reorder_rule,
    stock_balance,
    stock_hold,
    stock_hold_line,
    stock_level,
    stock_location,
    stock_move,
    stock_projection,
    stock_reservation,
    warehouse,
)

MODULE = DataModule(
    name="inventory",
    tables=(
        warehouse,
        stock_location,
        stock_level,
        stock_projection,
        lot,
        stock_balance,
        stock_move,
        stock_reservation,
        stock_hold,
        stock_hold_line,
        incoming_stock,
        reorder_rule,
    ),
    functions=(
        LEVEL_VERSION,
        LEVEL_EVENTS,
        INCOMING_PROJECTED,
        PRODUCT_WITH_STOCK,
        RESERVE_ALL,
        RESERVE_STOCK,
        RELEASE_STOCK,
        EXPIRE_HOLDS,
        POST_MOVES,
    ),
    invariants=INVARIANTS,
    permissions={
        "availability.read": "See how much of a product is available, and when more comes.",
        "stock.read": "See stock levels, balances, lots, moves and reservations.",
        "stock.adjust": "Correct stock.",
        "stock.hold": "Hold stock for a while, and let go of it.",
    },
)
