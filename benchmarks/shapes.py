"""The operations that are measured, and the variables they are sent with.

Variables are chosen by SQL from the data, spread by a hash of the row and therefore the same in
every run on the same data. Statements run as the company the callers act for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from resolvers.catalog.reads import products
from schema.core.ids import encode_id

OPERATIONS = Path(__file__).parent / "operations"
VARIANTS = 16
"""Most different sets of variables of one shape."""

Variables = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """An operation in a file of its name; each row of ``choice`` becomes one set of variables."""

    name: str
    meaning: str
    choice: str
    variables: Callable[[Mapping[str, Any]], Variables] = dict

    @property
    def document(self) -> str:
        """The GraphQL document."""
        return (OPERATIONS / f"{self.name}.graphql").read_text()

    async def choose(self, connection: "asyncpg.Connection[Any]") -> list[Variables]:
        """Return the sets of variables, at most `VARIANTS`.

        Raises:
            LookupError: the data has nothing the operation could ask for.

        """
        rows = await connection.fetch(f"select * from ({self.choice}) choice limit {VARIANTS}")
        if not rows:
            raise LookupError(f"The data has nothing to ask {self.name} for.")
        return [self.variables(row) for row in rows]


def _cursor(row: Mapping[str, Any]) -> Variables:
    return {"after": products.cursor(products.request(), row)}


def _orders_of_five_lines(condition: str) -> str:
    """Choose orders of five lines, and where the data has too few of them, of about as many."""
    return f"""
        select o.number
        from sales_order o join sales_order_line l on l.order_id = o.id
        where {condition} group by o.number order by abs(count(*) - 5), md5(o.number)
    """


_DAYS_WITH_ENOUGH_BEFORE = """
    select placed_on::text as "to" from sales_order
    where placed_on > (select placed_on from sales_order order by placed_on, id offset 50 limit 1)
    group by placed_on order by md5(placed_on::text)
"""

SHAPES = (
    Shape(
        "Tiny",
        "one product, 2 fields",
        "select id from product where archived_at is null order by md5(sku)",
        lambda row: {"id": encode_id("Product", row["id"])},
    ),
    Shape(
        "Order",
        "one order, partner, 5 lines, products",
        _orders_of_five_lines("true"),
    ),
    Shape(
        "Orders",
        "50 orders, partner, lines, product, category",
        _DAYS_WITH_ENOUGH_BEFORE,
    ),
    Shape(
        "Deep",
        "20 orders, lines, product, stock per warehouse, warehouse",
        _DAYS_WITH_ENOUGH_BEFORE,
    ),
    Shape(
        "List",
        "200 products, 8 fields, category",
        """
        select sku, id from (
            select sku, id, row_number() over (order by sku desc, id desc) as behind
            from product where archived_at is null
        ) numbered where behind > 200 order by md5(sku)
        """,
        _cursor,
    ),
    Shape(
        "F1",
        "order list screen: 50 open orders, count, terms, warehouse, lines, product",
        """
        select (max(placed_on) - weeks * 7)::text as "from"
        from sales_order, generate_series(2, 9) weeks
        where state = 'CONFIRMED' and shipment_status <> 'SHIPPED' group by weeks order by weeks
        """,
    ),
    Shape(
        "F2",
        "order page: one order, terms, 5 lines, product, availability",
        _orders_of_five_lines("o.state = 'CONFIRMED'"),
    ),
    Shape(
        "D2",
        "stock dashboard: 200 levels with least available, product, warehouse",
        """
        select array[id] as warehouses from warehouse
        union all select array_agg(id) from warehouse
        """,
        lambda row: {"warehouses": [encode_id("Warehouse", key) for key in row["warehouses"]]},
    ),
)
