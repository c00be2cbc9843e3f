"""The row-lock statements of stock: levels before balances, each by id, so none deadlock."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Integer, any_, bindparam, func, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from resolvers.inventory.tables import stock_balance, stock_level, warehouse


async def lock_levels(
    connection: AsyncConnection, company_id: int, pairs: Sequence[tuple[int, int]]
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
        .with_for_update()
    )
    rows = await connection.execute(locked, arrays)
    return {(row.product_id, row.warehouse_id): row for row in rows}


async def lock_balances(
    connection: AsyncConnection, company_id: int, pairs: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], Any]:
    """Lock the balances of (product, location) ``pairs``, making those that do not exist yet."""
    asked = sorted(set(pairs))
    await connection.execute(
        upsert(stock_balance).on_conflict_do_nothing(),
        [
            {"company_id": company_id, "product_id": product, "location_id": location}
            for product, location in asked
        ],
    )
    balance = stock_balance.c
    locked = (
        select(stock_balance)
        .where(
            balance.product_id == any_(bindparam("products", type_=ARRAY(BigInteger))),
            balance.location_id == any_(bindparam("locations", type_=ARRAY(Integer))),
        )
        .order_by(balance.id)
        .with_for_update()
    )
    arrays = {
        "products": sorted({product for product, _ in asked}),
        "locations": sorted({location for _, location in asked}),
    }
    rows = await connection.execute(locked, arrays)
    return {(row.product_id, row.location_id): row for row in rows}
