"""The scan of all answers can find something, and finds nothing in what may be told."""

from contextlib import suppress
from typing import Any, cast

import httpx2
import pytest
import strawberry

from gateway.sdl import SDL_FILE
from gateway.transports import GraphQLEndpoint
from resolvers.core.errors import Forbidden, Invalid
from resolvers.core.principal import Principal
from schema.core.execution import Executor, GraphQLRequest, Refused
from schema.core.limits import Limits
from tests.fixtures.gateway import settings_for
from tests.fixtures.leaks import leaks, taken
from tests.fixtures.servers import running_server
from tests.gateway.transports.site import open_context, person

SECRETS = [
    "SELECT product.id AS id \nFROM product WHERE product.sku = ANY ($1::VARCHAR[])",
    "[parameters: ($2::BIGINT)]",
    "UPDATE stock_level SET on_hand = 5",
    "insert into outbox_event values (1)",
    'relation "nothing" does not exist',
    'new row for relation "stock_level" violates check constraint "ck_stock_level_never_oversold"',
    "Key (number)=(1) already exists in uq_sales_order_company_id_number",
    "permission denied for table company",
    'syntax error at or near "selec"',
    "<class 'asyncpg.exceptions.DataError'>: invalid input for query argument $1",
    "(sqlalchemy.dialects.postgresql.asyncpg.Error)",
    "strawberry.exceptions.StrawberryException",
    "graphql-core said no",
    "KeyError: 'quantity'",
    "Exceeds the limit (4300 digits); use sys.set_int_max_str_digits()",
    "'NoneType' object is not subscriptable",
    "<Context object at 0x7f3a5e86f790>",
    "Traceback (most recent call last):",
    'File "/checkout/gateway/app.py", line 42, in create_app',
    "/usr/lib/python3/dist-packages",
    "could not connect to postgresql://erp@db.internal:5432/erp",
    "current user is erp_app",
]
HARMLESS = [
    SDL_FILE.read_text("utf-8"),
    '{"data": {"products": {"nodes": [{"name": "Select hammer from the shelf"}]}}}',
    '{"message": "Invalid JSON at line 1, column 5: unexpected end of data."}',
    '{"message": "Cannot query field \\"userErrors\\" on type \\"Query\\"."}',
    '{"path": "/tools/saws/", "source": "SALES_ORDER_LINE"}',
]


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_is_found(text: str) -> None:
    """Each kind of secret is recognised wherever it stands."""
    assert leaks(f'{{"errors": [{{"message": "It failed: {text}!"}}]}}')


@pytest.mark.parametrize("text", HARMLESS)
def test_what_may_be_told_is_no_secret(text: str) -> None:
    """The SDL, names of the API and places in a client's own document are not held against us."""
    assert leaks(text) == []


@strawberry.type
class Query:
    """Fields that tell too much."""

    @strawberry.field
    def refused(self) -> str:
        """Put a driver's words into an expected failure."""
        raise Invalid("invalid input syntax for query argument $1::BIGINT")

    @strawberry.field
    def told(self) -> str:
        """Put them into data."""
        return "ck_stock_level_never_oversold"


@pytest.mark.parametrize("query", ["{ refused }", "{ told }", "{ told(uq_x_y: 1) }"])
async def test_answers_and_refusals_of_the_executor_are_scanned(query: str) -> None:
    """A leak in data, in an error or in a refusal is held against the test."""
    executor = Executor(strawberry.Schema(Query), Limits())
    with suppress(Refused):
        prepared = executor.prepare(GraphQLRequest(query), known_caller=True)
        await executor.execute(prepared, lambda: open_context(person("sales"), "test"))
    assert taken()


class LeakyDoor:
    """Refuses everybody with the database's words."""

    def recall(self, authorization: str | None, company: str | None) -> None:
        """Remember nobody."""

    async def authenticate(self, authorization: str | None, company: str | None) -> Principal:
        """Tell too much."""
        del authorization, company
        raise Forbidden("permission denied for table company")


async def test_refusals_of_the_transports_are_scanned() -> None:
    """What never gets to the executor is scanned on its way out of the endpoint."""
    settings = settings_for("postgresql://nowhere")
    endpoint = GraphQLEndpoint(
        Executor(strawberry.Schema(Query), Limits()),
        LeakyDoor(),
        cast("Any", None),
        settings,
    )
    async with (
        running_server(endpoint, settings, lifespan=False) as address,
        httpx2.AsyncClient(base_url=address.url) as client,
    ):
        response = await client.post("/graphql", json={"query": "{ told }"})
    assert response.status_code == 403
    assert any("message of the database" in leak for leak in taken())
