"""Payloads: what a refusal leaves empty, and what must be able to be empty."""

import json
from decimal import Decimal
from typing import Any

import pytest
import strawberry

from resolvers.catalog.loaders import product_by_id
from resolvers.core.command import CommandRefused
from resolvers.core.context import Context
from resolvers.core.errors import ErpError, Invalid, NotFound
from schema.build import check_fields, core_schema
from schema.catalog.types import Product
from schema.core.fields import Money, column, held, listed, money, related
from schema.core.payload import Payload, UserError, mutation
from schema.core.scalars import schema_config
from tests.fixtures.gateway import Gateway, principal


@strawberry.type(description="A payload with every kind of field.")
class EveryPayload(Payload):
    """What a command may come to."""

    products: list[Product] = listed("Some.", product_by_id, "product_ids")
    product: Product | None = related("One.", product_by_id, "product_id")
    lines: list[Product] = held("Those of a report.", "lines")
    qty: Decimal | None = column("How much.")
    total: Money | None = money("Amount.", "total")
    user_errors: list[UserError] = column("Why not.")


@strawberry.type(description="A payload that cannot be refused.")
class StrictPayload(Payload):
    """A payload that promises an object."""

    product: Product = related("One.", product_by_id, "product_id")
    user_errors: list[UserError] = column("Why not.")


@strawberry.type
class Query:
    """Root fields of queries."""

    nothing: str = strawberry.field(resolver=lambda: "")


def schema_of(payload: type, run: Any) -> strawberry.Schema:
    """Return a schema with one mutation."""

    @strawberry.type
    class Mutation:
        run_it: payload | None = mutation("Run.")(run)  # type: ignore[valid-type]

    return strawberry.Schema(query=Query, mutation=Mutation, config=schema_config())


FULL = """mutation { runIt {
  products { sku } product { sku } lines { sku } qty total { amount }
  userErrors { code message path details }
} }"""


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (
            Invalid("No.", path=("lines", "0"), details={"onHand": "2.0000", "left": 7}),
            [("VALIDATION", '{"left": "7", "onHand": "2.0000"}')],
        ),
        (
            CommandRefused([NotFound("One."), NotFound("Two.")]),
            [("NOT_FOUND", "{}"), ("NOT_FOUND", "{}")],
        ),
    ],
)
async def test_a_refusal_is_a_payload_without_an_outcome(
    gateway: Gateway, failure: Exception, told: list[tuple[str, str]]
) -> None:
    """Its lists are empty, all else is null, and the errors say why; details by their names."""

    async def run(_context: Context) -> EveryPayload | None:
        raise failure

    schema = schema_of(EveryPayload, run)
    check_fields(core_schema(schema))
    async with gateway.runtime.open_context(principal(), "test") as context:
        result = await schema.execute(FULL, context_value=context)
    assert result.errors is None
    assert context.stats.statements == 0
    payload = (result.data or {})["runIt"]
    errors = payload.pop("userErrors")
    assert [(error["code"], json.dumps(error["details"])) for error in errors] == told
    assert payload == {"products": [], "product": None, "lines": [], "qty": None, "total": None}


async def test_other_failures_are_errors() -> None:
    """What a program cannot act on takes the payload with it."""

    async def run(_context: Context) -> EveryPayload | None:
        raise ErpError("Stop.")

    result = await schema_of(EveryPayload, run).execute(FULL, context_value=None)
    assert result.data == {"runIt": None}
    assert result.errors


def test_a_payload_that_promises_an_object_does_not_build() -> None:
    """A command that is refused has no object to tell of."""

    async def run(_context: Context) -> StrictPayload | None:
        raise NotImplementedError

    with pytest.raises(TypeError, match=r"StrictPayload\.product is of an outcome"):
        check_fields(core_schema(schema_of(StrictPayload, run)))
