"""Plans by hand answer as the gateway does, or their costs could not be compared."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import orjson
import pytest
import pytest_asyncio

from benchmarks.database import connect
from benchmarks.growth import GROWTH
from benchmarks.plans import PLANS, encode
from benchmarks.shapes import OPERATIONS, SHAPES, Shape
from tests.fixtures.gateway import Gateway

COMPANY_ID = 1


@pytest_asyncio.fixture
async def connection(database_url: str) -> "AsyncIterator[asyncpg.Connection[Any]]":
    """Yield a connection as the plans have it."""
    connection = await connect(database_url, COMPANY_ID)
    yield connection
    await connection.close()


def test_every_shape_has_a_document_and_a_plan() -> None:
    """Shapes, documents and plans go by the same names; none is left over."""
    names = {shape.name for shape in SHAPES}
    assert {file.stem for file in OPERATIONS.iterdir()} == {*names, GROWTH.name}
    assert set(PLANS) == names


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
async def test_plans_give_the_answers_of_the_gateway(
    shape: Shape, gateway: Gateway, connection: "asyncpg.Connection[Any]"
) -> None:
    """For every set of variables the body is the same, byte for byte, and shows some rows."""
    for variables in await shape.choose(connection):
        by_gateway = orjson.dumps({"data": await gateway.data(shape.document, variables)})
        by_hand = encode(await PLANS[shape.name](connection, variables))
        assert by_gateway == by_hand
        assert by_hand.count(b'"') > 8, "an empty answer says nothing"


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
async def test_shapes_choose_the_same_variables_again(
    shape: Shape, connection: "asyncpg.Connection[Any]"
) -> None:
    """Two runs on the same data ask for the same rows."""
    assert await shape.choose(connection) == await shape.choose(connection)
