"""What an operation tells of itself to whoever may ask."""

import random
from typing import Any

import pytest

from resolvers.sales.loaders import lines_by_order
from schema.core.execution import Answer, GraphQLRequest
from tests.fixtures.gateway import EVERY_PERMISSION, PATHS, Gateway, open_gateway, principal
from tests.flows.test_live_stock import a_line, a_place

ORDERS = """
query Traced($first: Int!) {
  salesOrders(first: $first) { totalCount nodes { number lines { product { sku } } } }
}
"""


async def asked(
    gateway: Gateway,
    query: str,
    variables: dict[str, Any],
    *,
    trace: object = True,
    permissions: frozenset[str] = EVERY_PERMISSION,
) -> Answer:
    """Run an operation that asks for its trace."""
    executor, who = gateway.runtime.executor, principal(permissions=permissions)
    request = GraphQLRequest(query, None, variables, {"trace": trace})
    prepared = executor.prepare(request, known_caller=True)
    return await executor.execute(prepared, lambda: gateway.runtime.open_context(who, "test"))


@pytest.mark.parametrize("compiled", PATHS)
async def test_a_query(database_url: str, compiled: bool) -> None:  # noqa: FBT001
    """Every statement with its place, its parents and its rows."""
    async with open_gateway(database_url, compile_queries=compiled) as gateway:
        await asked(gateway, ORDERS, {"first": 5})
        answer = await asked(gateway, ORDERS, {"first": 5})
        trace = answer.extensions["trace"]
        assert trace["execution"] == ("compiled" if compiled else "ordinary")
        assert trace["documentKept"] is True
        assert trace["fallbackReasons"] == []
        assert trace["cost"] > 0
        assert trace["milliseconds"] >= trace["databaseMilliseconds"] > 0
        assert trace["statementCount"] == gateway.statements == 4
        assert {s["reads"] for s in trace["statements"]} == {
            "salesOrders",
            "salesOrders count",
            "SalesOrderLinesByOrderId",
            "ProductById",
        }
        assert answer.data is not None
        lines = [line for n in answer.data["salesOrders"]["nodes"] for line in n["lines"]]
        of_lines = next(s for s in trace["statements"] if s["reads"].endswith("LinesByOrderId"))
        assert (of_lines["parents"], of_lines["rows"]) == (5, len(lines))
        assert of_lines["at"] == ("salesOrders.lines" if compiled else None)


async def test_a_mutation(own_gateway: Gateway) -> None:
    """The command's own statements are counted, those of its payload told one by one."""
    place = await a_place(own_gateway)
    query = """mutation Traced($lines: [StockAdjustmentInput!]!) {
      adjustStock(idempotencyKey: "t", lines: $lines) { levels { product { sku } } } }"""
    answer = await asked(own_gateway, query, {"lines": [a_line(place, delta="1")]})
    trace = answer.extensions["trace"]
    assert trace["execution"] == "compiled"
    assert [s["at"] for s in trace["statements"]] == [
        "adjustStock.levels",
        "adjustStock.levels.product",
    ]
    assert trace["statementCount"] == own_gateway.statements > 2


async def test_why_a_plan_gave_way(gateway: Gateway) -> None:
    """The reason is told beside what ordinary execution did."""
    query = "{ salesOrders(first: 1) { nodes { id } } __schema { queryType { name } } }"
    trace = (await asked(gateway, query, {})).extensions["trace"]
    assert trace["execution"] == "ordinary"
    assert trace["fallbackReasons"] == ["__schema is introspection"]


async def test_not_for_everybody(gateway: Gateway) -> None:
    """Without the permission the operation does not run, and the error says which it takes."""
    lacking = EVERY_PERMISSION - {"operations.trace"}
    answer = await asked(gateway, ORDERS, {"first": 1}, permissions=lacking)
    assert answer.data is None
    [error] = answer.errors
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert error["extensions"]["details"] == {"permission": "operations.trace"}


@pytest.mark.parametrize("trace", [False, None, "true", 1])
async def test_only_for_who_asks(gateway: Gateway, trace: object) -> None:
    """An answer has no trace unless it was asked for."""
    lacking = EVERY_PERMISSION - {"operations.trace"}
    answer = await asked(gateway, ORDERS, {"first": 1}, trace=trace, permissions=lacking)
    assert answer.extensions == {}


async def test_a_field_that_asks_row_by_row_is_named(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gauge rises, and one warning an hour names the field whose batching is broken."""
    sound = type(lines_by_order).batch

    async def one_by_one(self: Any, reads: Any, keys: Any, columns: Any, arguments: Any) -> Any:
        if self is not lines_by_order:
            return await sound(self, reads, keys, columns, arguments)
        return [(await sound(self, reads, [k], columns, arguments))[0] for k in keys]

    rng = random.Random(3)
    query = ORDERS.replace("Traced", "Rows")
    async with open_gateway(database_url, compile_queries=False) as gateway:
        for _ in range(50):
            await gateway.data(query, {"first": rng.randint(1, 40)})
        assert ratio(gateway, "Rows") < 0.1
        assert "one by one" not in capsys.readouterr().out
        with monkeypatch.context() as patched:
            patched.setattr(type(lines_by_order), "batch", one_by_one)
            for _ in range(100):
                await gateway.data(query, {"first": rng.randint(1, 40)})
        assert ratio(gateway, "Rows") > 0.5
    [line] = [line for line in capsys.readouterr().out.splitlines() if "one by one" in line]
    assert "SalesOrder.lines" in line
    assert "Rows" in line


def ratio(gateway: Gateway, operation: str) -> float:
    """Return the gauge of an operation."""
    labels = {"type": "query", "operation": operation}
    registry = gateway.runtime.metrics.registry
    found = registry.get_sample_value("gateway_operation_repetition_ratio", labels)
    assert found is not None
    return found
