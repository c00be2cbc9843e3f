"""Jobs: done once however often workers die, told row by row, proven sound at the end."""

import asyncio
import os
import signal
import sys
from typing import Any

import pytest

from gateway.verify import verify
from gateway.worker import UNEXPECTED, VERIFY, Worker
from resolvers.bulk import jobs
from resolvers.bulk.rules import OnError, packed, unpacked
from schema.core.ids import encode_id
from tests.fixtures.gateway import Gateway, settings_for

PRODUCTS = """
mutation Products($key: String!, $rows: [ProductUpsertInput!]!, $onError: OnError!) {
  done: upsertProducts(idempotencyKey: $key, rows: $rows, onError: $onError) {
    job { id } userErrors { code }
  }
}
"""
JOB = """
query Job($id: ID!) {
  node(id: $id) {
    ... on Job { state attempt progressDone progressTotal error accepted rejected
                 rejectedRows { index key errors { code path } } }
  }
}
"""


async def ask(gateway: Gateway, count: int, *, wrong: int, on_error: str) -> str:
    """Ask for an upsert of so many products, ``wrong`` of them wrong, and return the job's id."""
    category = await gateway.owner.fetchval("select min(code) from product_category")
    rows = [
        {
            "sku": f"JOB-{n:05}",
            "name": f"Product {n}",
            "categoryCode": "NONE" if n < wrong else category,
            "uom": "PCE",
            "listPrice": "1.50",
        }
        for n in range(count)
    ]
    told = await gateway.data(PRODUCTS, {"key": "j", "rows": rows, "onError": on_error})
    assert told["done"]["userErrors"] == []
    id_: str = told["done"]["job"]["id"]
    return id_


async def job(gateway: Gateway, id_: str) -> Any:
    """Return how far a job is."""
    return (await gateway.data(JOB, {"id": id_}))["node"]


async def begun(gateway: Gateway, id_: str) -> None:
    """Wait until a worker has begun a job."""
    async with asyncio.timeout(60):
        while (await job(gateway, id_))["state"] == "QUEUED":  # noqa: ASYNC110 - nobody says when
            await asyncio.sleep(0.02)


async def made(gateway: Gateway) -> int:
    """Count the products that jobs made."""
    return int(await gateway.owner.fetchval("select count(*) from product where sku like 'JOB-%'"))


