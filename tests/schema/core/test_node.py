"""`node(id:)`: every type by its id, and nothing by any other text."""

import base64
from collections.abc import AsyncIterator
from typing import Final
from uuid import uuid4

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from gateway.postgres import EmbeddedPostgres
from resolvers.core.errors import Invalid
from resolvers.core.table import row_rule
from schema.build import build_schema
from schema.core.ids import decode_id, decode_ids, encode_id, split_id
from schema.core.node import NODE_TYPES
from tests.fixtures.gateway import open_gateway, principal
from tests.fixtures.paths import BothPaths

build_schema()
NODE: Final = "query($id: ID!) { node(id: $id) { id __typename ... on Product { sku } } }"


def text_id(text: str) -> str:
    """Return any text as an id is written."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def own(type_name: str) -> str:
    """Return the condition that a row of a type's table is of company 1."""
    table = NODE_TYPES[type_name].entity.table
    if "company_id" in table.columns:
        return "(company_id = 1 or company_id is null)"
    if table.name == "app_user":
        return "id in (select user_id from user_role where company_id = 1)"
    return "id = 1" if table.name == "company" else "true"


@pytest.mark.parametrize("type_name", sorted(NODE_TYPES))
async def test_every_type_is_fetched_again_by_its_id(reader: BothPaths, type_name: str) -> None:
    """The id a client got gives the same object, archived or not, in one statement."""
    table = NODE_TYPES[type_name].entity.table.name
    keys = await reader.ids(
        f"(select id from {table} where {own(type_name)} order by id limit 3)"
        f" union (select id from {table} where {own(type_name)} order by id desc limit 3)"
    )
    assert keys
    for key in keys:
        id_ = text_id(f"{type_name}:{key}")
        data = await reader.data(NODE, {"id": id_})
        assert data["node"]["id"] == id_
        assert data["node"]["__typename"] == type_name
        assert reader.statements == 1


@pytest.mark.parametrize("type_name", sorted(NODE_TYPES))
async def test_ids_of_rows_that_are_not_there_are_null(reader: BothPaths, type_name: str) -> None:
    """A number no row has, or could have, finds nothing; what cannot be is not even asked."""
    for key in ("0", "2147483647", "2147483648", str(2**63 - 1), str(2**63), "9" * 4_301, "00"):
        data = await reader.data(NODE, {"id": text_id(f"{type_name}:{key}")})
        assert data == {"node": None}


OWNED: Final = sorted(
    name for name, node in NODE_TYPES.items() if row_rule(node.entity.table).owned
)


@pytest_asyncio.fixture(scope="module")
async def others(server: EmbeddedPostgres, template: str) -> AsyncIterator[BothPaths]:
    """Yield both ways over a database in which the second company has something of everything."""
    name = f"erp_others_{uuid4().hex[:12]}"
    server.create_database(name, template=template)
    url = server.url(name)
    async with (
        open_gateway(url) as compiled,
        open_gateway(url, compile_queries=False, relay=False) as ordinary,
    ):
        await compiled.owner.execute("update api_client set company_id = 2")
        await compiled.owner.execute("delete from user_role where company_id = 1 and user_id = 4")
        await compiled.owner.execute(
            """with place as (
                 insert into warehouse (company_id, code, name) values (2, 'LAW', 'Law')
                 returning id
               ), made as (
                 insert into stock_transfer (company_id, number, from_warehouse_id,
                                             to_warehouse_id, sent_on, expected_on, sent_by)
                 select 2, 'TR-LAW', (select min(id) from warehouse where company_id = 2), id,
                        current_date, current_date, 'user:1' from place
                 returning id, to_warehouse_id, expected_on
               )
               insert into stock_transfer_line (company_id, transfer_id, to_warehouse_id,
                                                expected_on, position, product_id, quantity)
               select 2, id, to_warehouse_id, expected_on, 1, 1, 1 from made"""
        )
        yield BothPaths(compiled, ordinary)
    server.drop_database(name)


@pytest.mark.parametrize("type_name", OWNED)
async def test_rows_of_another_company_are_null(others: BothPaths, type_name: str) -> None:
    """An id of another company looks like one of no row."""
    table = NODE_TYPES[type_name].entity.table
    column = "company_id" if "company_id" in table.columns else "id"
    condition = "id = 4" if type_name == "User" else f"{column} = 2"
    keys = await others.ids(f"select id from {table.name} where {condition} limit 3")
    assert keys, "the demo data has no row of the second company"
    for key in keys:
        id_ = text_id(f"{type_name}:{key}")
        assert await others.data(NODE, {"id": id_}) == {"node": None}
        found = await others.data(NODE, {"id": id_}, caller=principal(2))
        assert found["node"]["id"] == id_


