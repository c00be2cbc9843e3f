"""Reference data in memory: two processes, and a change that both tell at once."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg
import httpx2
import pytest
import pytest_asyncio

from gateway.tokens import issue_user_token
from resolvers.core.clock import system_clock
from tests.fixtures.gateway import settings_for
from tests.fixtures.servers import ServerProcess, server_process
from tests.flows import gateway_process

ORDERS = """{
  salesOrders(first: 20) {
    nodes {
      number
      warehouse { name }
      partner { terms { paymentTerm { name } } }
      lines {
        taxApplied { name }
        product {
          sku category { name }
          uom { name }
          totals { onHand }
          availability { onHand version warehouse { code name } }
        }
      }
    }
  }
}"""
CHANGES = {
    "product_category": "update product_category set name = name || ' (new)'",
    "unit_of_measure": "update unit_of_measure set name = name || ' (new)'",
    "warehouse": "update warehouse set name = name || ' (new)'",
    "payment_term": "update payment_term set name = name || ' (new)'",
    "tax": "update tax set name = name || ' (new)'",
}


class Processes:
    """Two gateways over one database, and its owner."""

    def __init__(
        self,
        both: list[ServerProcess],
        owner: "asyncpg.Connection[Any]",
        client: httpx2.AsyncClient,
    ) -> None:
        self.both = both
        self.owner = owner
        self._client = client

    async def ask(self, process: ServerProcess) -> Any:
        """Return what a process answers."""
        answer = await self._client.post(process.graphql, json={"query": ORDERS})
        body = answer.json()
        assert "errors" not in body, body
        return body["data"]["salesOrders"]["nodes"]

    async def told(self, process: ServerProcess, expected: Callable[[Any], bool]) -> None:
        """Ask until the answer is as expected."""
        async with asyncio.timeout(20):
            while not expected(await self.ask(process)):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)

    async def kept(self, process: ServerProcess) -> float:
        """Return how many rows a process has in memory."""
        text = (await self._client.get(f"{process.url}/metrics")).text
        [line] = [x for x in text.splitlines() if x.startswith("gateway_reference_rows_kept ")]
        return float(line.split()[1])

    async def warm(self) -> None:
        """Ask until both answer from memory."""
        for process in self.both:
            async with asyncio.timeout(20):
                while True:
                    await self.ask(process)
                    if await self.kept(process) > 0:
                        break
                    await asyncio.sleep(0.05)


@pytest_asyncio.fixture
async def processes(own_database_url: str) -> AsyncIterator[Processes]:
    """Start two gateway processes over a database of the test's own."""
    settings = settings_for(own_database_url)
    assert settings.database_url is not None
    assert settings.jwt_secret is not None
    environment = {
        "GATEWAY_ENVIRONMENT": "test",
        "GATEWAY_DATABASE_URL": own_database_url,
        "GATEWAY_JWT_SECRET": settings.jwt_secret.get_secret_value(),
        "GATEWAY_LOG_LEVEL": "error",
    }
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(_connected(own_database_url))
        [(email, code)] = await owner.fetch(
            "select u.email, c.code from app_user u join user_role r on r.user_id = u.id "
            "join company c on c.id = r.company_id join role_permission p on p.role_id = r.role_id "
            "where c.id = 1 "
            "group by 1, 2 order by count(distinct p.permission) desc, 1 limit 1"
        )
        token = issue_user_token(settings, email, timedelta(hours=1), system_clock)
        headers = {"Authorization": f"Bearer {token}", "X-Company": code}
        client = await stack.enter_async_context(httpx2.AsyncClient(headers=headers, timeout=30))
        both = [
            await stack.enter_async_context(
                server_process(gateway_process.__file__, environment=environment)
            )
            for _ in range(2)
        ]
        yield Processes(both, owner, client)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


def found(nodes: Any, table: str) -> set[str]:
    """Return the names of a table's rows that an answer tells."""
    products = [line["product"] for node in nodes for line in node["lines"]]
    names = {
        "product_category": lambda: [p["category"]["name"] for p in products],
        "tax": lambda: [line["taxApplied"]["name"] for node in nodes for line in node["lines"]],
        "unit_of_measure": lambda: [p["uom"]["name"] for p in products],
        "warehouse": lambda: (
            [n["warehouse"]["name"] for n in nodes]
            + [a["warehouse"]["name"] for p in products for a in p["availability"]]
        ),
        "payment_term": lambda: [
            n["partner"]["terms"]["paymentTerm"]["name"]
            for n in nodes
            if n["partner"]["terms"]["paymentTerm"]
        ],
    }
    return set(names[table]())


def _all_new(table: str, nodes: Any) -> bool:
    return all(name.endswith("(new)") for name in found(nodes, table))


async def test_a_change_is_told_by_every_process(processes: Processes) -> None:
    """Whoever changed it: each process tells it within a moment, and everywhere in the answer."""
    await processes.warm()
    for table, change in CHANGES.items():
        await processes.warm()
        before = [await processes.kept(process) for process in processes.both]
        assert all(before), before
        await processes.owner.execute(change)
        changed = time.monotonic()
        for process in processes.both:
            await processes.told(
                process,
                partial(_all_new, table),
            )
        print(f"{table} told by both after {time.monotonic() - changed:.3f} s")  # noqa: T201


async def test_stock_is_never_told_from_memory(processes: Processes) -> None:
    """With everything else in memory, the very next answer has the new stock, in each process."""
    await processes.warm()
    for expected in ("1.0000", "2.0000"):
        await processes.owner.execute(f"update stock_level set on_hand = {expected}, reserved = 0")
        for process in processes.both:
            nodes = await processes.ask(process)
            stock = {
                level["onHand"]
                for node in nodes
                for line in node["lines"]
                for level in line["product"]["availability"]
            }
            assert stock == {expected}
            assert await processes.kept(process) > 0


async def test_a_process_that_hears_nothing_asks_again(processes: Processes) -> None:
    """While the connection that tells of changes is cut, nothing is answered from memory."""
    await processes.warm()
    cut = (
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where application_name = 'erp-gateway follower' and datname = current_database()"
    )
    async with processes.owner.transaction():
        await processes.owner.execute(cut)
        await processes.owner.execute("update warehouse set name = 'Moved'")
        await processes.owner.execute(cut)
    for process in processes.both:
        await processes.told(process, lambda nodes: found(nodes, "warehouse") == {"Moved"})


@pytest.mark.parametrize("table", CHANGES)
async def test_every_kind_of_change_is_told(own_database_url: str, table: str) -> None:
    """Each table tells of its rows' changes when they commit, and not when they do not."""
    async with _connected(own_database_url) as owner, _connected(own_database_url) as listener:
        heard: asyncio.Queue[str] = asyncio.Queue()
        await listener.add_listener(
            "erp_reference_changed", lambda *told: heard.put_nowait(str(told[-1]))
        )
        transaction = owner.transaction()
        await transaction.start()
        await owner.execute(CHANGES[table])
        await transaction.rollback()
        await owner.execute(CHANGES[table])
        assert await asyncio.wait_for(heard.get(), 5) == table
        await listener.fetch("select 1")
        assert heard.empty()