async def test_good_rows_are_written_and_bad_ones_told(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """In portions, with verdicts at the places of the input."""
    id_ = await ask(own_gateway, 1_500, wrong=3, on_error="REJECT_FAILED_ROWS")
    assert (await job(own_gateway, id_))["state"] == "QUEUED"
    assert await Worker(settings_for(own_database_url)).run_until_idle() == 1
    done = await job(own_gateway, id_)
    assert (done["state"], done["accepted"], done["rejected"]) == ("SUCCEEDED", 1_497, 3)
    assert (done["progressDone"], done["progressTotal"]) == (1_500, 1_500)
    assert [row["key"] for row in done["rejectedRows"]] == ["JOB-00000", "JOB-00001", "JOB-00002"]
    assert done["rejectedRows"][2]["errors"] == [
        {"code": "NOT_FOUND", "path": ["rows", "2", "categoryCode"]}
    ]
    assert await made(own_gateway) == 1_497
    trail = await own_gateway.owner.fetch(
        "select distinct actor, request_id from audit_log where operation = 'upsertProducts'"
    )
    assert len(trail) == 1, "who asked for it is who did it"
    assert not [result for result in await verify(own_database_url) if not result.holds]


async def test_portions_are_told_in_their_order(
    own_gateway: Gateway, own_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two are written at once, each by a key of its own; what is told is in the order of rows."""
    monkeypatch.setattr(jobs, "PORTION", 300)
    id_ = await ask(own_gateway, 1_500, wrong=700, on_error="REJECT_FAILED_ROWS")
    assert await Worker(settings_for(own_database_url)).run_until_idle() == 1
    done = await job(own_gateway, id_)
    assert (done["state"], done["accepted"], done["rejected"]) == ("SUCCEEDED", 800, 700)
    assert [row["index"] for row in done["rejectedRows"]] == list(range(700))
    keys = await own_gateway.owner.fetch("select key from idempotency_key where key like 'job:%'")
    assert len(keys) == 1_500 / 300


PARTNERS = """
mutation Partners($key: String!, $rows: [PartnerUpsertInput!]!, $onError: OnError!) {
  done: upsertPartners(idempotencyKey: $key, rows: $rows, onError: $onError) {
    job { id } userErrors { code }
  }
}
"""
LEVELS = """
mutation Levels($key: String!, $rows: [StockLevelUpsertInput!]!, $onError: OnError!) {
  done: upsertStockLevels(idempotencyKey: $key, rows: $rows, onError: $onError) {
    job { id } userErrors { code }
  }
}
"""


async def rows_of(gateway: Gateway, kind: str) -> list[dict[str, Any]]:
    """Return more rows than are written at once, the last ones of keys of the first ones."""
    count, again = 1_010, 7
    if kind == PRODUCTS:
        category = await gateway.owner.fetchval("select min(code) from product_category")
        more = {"categoryCode": category, "uom": "PCE", "listPrice": "1.50"}
        rows = [{"sku": f"JOB-{n:05}", "name": "First", **more} for n in range(count)]
        return [*rows, *({**row, "name": "Later"} for row in rows[:again])]
    if kind == PARTNERS:
        rows = [{"code": f"JOB-{n}", "name": "First", "isCustomer": True} for n in range(count)]
        return [*rows, *({**row, "name": "Later"} for row in rows[:again])]
    found = await gateway.owner.fetch(
        """select p.sku, x.id from product p, stock_location x
           where p.tracking = 'NONE' and p.kind = 'GOODS' and p.archived_at is null
             and x.company_id = 1 and x.kind = 'INTERNAL' and x.sellable
           order by p.id, x.id limit $1""",
        count,
    )
    rows = [
        {"sku": sku, "locationId": encode_id("StockLocation", id_), "countedQty": "7000"}
        for sku, id_ in found
    ]
    return [*rows, *({**row, "countedQty": "9000"} for row in rows[:again])]


@pytest.mark.parametrize(
    ("kind", "code", "at", "later"),
    [
        (
            *(PRODUCTS, "DUPLICATE", ["sku"]),
            "select count(*) from product where name = 'Later'",
        ),
        (
            *(PARTNERS, "DUPLICATE", ["code"]),
            "select count(*) from partner where name = 'Later'",
        ),
        (*(LEVELS, "VALIDATION", []), "select count(*) from stock_balance where on_hand = 9000"),
    ],
    ids=["products", "partners", "levels"],
)
@pytest.mark.parametrize("on_error", ["REJECT_FAILED_ROWS", "REJECT_EVERYTHING"])
async def test_the_first_row_of_a_key_is_the_one(  # noqa: PLR0917 - a table
    own_gateway: Gateway,
    own_database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    code: str,
    at: list[str],
    later: str,
    on_error: str,
) -> None:
    """Rows of one key are told of wherever they stand, though portions are written at once."""
    monkeypatch.setattr(jobs, "PORTION", 300)
    rows = await rows_of(own_gateway, kind)
    count = len(rows) - 7
    told = (await own_gateway.data(kind, {"key": "j", "rows": rows, "onError": on_error}))["done"]
    await Worker(settings_for(own_database_url)).run_until_idle()
    done = await job(own_gateway, told["job"]["id"])
    everything = on_error == "REJECT_EVERYTHING"
    assert done["state"] == ("FAILED" if everything else "SUCCEEDED")
    assert (done["accepted"], done["rejected"]) == ((0, len(rows)) if everything else (count, 7))
    assert [(row["index"], row["errors"]) for row in done["rejectedRows"]] == [
        (count + n, [{"code": code, "path": ["rows", str(count + n), *at]}]) for n in range(7)
    ]
    assert await own_gateway.owner.fetchval(later) == 0
    assert not [result for result in await verify(own_database_url) if not result.holds]


async def test_all_or_nothing(own_gateway: Gateway, own_database_url: str) -> None:
    """One bad row fails the job for good; nothing is written."""
    id_ = await ask(own_gateway, 1_200, wrong=1, on_error="REJECT_EVERYTHING")
    assert await Worker(settings_for(own_database_url)).run_until_idle() == 1
    done = await job(own_gateway, id_)
    assert (done["state"], done["attempt"]) == ("FAILED", 1)
    assert "1 of 1200 rows are wrong" in done["error"]
    assert [row["index"] for row in done["rejectedRows"]] == [0]
    assert await made(own_gateway) == 0


async def test_what_goes_wrong_is_tried_again(
    own_gateway: Gateway, own_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later, and in the end not any more; what went wrong inside is not told."""
    id_ = await ask(own_gateway, 1_001, wrong=0, on_error="REJECT_EVERYTHING")

    async def broken(*_: Any) -> Any:
        raise RuntimeError("secret")

    monkeypatch.setattr(jobs, "HANDLERS", dict.fromkeys(jobs.HANDLERS, broken))
    worker = Worker(settings_for(own_database_url))
    for attempt in range(1, 6):
        assert await worker.run_until_idle() == 1
        found = await job(own_gateway, id_)
        assert (found["attempt"], found["error"]) == (attempt, UNEXPECTED)
        assert found["state"] == ("QUEUED" if attempt < 5 else "DEAD")
        assert await worker.run_until_idle() == 0, "not at once"
        await own_gateway.owner.execute("update job set run_at = now() where state = 'QUEUED'")


async def test_workers_share_jobs(own_gateway: Gateway, own_database_url: str) -> None:
    """Each job is done by one of them."""
    await ask(own_gateway, 1_001, wrong=0, on_error="REJECT_EVERYTHING")
    await own_gateway.owner.execute(
        """insert into job (company_id, kind, arguments, created_by)
           select company_id, kind, arguments, created_by from job, generate_series(1, 5)
           where kind = 'upsert-products'"""
    )
    settings = settings_for(own_database_url)
    done = await asyncio.gather(*(Worker(settings).run_until_idle() for _ in range(3)))
    assert sum(done) == 6
    attempts = await own_gateway.owner.fetch(
        "select attempts, state from job where kind = 'upsert-products'"
    )
    assert {tuple(row) for row in attempts} == {(1, "SUCCEEDED")}


async def test_invariants_are_proven_and_what_is_broken_is_told(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """By a job of its own, whose result is a metric of every gateway."""
    await own_gateway.owner.execute(
        "insert into job (company_id, kind, created_by) values (1, $1, 'worker')", VERIFY
    )
    await own_gateway.owner.execute(
        "update sales_order set subtotal = subtotal + 1, total = total + 1 where id = 1"
    )
    assert await Worker(settings_for(own_database_url)).run_until_idle() == 1
    result = await own_gateway.owner.fetchval(
        "select result from job where kind = $1 order by id desc limit 1", VERIFY
    )
    assert '"broken": {"order_totals": 1}' in result


async def test_a_worker_that_is_killed_leaves_nothing_half_done(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """Killed three times over one job: every row is there once, with one entry in the trail."""
    id_ = await ask(own_gateway, 9_000, wrong=0, on_error="REJECT_FAILED_ROWS")
    environment = {
        **os.environ,
        "GATEWAY_ENVIRONMENT": "test",
        "GATEWAY_DATABASE_URL": own_database_url,
        "GATEWAY_LOG_LEVEL": "error",
    }
    for delay in (0.05, 0.2, 0.4):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "worker"), env=environment
        )
        try:
            await begun(own_gateway, id_)
            await asyncio.sleep(delay)
        finally:
            process.send_signal(signal.SIGKILL)
            await process.wait()
    async with asyncio.timeout(60):
        while (await job(own_gateway, id_))["state"] not in {"SUCCEEDED", "DEAD"}:
            await Worker(settings_for(own_database_url)).run_until_idle()
            await asyncio.sleep(0.1)
    done = await job(own_gateway, id_)
    assert (done["state"], done["accepted"], done["rejected"]) == ("SUCCEEDED", 9_000, 0)
    assert await made(own_gateway) == 9_000
    once = await own_gateway.owner.fetchval(
        """select count(*) from audit_log where operation = 'upsertProducts'"""
    )
    assert once == 9_000


async def test_a_worker_that_is_told_to_stop_finishes(
    own_gateway: Gateway, own_database_url: str
) -> None:
    """SIGTERM ends it once its job is done, and quickly when there is none."""
    id_ = await ask(own_gateway, 3_000, wrong=0, on_error="REJECT_FAILED_ROWS")
    environment = {
        **os.environ,
        "GATEWAY_ENVIRONMENT": "test",
        "GATEWAY_DATABASE_URL": own_database_url,
        "GATEWAY_LOG_LEVEL": "error",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "worker"), env=environment
    )
    try:
        await begun(own_gateway, id_)
        async with asyncio.timeout(60):
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
    assert (await job(own_gateway, id_))["state"] == "SUCCEEDED"


def test_rows_of_jobs_are_read_packed_and_as_they_were_before() -> None:
    """A job that was asked for by a gateway of the version before is done as well."""
    rows: list[dict[str, Any]] = [{"sku": "Ä-1", "name": "x" * 500}, {"sku": "B", "attributes": {}}]
    rule = "REJECT_FAILED_ROWS"
    job = packed(rows, OnError(rule))
    assert len(job["packed"]) < 200
    assert unpacked(job) == unpacked({"rows": rows, "onError": rule}) == (rows, OnError(rule))
