"""What the schema shows is what the database would, walked along every field by several callers.

Every id in every answer is looked up in `tests.fixtures.row_scopes`: no caller is ever told of a
row of another company or, bound to a partner, of another partner.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from gateway.postgres import EmbeddedPostgres
from resolvers.core.principal import PARTNER_ROLE, STAFF_ROLE, Principal
from resolvers.core.table import metadata
from schema.core.ids import encode_id, split_id
from schema.core.node import NODE_TYPES
from tests.fixtures.gateway import PATHS, Gateway, open_gateway, principal
from tests.fixtures.made_rows import add_row
from tests.fixtures.recording import record
from tests.fixtures.row_scopes import ALL, SEEN, seen_by
from tests.fixtures.schema_walk import (
    EDGES,
    Edge,
    Known,
    id_selection,
    known_rows,
    operation,
    root_fields,
    ways_to,
)

MISSING = 2**31 - 1
"""A key no row has."""


MADE_ALREADY = {"company", "currency", "partner", "outbox_counter", "access_version"}


@pytest_asyncio.fixture(scope="module")
async def url(server: EmbeddedPostgres, template: str) -> AsyncIterator[str]:
    """Yield a database in which others have rows of every table as well."""
    name = f"erp_visibility_{uuid4().hex[:12]}"
    server.create_database(name, template=template)
    owner = await asyncpg.connect(server.url(name))
    try:
        partner = await add_row(owner, metadata.tables["partner"])
        for table in metadata.sorted_tables:
            if table.name not in MADE_ALREADY:
                await add_row(owner, table, company_id=2, partner_id=partner["id"])
    finally:
        await owner.close()
    yield server.url(name)
    server.drop_database(name)


@pytest_asyncio.fixture(scope="module", params=PATHS)
async def gateway(url: str, request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    """Yield a gateway over that database that compiles queries, and one that does not."""
    async with open_gateway(url, compile_queries=request.param) as running:
        yield running


@pytest_asyncio.fixture(scope="module")
async def known(gateway: Gateway) -> Known:
    """Return keys that operations can ask for."""
    return await known_rows(gateway.owner)


@pytest.fixture(params=["staff", "customer's client", "supplier's client"])
def caller(request: pytest.FixtureRequest, known: Known) -> Principal:
    """Return a caller with every permission: of a company, or bound to a partner of it."""
    bound = {
        "staff": None,
        "customer's client": known.partner_ids[0],
        "supplier's client": known.supplier_ids[0],
    }
    return principal(partner_id=bound[request.param])


def asked_by(caller: Principal, known: Known) -> Known:
    """Return what to ask for: a client bound to a partner asks for its own prices only."""
    own = caller.partner_id
    return known if own is None else replace(known, partner_ids=[own, *known.partner_ids])


def table_of(type_name: str) -> str:
    """Return the table behind a type with ids."""
    return str(NODE_TYPES[type_name].entity.table.name)


def is_bounded(type_name: str, caller: Principal) -> bool:
    """Tell whether there are rows of a type that a caller does not see."""
    return SEEN[table_of(type_name)][caller.rows.role != STAFF_ROLE] != ALL


def ids_in(data: Any) -> Iterator[str]:
    """Yield every id in an answer."""
    if isinstance(data, dict):
        if isinstance(data.get("id"), str):
            yield data["id"]
        for value in data.values():
            yield from ids_in(value)
    elif isinstance(data, list):
        for value in data:
            yield from ids_in(value)


async def check_ids(gateway: Gateway, ids: set[str], caller: Principal) -> set[str]:
    """Check that the caller may know of every one of ``ids``; return their types."""
    keys: dict[str, set[int]] = {}
    for id_ in ids:
        type_name, key = split_id(id_)
        keys.setdefault(type_name, set()).add(int(key))
    for type_name, told in keys.items():
        entity = NODE_TYPES[type_name].entity
        condition = seen_by(entity.table.name, caller.rows)
        rows = await gateway.owner.fetch(
            f"select {entity.key} from {entity.table.name} where {condition}"
        )
        assert told <= {row[0] for row in rows}, type_name
    return set(keys)


def paths() -> list[tuple[Edge, ...]]:
    """Return a path to every field that leads to objects, from the root."""
    found: list[tuple[Edge, ...]] = [(root,) for root in root_fields("Query")]
    return [*found, *((*way, edge) for edge in EDGES for way in ways_to(edge.parent))]


async def walk(
    gateway: Gateway, known: Known, caller: Principal, path: tuple[Edge, ...]
) -> set[str]:
    """Go along a path, check that all that is met is for the caller, and return its types."""
    asked = operation(path, id_selection(path[-1].target), asked_by(caller, known), 200)
    recorded = await record(gateway.runtime, asked.query, asked.variables, caller)
    assert not recorded.answer.errors, asked.query
    return await check_ids(gateway, set(ids_in(recorded.answer.data)), caller)


class TestWalks:
    """Along every field of the schema."""

    async def test_no_row_of_others(
        self, gateway: Gateway, known: Known, caller: Principal
    ) -> None:
        """Every object told of is one the caller may see; some of every type they see any of."""
        met: set[str] = set()
        for path in paths():
            met |= await walk(gateway, known, caller, path)
        for type_name in NODE_TYPES:
            table = table_of(type_name)
            some = await gateway.owner.fetchval(
                f"select exists (select from {table} where {seen_by(table, caller.rows)})"
            )
            assert (type_name in met) == some, type_name

    async def test_all_rows_of_ones_own(self, gateway: Gateway, caller: Principal) -> None:
        """Lists are complete: counted, they have what the database has for the caller."""
        data = await gateway.data(
            "{ salesOrders { totalCount } partners(filter: {includeArchived: true}) { totalCount }"
            " priceLists { totalCount } stockLevels { totalCount } purchaseOrders { totalCount }"
            " goodsReceipts { totalCount } incomingStock { totalCount } }",
            caller=caller,
        )
        some = set()
        for name, table in [
            ("salesOrders", "sales_order"),
            ("partners", "partner"),
            ("priceLists", "price_list"),
            ("stockLevels", "stock_level"),
            ("purchaseOrders", "purchase_order"),
            ("goodsReceipts", "goods_receipt"),
            ("incomingStock", "incoming_stock"),
        ]:
            counted = await gateway.owner.fetchval(
                f"select count(*) from {table} where {seen_by(table, caller.rows)}"
            )
            assert data[name] == {"totalCount": counted}, name
            if counted:
                some.add(name)
        assert some >= {"partners", "stockLevels", "incomingStock"}
        bought, sold = {"salesOrders"}, {"purchaseOrders", "goodsReceipts"}
        traded = some & (bought | sold)
        assert traded in ([bought, sold] if caller.partner_id else [bought | sold])

    @pytest.mark.parametrize("role", [STAFF_ROLE, PARTNER_ROLE])
    async def test_a_policy_too_many_shows(self, own_gateway: Gateway, role: str) -> None:
        """The law can be broken: rows a policy lets through are found in the answers."""
        known = await known_rows(own_gateway.owner)
        partner_id = known.partner_ids[0] if role == PARTNER_ROLE else None
        path = (Edge("Query", "salesOrders"),)
        await walk(own_gateway, known, principal(partner_id=partner_id), path)
        await own_gateway.owner.execute(
            f"create policy leak on sales_order for select to {role} using (true)"
        )
        with pytest.raises(AssertionError, match="SalesOrder"):
            await walk(own_gateway, known, principal(partner_id=partner_id), path)


class TestIds:
    """An id of a row that is not for the caller is an id of no row."""

    @pytest.mark.parametrize("type_name", NODE_TYPES)
    async def test_node(self, gateway: Gateway, caller: Principal, type_name: str) -> None:
        """`node(id:)` answers the same to the id of another's row as to one that does not exist."""
        if not is_bounded(type_name, caller):
            return  # everybody sees all of them
        foreign = await foreign_key(gateway, type_name, "id", caller)
        query = "query ($id: ID!) { node(id: $id) { id __typename } }"
        answers = [
            await record(gateway.runtime, query, {"id": encode_id(type_name, key)}, caller)
            for key in (foreign, MISSING)
        ]
        assert answers[0].answer.body() == {"data": {"node": None}} == answers[1].answer.body()
        assert answers[0].statements == answers[1].statements

    @pytest.mark.parametrize(
        ("root", "type_name", "column"),
        [
            ("salesOrder(id: $key)", "SalesOrder", "id"),
            ("salesOrder(number: $key)", "SalesOrder", "number"),
            ("purchaseOrder(id: $key)", "PurchaseOrder", "id"),
            ("purchaseOrder(number: $key)", "PurchaseOrder", "number"),
            ("partner(id: $key)", "Partner", "id"),
        ],
    )
    async def test_root_fields(
        self, gateway: Gateway, caller: Principal, root: str, type_name: str, column: str
    ) -> None:
        """Nor does any other key of another's row find it."""
        if not is_bounded(type_name, caller):
            return  # everybody sees all of them
        key = await foreign_key(gateway, type_name, column, caller)
        given = encode_id(type_name, key) if column == "id" else key
        type_ = "ID!" if column == "id" else "String!"
        query = f"query ($key: {type_}) {{ found: {root} {{ id }} }}"
        answer = await gateway.run(query, {"key": given}, caller=caller)
        assert answer.body() == {"data": {"found": None}}

    async def test_prices_of_another_partner(self, gateway: Gateway, known: Known) -> None:
        """A bound client asks for its own prices; to ask for another's is refused."""
        own, other = known.partner_ids[:2]
        query = (
            "query ($id: ID!, $skus: [String!]!) {"
            " productsBySku(skus: $skus) { price(partnerId: $id) { unitPrice { amount } } } }"
        )
        for partner_id, code in ((own, None), (other, "VALIDATION")):
            variables = {"id": encode_id("Partner", partner_id), "skus": known.stocked_skus[:1]}
            answer = await gateway.run(query, variables, caller=principal(partner_id=own))
            assert [e["extensions"]["code"] for e in answer.errors] == ([code] if code else [])