@pytest.mark.parametrize("type_name", sorted(NODE_TYPES))
async def test_without_the_permission_there_is_nothing(reader: BothPaths, type_name: str) -> None:
    """A type that needs a permission is refused without it, whether or not the row is there."""
    requires = NODE_TYPES[type_name].requires
    for key in (1, 2**31 - 1):
        answer = await reader.run(
            NODE, {"id": text_id(f"{type_name}:{key}")}, caller=principal(permissions=frozenset())
        )
        codes = [error["extensions"]["code"] for error in answer.errors]
        assert codes == ([] if requires is None else ["FORBIDDEN"])
        if requires is not None:
            assert answer.data == {"node": None}


@pytest.mark.parametrize(
    "id_",
    [
        "",
        "x",
        "1",
        " ",
        "=",
        "Product:1",
        text_id("Product"),
        text_id("Product:"),
        text_id(":1"),
        text_id("Pro duct:1"),
        text_id("Prodükt:1"),
        text_id("\0:1"),
        text_id("Product:1") + " ",
        "!" + text_id("Product:1"),
        text_id("Product:1").replace("U", "Ü"),
        "A" * 10_000,
        base64.urlsafe_b64encode(b"\xff\xfe:\x00").decode(),
    ],
)
async def test_what_is_no_id_is_refused_by_name(reader: BothPaths, id_: str) -> None:
    """The error says which argument is no id; nothing is read."""
    error = await reader.refusal(NODE, {"id": id_})
    assert error["message"] == "id is not an id; ids come from the id field."
    assert error["extensions"] == {"code": "VALIDATION", "inputPath": ["id"]}
    assert reader.statements == 0


@pytest.mark.parametrize(
    "text",
    [
        *("Nothing:1", "Currency:EUR", "PaymentTerm:1", "product:1", "Query:1", "Node:1"),
        *("Product:-1", "Product:1.0", "Product:0x1", "Product:1e3", "Product: 1", "Product:EUR"),
        "__Type:1",
    ],
)
async def test_ids_of_nothing_that_is_a_node_are_null(reader: BothPaths, text: str) -> None:
    """An id of a type that is no node, or with a key that is no number, finds nothing."""
    assert await reader.data(NODE, {"id": text_id(text)}) == {"node": None}
    assert reader.statements == 0


async def test_one_node_serves_fragments_on_every_type(reader: BothPaths) -> None:
    """A page that knows only an id asks for whatever the object turns out to be."""
    query = """
      query($id: ID!) { node(id: $id) { __typename id
        ... on Product { sku uom { code } }
        ... on SalesOrder { number lines { qty } }
        ... on Warehouse { code levels(first: 1) { totalCount } }
        ...P } }
      fragment P on Partner { code terms { blockReason } }"""
    expected = {"Product": 2, "SalesOrder": 2, "Warehouse": 2, "Partner": 2, "StockLevel": 1}
    for type_name, statements in expected.items():
        id_ = text_id(f"{type_name}:1")
        data = await reader.data(query, {"id": id_})
        assert data["node"]["__typename"] == type_name
        assert reader.statements == statements


@given(st.sampled_from(sorted(NODE_TYPES)), st.integers(0, 2**63 - 1))
def test_ids_come_back_as_they_went(type_name: str, key: int) -> None:
    """Encoding and decoding are each other's inverse, and ids need no escaping anywhere."""
    id_ = encode_id(type_name, key)
    assert id_.replace("-", "").replace("_", "").isalnum()
    assert split_id(id_) == (type_name, str(key))
    assert decode_id(id_, type_name) == key
    assert encode_id(type_name, key) == text_id(f"{type_name}:{key}")


@given(st.text(max_size=80))
def test_any_text_is_an_id_or_invalid(text: str) -> None:
    """No text makes decoding fail in any other way."""
    try:
        assert isinstance(decode_id(text, "Product", path=("lines", "0", "id")), int)
    except Invalid as refusal:
        path = refusal.path
        assert path == ("lines", "0", "id")


def test_a_list_of_ids_names_the_one_that_is_wrong() -> None:
    """The place in the list is in the message and in the path."""
    with pytest.raises(Invalid, match=r"filter\.ids\.1 is the id of a Partner") as refusal:
        decode_ids([encode_id("Product", 1), encode_id("Partner", 1)], "Product", ("filter", "ids"))
    assert refusal.value.path == ("filter", "ids", "1")
    with pytest.raises(Invalid, match=r"filter\.ids takes at most 200 values"):
        decode_ids([encode_id("Product", 1)] * 201, "Product", ("filter", "ids"))


async def test_long_ids_are_not_told_at_length(reader: BothPaths) -> None:
    """An error that repeats what a client made up is bounded."""
    id_ = text_id("A" * 5_000 + ":1")
    error = await reader.refusal("query($id: ID!) { product(id: $id) { id } }", {"id": id_})
    assert error["message"].startswith("id is the id of a AAAA")
    assert len(error["message"]) <= 300
