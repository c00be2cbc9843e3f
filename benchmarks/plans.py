"""The shapes answered by hand: what a careful programmer would write for each of them alone.

One statement per relation and level (``= any($1)``), only the columns the answer shows, rows read
by index and put into dicts. No GraphQL, no loaders, no checks. This is the floor the gateway is
measured against, so nothing here may be slower than it has to be.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date
from typing import Any, Protocol
from zlib import crc32

import asyncpg
import orjson

Variables = Mapping[str, Any]
Rows = Sequence[Sequence[Any]]


class Connection(Protocol):
    """A connection set to the caller's rows; asyncpg's has these methods, in a pool or not."""

    async def fetch(self, query: str, /, *args: Any) -> Sequence[Any]:
        """Return all rows."""
        ...

    async def fetchrow(self, query: str, /, *args: Any) -> Any:
        """Return the first row, or None."""
        ...

    async def fetchval(self, query: str, /, *args: Any) -> Any:
        """Return the first column of the first row, or None."""
        ...


Plan = Callable[[Connection, Variables], Awaitable[dict[str, Any]]]
"""Answers one operation: a connection set to the caller's rows and variables in, ``data`` out."""

PLACED_ON_DESC = crc32(b"salesOrders PLACED_ON desc")
AVAILABLE_ASC = crc32(b"stockLevels AVAILABLE asc")


def key_of(global_id: str) -> int:
    """Return the key in a global id, ``base64url("Type:key")``."""
    return int(urlsafe_b64decode(global_id + "==").partition(b":")[2])


def id_of(type_name: str, key: int) -> str:
    """Return the global id of a row."""
    return urlsafe_b64encode(f"{type_name}:{key}".encode()).rstrip(b"=").decode()


def cursor_of(list_and_order: int, *values: Any) -> str:
    """Return the cursor of a row: which list and order it is of, and where it stands there."""
    return urlsafe_b64encode(orjson.dumps([list_and_order, *values])).rstrip(b"=").decode()


def by_first(rows: Rows) -> dict[Any, Sequence[Any]]:
    """Return rows by their first column."""
    return {row[0]: row for row in rows}


TINY = "select sku, name from product where id = $1"


async def tiny(connection: Connection, variables: Variables) -> dict[str, Any]:
    """One product, 2 fields."""
    row = await connection.fetchrow(TINY, key_of(variables["id"]))
    return {"product": row and {"sku": row[0], "name": row[1]}}


ORDER = """
select id, number, state, placed_on, total, currency, partner_id from sales_order where number = $1
"""
ORDER_PARTNER = "select code, name from partner where id = $1"
ORDER_LINES = """
select position, quantity, unit_price, net, product_id from sales_order_line
where order_id = $1 order by position
"""
NAMES_OF_PRODUCTS = "select id, sku, name from product where id = any($1)"


async def order(connection: Connection, variables: Variables) -> dict[str, Any]:
    """One order, partner, lines, products."""
    row = await connection.fetchrow(ORDER, variables["number"])
    if row is None:
        return {"salesOrder": None}
    partner = await connection.fetchrow(ORDER_PARTNER, row[6])
    lines = await connection.fetch(ORDER_LINES, row[0])
    products = {
        product[0]: {"sku": product[1], "name": product[2]}
        for product in await connection.fetch(NAMES_OF_PRODUCTS, list({line[4] for line in lines}))
    }
    return {
        "salesOrder": {
            "number": row[1],
            "state": row[2],
            "placedOn": row[3],
            "total": {"amount": row[4], "currency": row[5]},
            "partner": partner and {"code": partner[0], "name": partner[1]},
            "lines": [
                {
                    "seq": line[0],
                    "qty": line[1],
                    "unitPrice": {"amount": line[2]},
                    "net": {"amount": line[3]},
                    "product": products[line[4]],
                }
                for line in lines
            ],
        }
    }


ORDERS = """
select id, number, placed_on, state, total, currency, partner_id from sales_order
where placed_on <= $1 order by placed_on desc, id desc limit 50
"""
NAMES_OF_PARTNERS = "select id, name from partner where id = any($1)"
ORDERS_LINES = """
select order_id, quantity, unit_price, product_id from sales_order_line
where order_id = any($1) order by order_id, position
"""
CATEGORIES_OF_PRODUCTS = "select id, sku, name, category_id from product where id = any($1)"
NAMES_OF_CATEGORIES = "select id, name from product_category where id = any($1)"


