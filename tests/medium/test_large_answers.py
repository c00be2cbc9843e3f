"""Answers of thousands of rows, many at once: few are read, and small ones do not wait for them."""

import asyncio

import pytest

from schema.engine import large
from schema.engine.large import AT_ONCE, LARGE
from tests.fixtures.gateway import Gateway

_ORDERS = """
query Orders($first: Int!) {
  salesOrders(first: $first) { nodes { number lines { seq product { sku } } } }
}
"""
_CLIENTS = 12


@pytest.fixture(autouse=True)
def _always_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the loop seem busy and nobody slow: this machine may be busy with something else."""
    monkeypatch.setattr(large, "BUSY_SHARE", -1.0)
    monkeypatch.setattr(large, "SLOW_SECONDS", 60.0)


async def _most_connections(gateway: Gateway, first: int) -> int:
    """Ask for as many orders several times at once; return how many connections that took."""
    most = 0
    working = [
        asyncio.create_task(gateway.data(_ORDERS, {"first": first})) for _ in range(_CLIENTS)
    ]
    while not all(task.done() for task in working):
        most = max(most, gateway.runtime.reads.state().in_use)
        await asyncio.sleep(0)
    answers = await asyncio.gather(*working)
    assert all(answer == answers[0] for answer in answers)
    return most


async def test_few_are_read_at_once(gateway: Gateway) -> None:
    """Once a plan had a large answer, as many take a connection as may; small pages all do."""
    await gateway.data(_ORDERS, {"first": 200})
    assert gateway.reports[-1].stats.rows > LARGE
    assert await _most_connections(gateway, 200) == AT_ONCE
    # pages of ten are of the same plan, and known to be small by what they cost
    assert await _most_connections(gateway, 10) > AT_ONCE


async def test_none_waits_when_they_are_given_up(gateway: Gateway) -> None:
    """Clients that leave, while they wait or while theirs is read, keep nobody waiting."""
    await gateway.data(_ORDERS, {"first": 200})
    leaving = [asyncio.create_task(gateway.data(_ORDERS, {"first": 200})) for _ in range(_CLIENTS)]
    staying = asyncio.create_task(gateway.data(_ORDERS, {"first": 200}))
    for _ in range(10):
        await asyncio.sleep(0)
    for task in leaving:
        task.cancel()
    found = await asyncio.wait_for(staying, 20)
    assert len(found["salesOrders"]["nodes"]) == 200
    assert await _most_connections(gateway, 200) == AT_ONCE


async def test_too_many_are_refused(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits too long is told so, as where no connection becomes free; small pages go on."""
    await gateway.data(_ORDERS, {"first": 200})
    monkeypatch.setattr(large, "AT_ONCE", 0)
    monkeypatch.setattr(gateway.runtime.engine, "_wait_seconds", 0.05)
    answer = await gateway.run(_ORDERS, {"first": 200})
    assert [error["extensions"]["code"] for error in answer.errors] == ["OVERLOADED"]
    assert len((await gateway.data(_ORDERS, {"first": 10}))["salesOrders"]["nodes"]) == 10
