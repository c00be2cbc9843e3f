"""The row-lock statements of stock: lots, levels, then balances, each by id.

So commands that lock all their levels at once do not wait for each other crosswise. Who cannot know
them all may: the database ends one of the two, and the frame runs it again.

None of them is in the way of a row that refers to a locked one, such as a move of a lot.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import BigInteger, Integer, Text, any_, bindparam, func, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from resolvers.core.transaction import Transaction
from resolvers.inventory.tables import lot, stock_balance, stock_level, warehouse

BalanceKey = tuple[int, int, int | None]
"""Product, location and lot of a balance."""


async def lock_levels(
    connection: Transaction, company_id: int, pairs: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], Any]:
    """Lock the levels of (product, warehouse) ``pairs``, making those that do not exist yet."""
    asked = sorted(set(pairs))
    wanted = (
        func.unnest(
            bindparam("products", type_=ARRAY(BigInteger)),
            bindparam("warehouses", type_=ARRAY(Integer)),
        )
        .table_valued("product_id", "warehouse_id", name="wanted")
        .render_derived()
    )
    arrays = {"products": [p for p, _ in asked], "warehouses": [w for _, w in asked]}
    missing = (
        select(
            warehouse.c.company_id,
            wanted.c.product_id,
            wanted.c.warehouse_id,
            warehouse.c.negative_stock,
        )
        .join(warehouse, warehouse.c.id == wanted.c.warehouse_id)
        .where(warehouse.c.company_id == company_id)
        .order_by(wanted.c.product_id, wanted.c.warehouse_id)
    )
    columns = ["company_id", "product_id", "warehouse_id", "allow_negative"]
    await connection.execute(
        upsert(stock_level).from_select(columns, missing).on_conflict_do_nothing(), arrays
    )
    level = stock_level.c
    locked = (
        select(stock_level)
        .where(
            tuple_(level.product_id, level.warehouse_id).in_(
                select(wanted.c.product_id, wanted.c.warehouse_id)
            )
        )
        .order_by(level.id)
        .with_for_update(key_share=True)
    )
    rows = await connection.execute(locked, arrays)
    return {(row.product_id, row.warehouse_id): row for row in rows}


async def lock_known_levels(connection: Transaction, pairs: Collection[tuple[int, int]]) -> None:
    """Lock the levels of (product, warehouse) ``pairs`` that there are, before any one of them."""
    asked = sorted(set(pairs))
    level = stock_level.c
    wanted = (
        func.unnest(
            bindparam("products", type_=ARRAY(BigInteger)),
            bindparam("warehouses", type_=ARRAY(Integer)),
        )
        .table_valued("product_id", "warehouse_id", name="wanted")
        .render_derived()
    )
    await connection.execute(
        select(level.id)
        .where(
            tuple_(level.product_id, level.warehouse_id).in_(
                select(wanted.c.product_id, wanted.c.warehouse_id)
            )
        )
        .order_by(level.id)
        .with_for_update(key_share=True),
        {"products": [p for p, _ in asked], "warehouses": [w for _, w in asked]},
    )


async def lock_lots(
    connection: Transaction,
    company_id: int,
    numbers: Sequence[tuple[int, str]],
    *,
    made: Mapping[tuple[int, str], date],
) -> dict[tuple[int, str], int]:
    """Lock the lots of (product, number) ``numbers`` and return their ids.

    Those in ``made`` that do not exist are made, as received on the day given; of others that do
    not exist there is no id.
    """
    if not numbers:
        return {}
    if made:
        await connection.execute(
            upsert(lot).on_conflict_do_nothing(),
            [
                {
                    "company_id": company_id,
                    "product_id": product,
                    "number": number,
                    "received_on": day,
                }
                for (product, number), day in sorted(made.items())
            ],
        )
    wanted = (
        func.unnest(
            bindparam("products", type_=ARRAY(BigInteger)), bindparam("numbers", type_=ARRAY(Text))
        )
        .table_valued("product_id", "number", name="wanted")
        .render_derived()
    )
    locked = (
        select(lot.c.id, lot.c.product_id, lot.c.number)
        .where(
            tuple_(lot.c.product_id, lot.c.number).in_(
                select(wanted.c.product_id, wanted.c.number)
            ),
            lot.c.company_id == company_id,
        )
        .order_by(lot.c.id)
        .with_for_update(key_share=True)
    )
    asked = sorted(set(numbers))
    arrays = {"products": [p for p, _ in asked], "numbers": [n for _, n in asked]}
    rows = await connection.execute(locked, arrays)
    return {(row.product_id, row.number): row.id for row in rows}


async def lock_balances(
    connection: Transaction, company_id: int, places: Mapping[BalanceKey, bool]
) -> dict[BalanceKey, Any]:
    """Lock the balances of (product, location, lot), making those that do not exist yet.

    ``places`` tells of each whether the lot is a serial number.
    """
    asked = sorted(places, key=lambda key: (key[0], key[1], key[2] or 0))
    await connection.execute(
        upsert(stock_balance).on_conflict_do_nothing(),
        [
            {
                "company_id": company_id,
                "product_id": product,
                "location_id": location,
                "lot_id": lot_id,
                "is_serial": places[product, location, lot_id],
            }
            for product, location, lot_id in asked
        ],
    )
    balance = stock_balance.c
    locked = (
        select(stock_balance)
        .where(
            balance.product_id == any_(bindparam("products", type_=ARRAY(BigInteger))),
            balance.location_id == any_(bindparam("locations", type_=ARRAY(Integer))),
            func.coalesce(balance.lot_id, 0) == any_(bindparam("lots", type_=ARRAY(BigInteger))),
        )
        .order_by(balance.id)
        .with_for_update(key_share=True)
    )
    arrays = {
        "products": sorted({product for product, _, _ in asked}),
        "locations": sorted({location for _, location, _ in asked}),
        "lots": sorted({lot_id or 0 for _, _, lot_id in asked}),
    }
    rows = await connection.execute(locked, arrays)
    return {(row.product_id, row.location_id, row.lot_id): row for row in rows}