async def orders(connection: Connection, variables: Variables) -> dict[str, Any]:
    """50 orders, partner, lines, product, category."""
    rows = await connection.fetch(ORDERS, date.fromisoformat(variables["to"]))
    partners = {
        partner[0]: {"name": partner[1]}
        for partner in await connection.fetch(NAMES_OF_PARTNERS, list({row[6] for row in rows}))
    }
    lines = await connection.fetch(ORDERS_LINES, [row[0] for row in rows])
    found = await connection.fetch(CATEGORIES_OF_PRODUCTS, list({line[3] for line in lines}))
    categories = {
        category[0]: {"name": category[1]}
        for category in await connection.fetch(NAMES_OF_CATEGORIES, list({row[3] for row in found}))
    }
    products = {
        row[0]: {"sku": row[1], "name": row[2], "category": categories[row[3]]} for row in found
    }
    lines_of: dict[int, list[Any]] = {row[0]: [] for row in rows}
    for line in lines:
        lines_of[line[0]].append(
            {"qty": line[1], "unitPrice": {"amount": line[2]}, "product": products[line[3]]}
        )
    return {
        "salesOrders": {
            "nodes": [
                {
                    "number": row[1],
                    "placedOn": row[2],
                    "state": row[3],
                    "total": {"amount": row[4], "currency": row[5]},
                    "partner": partners[row[6]],
                    "lines": lines_of[row[0]],
                }
                for row in rows
            ]
        }
    }


DEEP_ORDERS = """
select id, number from sales_order
where placed_on <= $1 order by placed_on desc, id desc limit 20
"""
DEEP_LINES = """
select order_id, quantity, product_id from sales_order_line
where order_id = any($1) order by order_id, position
"""
DEEP_PRODUCTS = "select id, sku from product where id = any($1)"
DEEP_LEVELS = """
select product_id, on_hand, reserved, on_hand - reserved, warehouse_id from stock_level
where product_id = any($1) order by warehouse_id
"""
NAMES_OF_WAREHOUSES = "select id, code, name from warehouse where id = any($1)"


async def deep(connection: Connection, variables: Variables) -> dict[str, Any]:
    """20 orders, lines, product, stock per warehouse, warehouse."""
    rows = await connection.fetch(DEEP_ORDERS, date.fromisoformat(variables["to"]))
    lines = await connection.fetch(DEEP_LINES, [row[0] for row in rows])
    keys = list({line[2] for line in lines})
    products = {
        row[0]: {"sku": row[1], "availability": []}
        for row in await connection.fetch(DEEP_PRODUCTS, keys)
    }
    levels = await connection.fetch(DEEP_LEVELS, keys)
    warehouses = {
        row[0]: {"code": row[1], "name": row[2]}
        for row in await connection.fetch(NAMES_OF_WAREHOUSES, list({row[4] for row in levels}))
    }
    for level in levels:
        products[level[0]]["availability"].append(
            {
                "onHand": level[1],
                "reserved": level[2],
                "available": level[3],
                "warehouse": warehouses[level[4]],
            }
        )
    lines_of: dict[int, list[Any]] = {row[0]: [] for row in rows}
    for line in lines:
        lines_of[line[0]].append({"qty": line[1], "product": products[line[2]]})
    return {
        "salesOrders": {"nodes": [{"number": row[1], "lines": lines_of[row[0]]} for row in rows]}
    }


LIST = """
select id, sku, name, barcode, kind, tracking, weight_kg, list_price, category_id from product
where archived_at is null and (sku, id) > ($1, $2) order by sku, id limit 200
"""


async def list_(connection: Connection, variables: Variables) -> dict[str, Any]:
    """200 products, 8 fields, category."""
    _, sku, key = orjson.loads(urlsafe_b64decode(variables["after"] + "=="))
    rows = await connection.fetch(LIST, sku, key)
    categories = {
        category[0]: {"name": category[1]}
        for category in await connection.fetch(NAMES_OF_CATEGORIES, list({row[8] for row in rows}))
    }
    return {
        "products": {
            "nodes": [
                {
                    "id": id_of("Product", row[0]),
                    "sku": row[1],
                    "name": row[2],
                    "barcode": row[3],
                    "kind": row[4],
                    "tracking": row[5],
                    "weightKg": row[6],
                    "listPrice": {"amount": row[7]},
                    "category": categories[row[8]],
                }
                for row in rows
            ]
        }
    }


