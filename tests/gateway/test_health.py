"""What probes are told."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from gateway.health import Check, Health, pool_check
from resolvers.core.context import PoolState


def check_that(found: str | None) -> Check:
    """Return a check that always finds the same."""

    async def check() -> str | None:
        return found

    return check


def probe(health: Health, path: str) -> tuple[int, dict[str, Any]]:
    """Ask over HTTP as a probe does."""
    with TestClient(Starlette(routes=health.routes())) as client:
        answer = client.get(path)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, answer.json()


def test_alive_whatever_the_checks_say() -> None:
    """A process that answers is alive; restarting it would not bring the database back."""
    health = Health({"database": check_that("is not reachable")})
    health.shut_down()
    assert probe(health, "/healthz") == (200, {"alive": True})


def test_ready_when_every_check_passes() -> None:
    """No reason means 200."""
    health = Health({"database": check_that(None), "relay": check_that(None)})
    status, body = probe(health, "/readyz")
    assert status == 200
    assert body == {"ready": True, "reasons": {}, "checks": {"database": True, "relay": True}}


def test_not_ready_with_all_reasons_at_once() -> None:
    """Every failed check gives its reason, not only the first."""
    health = Health(
        {
            "database": check_that(None),
            "migrations": check_that("are 2 behind"),
            "relay": check_that("has not followed the log for 12 s"),
        }
    )
    status, body = probe(health, "/readyz")
    assert status == 503
    assert body["reasons"] == {
        "migrations": "are 2 behind",
        "relay": "has not followed the log for 12 s",
    }
    assert body["checks"] == {"database": True, "migrations": False, "relay": False}


def test_check_that_raises_tells_nothing_of_why() -> None:
    """The text of an exception can hold SQL, hosts and passwords: it stays in the log."""

    async def broken() -> str | None:
        raise ConnectionError("select 1 at postgresql://erp:hunter2@db.internal:5432/erp")

    with capture_logs() as logged:
        status, body = probe(Health({"database": broken}), "/readyz")
    assert status == 503
    assert body["reasons"] == {"database": "could not be checked; the log says why"}
    assert [line["check"] for line in logged if line["event"] == "readiness check failed"] == [
        "database"
    ]


def test_check_that_hangs_is_cut_off() -> None:
    """A hanging check is a reason, and does not hold up the others."""

    async def hanging() -> str | None:
        await asyncio.sleep(60)
        return None

    checks = {"database": hanging, "relay": check_that("is behind")}
    status, body = probe(Health(checks, timeout_seconds=0.05), "/readyz")
    assert status == 503
    assert body["reasons"] == {"database": "did not answer within 0.05 s", "relay": "is behind"}


def test_shutting_down_is_told_at_once() -> None:
    """A kept answer does not outlive the decision to stop."""
    health = Health({"database": check_that(None)}, fresh_seconds=60)
    assert probe(health, "/readyz")[0] == 200
    health.shut_down()
    status, body = probe(health, "/readyz")
    assert status == 503
    assert body["reasons"] == {"process": "is shutting down"}


def counting() -> tuple[Callable[[], Awaitable[str | None]], list[int]]:
    """Return a slow check and the list it appends to when run."""
    runs: list[int] = []

    async def check() -> str | None:
        runs.append(1)
        await asyncio.sleep(0.01)
        return None

    return check, runs


async def test_probes_share_one_run_of_the_checks() -> None:
    """A hundred probes at once, and more within the second, cost one run."""
    check, runs = counting()
    health = Health({"database": check}, fresh_seconds=60)
    found = await asyncio.gather(*(health.readiness() for _ in range(100)))
    await health.readiness()
    assert all(readiness.ready for readiness in found)
    assert len(runs) == 1


async def test_an_old_answer_is_found_again() -> None:
    """The answer is kept for a moment, not for good."""
    check, runs = counting()
    health = Health({"database": check}, fresh_seconds=0)
    await health.readiness()
    await health.readiness()
    assert len(runs) == 2


async def test_probe_that_hangs_up_spoils_nothing() -> None:
    """The next probe runs the checks afresh."""
    entered = asyncio.Event()
    answers = asyncio.Event()

    async def slow() -> str | None:
        entered.set()
        await answers.wait()
        return None

    health = Health({"database": slow}, timeout_seconds=5)
    impatient = asyncio.create_task(health.readiness())
    await entered.wait()
    impatient.cancel()
    answers.set()
    assert (await health.readiness()).ready


async def test_pool_is_exhausted_only_when_somebody_waits() -> None:
    """A busy pool can serve; one with all connections lent out and a queue cannot."""
    busy = PoolState(limit=10, size=10, in_use=10, waiting=0)
    assert await pool_check(lambda: busy)() is None
    reason = await pool_check(lambda: busy._replace(waiting=4))()
    assert reason == "is exhausted: 10 of 10 in use, 4 waiting"
