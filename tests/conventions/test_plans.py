"""Every list of a table that grows is served by indexes, whatever it is filtered and ordered by.

The question is not which plan is cheapest on a small database but whether there is one: with
sequential scans and sorts priced out, PostgreSQL uses them only where nothing else is left. The
plans are those of the serving role, because row security keeps conditions out of an index whose
operators are not leakproof.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, func, select
from sqlalchemy.sql.visitors import iterate

from gateway.database import ReadConnection
from resolvers.core.listing import (
    AmountBetween,
    Between,
    Equals,
    Filter,
    Flag,
    Listing,
    OneOf,
    PageRequest,
    Search,
    Through,
)
from resolvers.core.statement import Statement, compile_statement
from resolvers.sales.reads import sales_orders
from schema.core.plan import ConnectionPlan
from tests.fixtures.gateway import Gateway, principal
from tests.fixtures.row_scopes import seen_by
from tests.fixtures.schema_walk import EDGES, root_fields

COARSE = {
    "partners is_customer=false": "what a partner is not narrows little down",
    "partners is_supplier=false": "what a partner is not narrows little down",
    "stockLevels has_stock=true": "most levels have stock",
    "stockLevels has_stock=false": "levels without stock are the first in the default order",
}
"""Filters that no index serves by itself, and why a page is found soon all the same."""

Node = Mapping[str, Any]


def listings() -> list[tuple[Listing, str | None]]:
    """Return every list of the schema over a table that grows, with the column of its parents."""
    plans = [edge.plan for edge in (*root_fields("Query"), *EDGES)]
    found = {(p.listing, p.parent): None for p in plans if isinstance(p, ConnectionPlan)}
    return [
        (it, of) for it, of in found if isinstance(it.entity.type_of(it.entity.key), BigInteger)
    ]


LISTINGS = listings()


def title(listing: Listing, parent: str | None, asked: str) -> str:
    """Name a list and what is asked of it."""
    return f"{listing.name} of {parent} {asked}" if parent else f"{listing.name} {asked}"


@asynccontextmanager
async def planner(gateway: Gateway, *off: str) -> AsyncIterator[Any]:
    """Yield a connection set to a company's rows, with ways to plan priced out."""
    connection = await gateway.runtime.reads.acquire()
    try:
        await connection.set_rows(principal().rows)
        # statements, because asyncpg's own transaction stays begun when its `begin` is canceled
        await connection.execute("begin")
        try:
            for way in off:
                await connection.execute(f"set local enable_{way} = off")
            yield connection
        finally:
            await connection.execute("rollback")
    finally:
        gateway.runtime.reads.release(connection)


async def explain(
    connection: ReadConnection, statement: Statement, parameters: Mapping[str, Any]
) -> list[Node]:
    """Return the nodes of a statement's plan."""
    arguments = statement.arguments(parameters)
    [[plan]] = await connection.read_fresh(f"explain (format json) {statement.sql}", arguments)
    return list(nodes(json.loads(plan)[0]["Plan"]))


def nodes(node: Node) -> Iterator[Node]:
    """Yield a node of a plan and all below it."""
    yield node
    for inner in node.get("Plans", ()):
        yield from nodes(inner)


def problems(plan: list[Node], table: str, *, positioned: bool) -> Iterator[str]:
    """Say why a page costs more the more rows there are."""
    for node in plan:
        if "Sort" in node["Node Type"]:
            yield f"sorts by {node['Sort Key']}"
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] == table:
            yield "reads the whole table"
    found = [node.get("Index Cond", "") for node in plan if node.get("Relation Name") == table]
    if positioned and not any(re.search(r"\bROW\(|\bid [<>]", condition) for condition in found):
        yield "walks from the start to the cursor"


def rest(plan: list[Node], table: str) -> Iterator[str]:
    """Yield the conditions on a table that a plan checks row by row."""
    for node in plan:
        if node.get("Relation Name") == table:
            yield node.get("Filter", "")


class TestOrders:
    """A page is read in its order, and the next one begins where the last one ended."""

    @pytest.mark.parametrize(
        ("listing", "parent", "order"),
        [
            pytest.param(listing, parent, order, id=title(listing, parent, order))
            for listing, parent in LISTINGS
            for order in listing.orders
        ],
    )
    @pytest.mark.parametrize("descending", [False, True])
    async def test_read_in_order(
        self,
        gateway: Gateway,
        listing: Listing,
        parent: str | None,
        order: str,
        descending: bool,  # noqa: FBT001
    ) -> None:
        """An index gives the order, in both directions, and finds the place to go on from."""
        first = listing.request(first=50, order=order, descending=descending)
        after = await cursor_in(gateway, listing, first)
        second = listing.request(first=50, after=after, order=order, descending=descending)
        keys = await parent_keys(gateway, listing, parent)
        for request in (first, second):
            window = listing._window(request)
            columns = frozenset(listing.entity.columns)
            statement = listing._page_statement(request, window, columns, parent)
            parameters = {**listing._parameters(request, window), **keys}
            async with planner(gateway, "seqscan", "sort", "incremental_sort") as connection:
                plan = await explain(connection, statement, parameters)
            positioned = request is second
            assert not set(problems(plan, listing.entity.table.name, positioned=positioned))