_F1_CONDITION = """
state = 'CONFIRMED' and shipment_status in ('NONE', 'PARTIAL') and placed_on >= $1
"""
F1_ORDERS = f"""
select id, number, placed_on, hold, reservation_status, shipment_status, total, currency,
       partner_id, warehouse_id
from sales_order where {_F1_CONDITION} order by placed_on desc, id desc limit 51
"""
F1_COUNT = f"""
select count(*) from (select from sales_order where {_F1_CONDITION} limit 10001) counted
"""
F1_TERMS = "select partner_id, payment_term_id from partner_company where partner_id = any($1)"
F1_PAYMENT_TERMS = "select id, code from payment_term where id = any($1)"
F1_WAREHOUSES = "select id, code from warehouse where id = any($1)"
F1_LINES = """
select order_id, quantity, shipped, quantity - shipped - canceled - reserved, product_id
from sales_order_line where order_id = any($1) order by order_id, position
"""


async def f1(connection: Connection, variables: Variables) -> dict[str, Any]:
    """Order list screen: 50 open orders, count, terms, warehouse, lines, product."""
    start = date.fromisoformat(variables["from"])
    rows = await connection.fetch(F1_ORDERS, start)
    more, rows = len(rows) > 50, rows[:50]
    count = await connection.fetchval(F1_COUNT, start)
    partner_keys = list({row[8] for row in rows})
    names = await connection.fetch(NAMES_OF_PARTNERS, partner_keys)
    terms = by_first(await connection.fetch(F1_TERMS, partner_keys))
    payment_terms = {
        row[0]: {"code": row[1]}
        for row in await connection.fetch(
            F1_PAYMENT_TERMS, list({row[1] for row in terms.values()} - {None})
        )
    }
    partners = {
        key: {
            "name": name,
            "terms": {"paymentTerm": payment_terms.get(terms[key][1])} if key in terms else None,
        }
        for key, name in names
    }
    warehouses = {
        row[0]: {"code": row[1]}
        for row in await connection.fetch(F1_WAREHOUSES, list({row[9] for row in rows}))
    }
    lines = await connection.fetch(F1_LINES, [row[0] for row in rows])
    products = {
        row[0]: {"sku": row[1], "name": row[2]}
        for row in await connection.fetch(NAMES_OF_PRODUCTS, list({line[4] for line in lines}))
    }
    lines_of: dict[int, list[Any]] = {row[0]: [] for row in rows}
    for line in lines:
        lines_of[line[0]].append(
            {
                "qty": line[1],
                "qtyShipped": line[2],
                "qtyBackordered": line[3],
                "product": products[line[4]],
            }
        )
    end = rows[-1] if rows else None
    return {
        "salesOrders": {
            "totalCount": count,
            "pageInfo": {
                "hasNextPage": more,
                "endCursor": end and cursor_of(PLACED_ON_DESC, end[2], end[0]),
            },
            "nodes": [
                {
                    "id": id_of("SalesOrder", row[0]),
                    "number": row[1],
                    "placedOn": row[2],
                    "hold": row[3],
                    "reservationStatus": row[4],
                    "shipmentStatus": row[5],
                    "total": {"amount": row[6], "currency": row[7]},
                    "partner": partners[row[8]],
                    "warehouse": warehouses[row[9]],
                    "lines": lines_of[row[0]],
                }
                for row in rows
            ],
        }
    }


F2_ORDER = """
select id, number, state, version, subtotal, tax_total, total, currency, partner_id
from sales_order where number = $1
"""
F2_PARTNER = "select name from partner where id = $1"
F2_TERMS = """
select credit_limit, blocked_at, block_reason from partner_company where partner_id = $1
"""
F2_LINES = """
select id, position, quantity, reserved, shipped, quantity - shipped - canceled - reserved,
       promised_on, unit_price, net, product_id
from sales_order_line where order_id = $1 order by position
"""
F2_PRODUCTS = "select id, sku, name, tracking from product where id = any($1)"
PROJECTED = """
coalesce(p.incoming, 0.0000), coalesce(p.outgoing, 0.0000),
l.on_hand + coalesce(p.incoming, 0.0000) - coalesce(p.outgoing, 0.0000)
"""
F2_LEVELS = f"""
select l.product_id, l.warehouse_id, l.on_hand, l.reserved, l.on_hand - l.reserved, {PROJECTED}
from stock_level l left join stock_projection p using (product_id, warehouse_id)
where l.product_id = any($1) order by l.warehouse_id
"""