async def foreign_key(gateway: Gateway, type_name: str, column: str, caller: Principal) -> Any:
    """Return the key of a row that exists and is not for the caller."""
    table = table_of(type_name)
    theirs = f"select {column} from {table} where {seen_by(table, caller.rows)}"
    key = await gateway.owner.fetchval(
        f"select min({column}) from {table} where {column} not in ({theirs})"
    )
    assert key is not None, f"there is no {type_name} of others in the small data set"
    return key


class TestConnections:
    """Connections to the database serve one caller after another, and nothing stays behind."""

    @pytest_asyncio.fixture
    async def narrow(self, url: str) -> AsyncIterator[Gateway]:
        """Yield a gateway with a single connection for reads."""
        async with open_gateway(url, read_pool_size=1) as running:
            yield running

    async def test_in_turn(self, narrow: Gateway, known: Known) -> None:
        """Whoever was served before, each caller sees the own orders and looks up as nobody."""
        for caller in turns(known) * 2:
            assert await self._orders(narrow, caller) == await self._stored(narrow, caller)
            (row,) = await narrow.runtime.reads.fetch(
                "select current_user, (select count(*) from sales_order)"
            )
            assert tuple(row) == (STAFF_ROLE, 0)

    async def test_at_once(self, gateway: Gateway, known: Known) -> None:
        """Many callers at once do not see one another's rows."""
        callers = turns(known) * 10
        seen = await asyncio.gather(*(self._orders(gateway, caller) for caller in callers))
        for caller, orders in zip(callers, seen, strict=True):
            assert orders == await self._stored(gateway, caller)

    async def test_after_a_failure(self, narrow: Gateway, known: Known) -> None:
        """A statement that fails leaves the connection as clean as one that does not."""
        first, second, *_ = turns(known)
        query = "query ($number: String!) { salesOrder(number: $number) { id } }"
        answer = await narrow.run(query, {"number": "\0"}, caller=first)
        assert answer.errors
        assert await self._orders(narrow, second) == await self._stored(narrow, second)

    async def _orders(self, gateway: Gateway, caller: Principal) -> tuple[int, set[str]]:
        query = "{ salesOrders(first: 200) { totalCount nodes { partner { id } } } }"
        data = (await gateway.data(query, caller=caller))["salesOrders"]
        return data["totalCount"], {node["partner"]["id"] for node in data["nodes"]}

    async def _stored(self, gateway: Gateway, caller: Principal) -> tuple[int, set[str]]:
        condition = seen_by("sales_order", caller.rows)
        rows = await gateway.owner.fetch(
            f"select partner_id from sales_order where {condition} order by placed_on desc, id desc"
        )
        return len(rows), {encode_id("Partner", row[0]) for row in rows[:200]}


def turns(known: Known) -> list[Principal]:
    """Return callers of two companies and of two partners."""
    first, second = known.partner_ids[:2]
    return [
        principal(),
        principal(partner_id=first),
        principal(2),
        principal(partner_id=second),
        principal(2, partner_id=first),
    ]