async def cursor_in(gateway: Gateway, listing: Listing, request: PageRequest) -> str:
    """Return the cursor of a row in the middle of a page."""
    window = listing._window(request)
    columns = listing.cursor_columns(request.order)
    statement = listing._page_statement(request, window, columns, None)
    async with planner(gateway) as connection:
        rows = await connection.fetch(
            statement.sql, *statement.arguments(listing._parameters(request, window))
        )
    return listing.cursor(request, rows[len(rows) // 2])


async def parent_keys(gateway: Gateway, listing: Listing, parent: str | None) -> dict[str, Any]:
    """Return the keys of some parents, as a statement for many parents takes them."""
    if parent is None:
        return {}
    rows = await gateway.owner.fetch(
        f"select distinct {parent} from {listing.entity.table.name} order by 1 limit 3"
    )
    return {"keys": [row[0] for row in rows]}


class TestFilters:
    """A filter alone finds its rows by an index. Below a parent that is the parent's index."""

    CASES = tuple(
        (listing, name, leaf)
        for listing, parent in LISTINGS
        if parent is None
        for name, filter_ in listing.filters.items()
        for leaf in filter_.conditions(name)
    )

    @pytest.mark.parametrize(
        ("listing", "name", "leaf"),
        [pytest.param(*case, id=title(case[0], None, case[2])) for case in CASES],
    )
    async def test_found_by_index(
        self, gateway: Gateway, listing: Listing, name: str, leaf: str
    ) -> None:
        """The condition is one of an index, or that of a partial index."""
        filter_, table = listing.filters[name], listing.entity.table
        given = await leaves(gateway, listing, name, filter_)
        asked = {leaf: given[leaf]}
        for other, value in listing.defaults.items():
            if other != name:
                asked |= listing.filters[other].leaves(other, value)
        request = replace(listing.request(first=50), leaves=asked)
        window = listing._window(request)
        counted = select(func.count()).select_from(table)
        columns = {
            element.name
            for element in iterate(filter_.conditions(name)[leaf].sql)
            if isinstance(element, Column) and element.table is table
        }
        if isinstance(filter_, Through):
            # which rows those are is found in the other table; these by the way there
            columns = {filter_.link.name}
        left = []
        async with planner(gateway, "seqscan") as connection:
            for statement in (
                compile_statement(listing.filtered(counted, request)),
                listing._page_statement(request, window, frozenset(), None),
            ):
                plan = await explain(connection, statement, listing._parameters(request, window))
                left.append(" ".join(rest(plan, table.name)))
        served = any(not re.search(rf"\b({'|'.join(columns)})\b", text) for text in left)
        assert served == (title(listing, None, leaf) not in COARSE), left

    def test_reasons_are_of_filters(self) -> None:
        """No reason is left over."""
        assert set(COARSE) <= {title(listing, None, leaf) for listing, _, leaf in self.CASES}


async def leaves(gateway: Gateway, listing: Listing, name: str, filter_: Filter) -> dict[str, Any]:
    """Return values for a filter such as a client could give, the rarest there are."""
    table = listing.entity.table
    if isinstance(filter_, Through):
        table = filter_.table
        filter_ = filter_.filter
    if isinstance(filter_, Flag):
        return {**filter_.leaves(name, True), **filter_.leaves(name, False)}  # noqa: FBT003
    if isinstance(filter_, Search):
        return filter_.leaves(name, "hammer")
    if isinstance(filter_, AmountBetween):
        return filter_.leaves(name, (Decimal(0), Decimal(0)))
    if isinstance(filter_, OneOf | Equals | Between):
        condition = seen_by(table.name, principal().rows)
        rows = await gateway.owner.fetch(
            f"select {filter_.column} from {table.name} where {condition}"
            " group by 1 order by count(*), 1 limit 1"
        )
        values = [row[0] for row in rows]
        if isinstance(filter_, Equals):
            return filter_.leaves(name, values[0])
        return filter_.leaves(name, values if isinstance(filter_, OneOf) else (values[0],) * 2)
    return filter_.leaves(name, "/tools/hand-tools/")


class TestBrokenLaw:
    """The laws above can be broken, and it shows."""

    async def test_an_index_that_is_missing(self, own_gateway: Gateway) -> None:
        """An order and a filter without their indexes are found out."""
        await own_gateway.owner.execute("drop index ix_sales_order_total, ix_sales_order_hold")
        with pytest.raises(AssertionError, match="sorts by"):
            await TestOrders().test_read_in_order(
                own_gateway, sales_orders, None, "TOTAL", descending=False
            )
        with pytest.raises(AssertionError, match="hold"):
            await TestFilters().test_found_by_index(own_gateway, sales_orders, "hold", "hold")

    async def test_an_index_that_row_security_keeps_from_use(self, own_gateway: Gateway) -> None:
        """Numbers that are not whole are no use to a cursor: their comparison is not leakproof."""
        await own_gateway.owner.execute("create index on sales_order (company_id, total, id)")
        by_numeric = replace(sales_orders, orders={"TOTAL": ("total",)}, _statements={})
        with pytest.raises(AssertionError, match="walks from the start"):
            await TestOrders().test_read_in_order(
                own_gateway, by_numeric, None, "TOTAL", descending=False
            )
