"""Live queries that are run both ways."""

import asyncio
from typing import Any

import pytest
import structlog

from schema.core.shadow import Shadow, first_difference
from schema.engine.run import Compiled
from tests.fixtures.gateway import Gateway, open_gateway

QUERY = "query Shadowed { salesOrders(first: 3) { nodes { number lines { qty } } } }"
FAILING = "query Failing { products(first: 1000) { nodes { sku } } partners { nodes { id } } }"


def outcomes(gateway: Gateway) -> dict[str, float]:
    """Return how comparisons went."""
    return {
        sample.labels["outcome"]: sample.value
        for family in gateway.runtime.metrics.registry.collect()
        if family.name == "gateway_shadow_comparisons"
        for sample in family.samples
    }


async def settled(gateway: Gateway) -> None:
    """Wait until nothing is compared any more."""
    assert gateway.runtime.shadow is not None
    await gateway.runtime.shadow.settled()


async def test_sound_operations_are_equal(database_url: str) -> None:
    """Data and errors agree, and neither metrics nor reports see the second run."""
    async with open_gateway(database_url, shadow_share=1.0) as gateway:
        for query in (QUERY, FAILING, "{ me { name } }"):
            await gateway.run(query)
            await settled(gateway)
        assert outcomes(gateway) == {"equal": 3}
        assert len(gateway.reports) == 3


async def test_a_defect_of_the_engine_is_counted_and_told(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log says which operation and where, and nothing of the rows."""
    sound = Compiled.run

    async def spoilt(self: Compiled, *args: Any, **options: Any) -> Any:
        answers = await sound(self, *args, **options)
        answers[0]["salesOrders"]["nodes"][1]["number"] = "a secret number"
        return answers

    monkeypatch.setattr(Compiled, "run", spoilt)
    async with open_gateway(database_url, shadow_share=1.0) as gateway:
        await gateway.run(QUERY)
        await settled(gateway)
        assert outcomes(gateway) == {"different": 1}
    [line] = [x for x in capsys.readouterr().out.splitlines() if "differ" in x]
    assert "Shadowed" in line
    assert "data.salesOrders.nodes.1.number" in line
    assert "secret" not in line


async def test_data_that_changes_meanwhile_is_no_difference(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what stays different is one."""
    sound, runs = Compiled.run, 0

    async def moving(self: Compiled, *args: Any, **options: Any) -> Any:
        nonlocal runs
        runs += 1
        answers = await sound(self, *args, **options)
        if runs < 4:
            answers[0]["salesOrders"]["nodes"].pop()
        return answers

    monkeypatch.setattr(Compiled, "run", moving)
    async with open_gateway(database_url, shadow_share=1.0) as gateway:
        await gateway.run(QUERY)
        await settled(gateway)
        assert outcomes(gateway) == {"moved": 1}


async def test_never_when_busy(database_url: str) -> None:
    """Clients come first."""
    async with open_gateway(database_url, shadow_share=1.0, read_pool_size=2) as gateway:
        connection = await gateway.runtime.reads.acquire()
        await gateway.run(QUERY)
        assert outcomes(gateway) == {"skipped": 1}
        gateway.runtime.reads.release(connection)
        await gateway.run(QUERY)
        await settled(gateway)
        assert outcomes(gateway) == {"skipped": 1, "equal": 1}


async def test_one_at_a_time() -> None:
    """What comes while one is compared is not, and what comes after it is."""
    told: list[str] = []
    answered = asyncio.Event()

    async def run(_: bool) -> dict[str, Any]:  # noqa: FBT001
        await answered.wait()
        return {}

    shadow = Shadow(1.0, busy=lambda: False, on_run=told.append, log=structlog.get_logger())
    shadow.consider("One", str, run)
    await asyncio.sleep(0)
    shadow.consider("Other", str, run)
    assert told == ["skipped"]
    answered.set()
    await shadow.settled()
    shadow.consider("Third", str, run)
    await shadow.settled()
    assert told == ["skipped", "equal", "equal"]


async def test_off_unless_asked_for(gateway: Gateway) -> None:
    """By default nothing is run twice."""
    await gateway.run(QUERY)
    assert gateway.runtime.shadow is None
    assert outcomes(gateway) == {}


@pytest.mark.parametrize(
    ("one", "other", "at"),
    [
        ({"data": {"a": [1, 2]}}, {"data": {"a": [1, 3]}}, "data.a.1"),
        ({"data": {"a": [1]}}, {"data": {"a": []}}, "data.a.[length]"),
        ({"data": {"a": 1}}, {"data": {"b": 1}}, "data.{names}"),
        ({"data": None}, {"data": {}}, "data"),
        ({"errors": [], "data": {}}, {"data": {}}, "{names}"),
    ],
)
def test_the_first_difference(one: Any, other: Any, at: str) -> None:
    """It is a place, never a value."""
    assert first_difference(one, other) == at