async def f2(connection: Connection, variables: Variables) -> dict[str, Any]:
    """Order page: one order, terms, lines, product, availability."""
    row = await connection.fetchrow(F2_ORDER, variables["number"])
    if row is None:
        return {"salesOrder": None}
    name = await connection.fetchval(F2_PARTNER, row[8])
    terms = await connection.fetchrow(F2_TERMS, row[8])
    lines = await connection.fetch(F2_LINES, row[0])
    keys = list({line[9] for line in lines})
    products = {
        product[0]: {
            "sku": product[1],
            "name": product[2],
            "tracking": product[3],
            "availability": [],
        }
        for product in await connection.fetch(F2_PRODUCTS, keys)
    }
    levels = await connection.fetch(F2_LEVELS, keys)
    warehouses = {
        warehouse[0]: {"code": warehouse[1], "name": warehouse[2]}
        for warehouse in await connection.fetch(
            NAMES_OF_WAREHOUSES, list({level[1] for level in levels})
        )
    }
    for level in levels:
        products[level[0]]["availability"].append(
            {
                "warehouse": warehouses[level[1]],
                "onHand": level[2],
                "reserved": level[3],
                "available": level[4],
                "incoming": level[5],
                "outgoing": level[6],
                "projected": level[7],
            }
        )
    return {
        "salesOrder": {
            "id": id_of("SalesOrder", row[0]),
            "number": row[1],
            "state": row[2],
            "version": row[3],
            "subtotal": {"amount": row[4]},
            "taxTotal": {"amount": row[5]},
            "total": {"amount": row[6], "currency": row[7]},
            "partner": {
                "name": name,
                "terms": terms
                and {"creditLimit": terms[0], "blockedAt": terms[1], "blockReason": terms[2]},
            },
            "lines": [
                {
                    "id": id_of("SalesOrderLine", line[0]),
                    "seq": line[1],
                    "qty": line[2],
                    "qtyReserved": line[3],
                    "qtyShipped": line[4],
                    "qtyBackordered": line[5],
                    "promisedOn": line[6],
                    "unitPrice": {"amount": line[7]},
                    "net": {"amount": line[8]},
                    "product": products[line[9]],
                }
                for line in lines
            ],
        }
    }


D2_LEVELS = f"""
select l.id, l.version, l.on_hand, l.reserved, l.on_hand - l.reserved, {PROJECTED},
       exists (select from reorder_rule r
               where r.product_id = l.product_id and r.warehouse_id = l.warehouse_id
                 and r.archived_at is null and r.min_quantity >=
                     l.on_hand + coalesce(p.incoming, 0.0000) - coalesce(p.outgoing, 0.0000)),
       l.updated_at, l.product_id, l.warehouse_id, l.available_steps
from stock_level l left join stock_projection p using (product_id, warehouse_id)
where l.warehouse_id = any($1) and l.available_steps <= 200000 and l.on_hand <> 0
order by l.available_steps, l.id limit 201
"""


async def d2(connection: Connection, variables: Variables) -> dict[str, Any]:
    """Stock dashboard: 200 levels with least available, product, warehouse."""
    rows = await connection.fetch(D2_LEVELS, [key_of(id_) for id_ in variables["warehouses"]])
    more, rows = len(rows) > 200, rows[:200]
    products = {
        row[0]: {"sku": row[1], "name": row[2]}
        for row in await connection.fetch(NAMES_OF_PRODUCTS, list({row[10] for row in rows}))
    }
    warehouses = {
        row[0]: {"code": row[1]}
        for row in await connection.fetch(F1_WAREHOUSES, list({row[11] for row in rows}))
    }
    end = rows[-1] if rows else None
    return {
        "stockLevels": {
            "nodes": [
                {
                    "id": id_of("StockLevel", row[0]),
                    "version": str(row[1]),
                    "onHand": row[2],
                    "reserved": row[3],
                    "available": row[4],
                    "incoming": row[5],
                    "outgoing": row[6],
                    "projected": row[7],
                    "belowReorderPoint": row[8],
                    "updatedAt": row[9],
                    "product": products[row[10]],
                    "warehouse": warehouses[row[11]],
                }
                for row in rows
            ],
            "pageInfo": {
                "endCursor": end and cursor_of(AVAILABLE_ASC, end[12], end[0]),
                "hasNextPage": more,
            },
        }
    }


PLANS: Mapping[str, Plan] = {
    "Tiny": tiny,
    "Order": order,
    "Orders": orders,
    "Deep": deep,
    "List": list_,
    "F1": f1,
    "F2": f2,
    "D2": d2,
}
"""Plans by the name of the shape."""


async def prepare(connection: "asyncpg.Connection[Any]") -> None:
    """Make numbers come as text, as they go to the client."""
    await connection.set_builtin_type_codec(
        "numeric", schema="pg_catalog", codec_name="text", format="text"
    )


def encode(data: dict[str, Any]) -> bytes:
    """Return the response body."""
    return orjson.dumps({"data": data}, option=orjson.OPT_UTC_Z)
