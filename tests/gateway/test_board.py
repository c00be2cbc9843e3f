"""The stock board in a browser, over a gateway that is killed under it and started again."""

import asyncio
import base64
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import pytest
import pytest_asyncio

from gateway.postgres import EmbeddedPostgres
from gateway.relay import Relay
from gateway.tokens import issue_user_token
from resolvers.core.clock import system_clock
from resolvers.core.metrics import Metrics
from tests.fixtures.browser import CHROMIUM, Tab, browser_tab
from tests.fixtures.gateway import settings_for
from tests.fixtures.servers import ServerProcess, server_process
from tests.gateway import board_process

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

PEOPLE = ("admin@demo", "accountant@demo", "warehouse@demo")
LIVE = "document.body.dataset.phase === 'live'"
FIRST_ROW = "document.querySelector('#rows tr[data-id]')"


@dataclass
class Board:
    """A database, the gateway over it, and the board in a browser."""

    owner: "asyncpg.Connection[Any]"
    tokens: dict[str, str]
    environment: dict[str, str]
    stack: AsyncExitStack
    tab: Tab
    port: int = 0
    server: ServerProcess | None = field(default=None)

    async def serve(self, most_levels: int = 10_000) -> None:
        """Start the gateway; on the same port as before, if it ran before.

        It tells at most so many levels in one message.
        """
        process = server_process(
            board_process.__file__,
            *(str(self.port), json.dumps(self.tokens), str(most_levels)),
            environment=self.environment,
        )
        self.server = await self.stack.enter_async_context(process)
        self.port = self.server.port

    async def kill(self) -> None:
        """End the gateway without giving it time for anything."""
        assert self.server is not None
        await self.server.stop(signal.SIGKILL)
        self.server = None

    async def publish(self) -> None:
        """Publish what is written while no gateway does."""
        relay = Relay(self.environment["GATEWAY_DATABASE_URL"], Metrics())
        running = asyncio.create_task(relay.run())
        unpublished = "select count(*) from outbox_event where pub_seq is null"
        async with asyncio.timeout(20):
            while await self.owner.fetchval(unpublished):  # noqa: ASYNC110 - nobody says when
                await asyncio.sleep(0.02)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def show(self) -> Tab:
        """Open the page as somebody who was never here, and wait until it shows stock."""
        await self.open()
        await self.tab.until(LIVE)
        await self.tab.until(f"{FIRST_ROW} !== null")
        return self.tab

    async def open(self) -> None:
        """Open the page as somebody who was never here."""
        assert self.server is not None
        await self.tab.open(f"{self.server.url}/static/icon.svg")
        await self.tab.evaluate("sessionStorage.clear(); localStorage.clear()")
        self.tab.asked.clear()
        await self.tab.open(f"{self.server.url}/")

    async def level(self, condition: str = "on_hand - reserved > 10") -> asyncpg.Record:
        """Return a level of the first company that nobody has changed yet."""
        row: asyncpg.Record | None = await self.owner.fetchrow(
            "select l.id, p.sku, w.code, on_hand - reserved as available from stock_level l"
            " join product p on p.id = product_id join warehouse w on w.id = warehouse_id"
            f" where l.company_id = 1 and {condition} order by l.version, l.id limit 1"
        )
        assert row is not None
        return row

    async def add(self, level: asyncpg.Record, quantity: int) -> None:
        """Change what is on hand, by plain SQL."""
        await self.owner.execute(
            "update stock_level set on_hand = on_hand + $2 where id = $1", level["id"], quantity
        )

    async def tile(self, name: str) -> int:
        """Return the number on a tile."""
        return int((await self.tab.text(f"#{name}")).replace(",", ""))

    async def on_top(self, level: asyncpg.Record, available: Decimal) -> None:
        """Wait until a level is the first row, with so much available."""
        wanted = json.dumps([level["sku"], level["code"], f"{available.normalize():,f}"])
        row = f"{FIRST_ROW}.cells"
        await self.tab.until(
            f"JSON.stringify([{row}[0].querySelector('.sku').firstChild.data,"
            f" {row}[1].innerText, {row}[2].firstChild.innerText])"
            f" === JSON.stringify({wanted})"
        )


@pytest_asyncio.fixture(scope="module")
async def running(
    server: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Board]:
    """Serve a database that the tests of this file share, and open a browser."""
    name = f"erp_board_{uuid4().hex[:12]}"
    await asyncio.to_thread(server.create_database, name, template=template)
    settings = settings_for(server.url(name))
    assert settings.jwt_secret is not None
    hour = timedelta(hours=1)
    tokens = {who: issue_user_token(settings, who, hour, system_clock) for who in PEOPLE}
    environment = {
        "GATEWAY_ENVIRONMENT": "test",
        "GATEWAY_DATABASE_URL": server.url(name),
        "GATEWAY_JWT_SECRET": settings.jwt_secret.get_secret_value(),
        "GATEWAY_LOG_LEVEL": "error",
    }
    async with AsyncExitStack() as stack:
        owner = await asyncpg.connect(server.url(name))
        stack.push_async_callback(owner.close)
        tab = await stack.enter_async_context(browser_tab(tmp_path_factory.mktemp("browser")))
        board = Board(owner, tokens, environment, stack, tab)
        await board.serve()
        yield board
    await asyncio.to_thread(server.drop_database, name)


@pytest_asyncio.fixture
async def board(running: Board) -> AsyncIterator[Board]:
    """Give the board to one test; the page must not have complained in it."""
    if running.server is None:
        await running.serve()
    await running.tab.size(1600, 900)
    await running.tab.prefer(color_scheme="light")
    yield running
    complaints, running.tab.complaints[:] = running.tab.complaints[:], []
    assert complaints == []


async def test_it_shows_what_the_database_holds_and_asks_nobody_else(board: Board) -> None:
    """The tiles count the levels as SQL does, and every address is one of this server."""
    tab = await board.show()
    counted = await board.owner.fetchrow(
        "select count(*) filter (where on_hand > reserved) as stocked,"
        " count(*) filter (where on_hand <= reserved) as out, count(*) as all"
        " from stock_level where company_id = 1"
    )
    assert counted is not None
    assert await board.tile("in-stock") == counted["stocked"]
    assert await board.tile("out-of-stock") == counted["out"]
    assert f"of {counted['all']:,} levels" in await tab.text("#in-stock-of")
    own = (f"http://127.0.0.1:{board.port}/", f"ws://127.0.0.1:{board.port}/graphql")
    assert any(address.startswith("ws:") for address in tab.asked)
    assert [address for address in tab.asked if not address.startswith(own)] == []


async def test_sums_are_exact(board: Board) -> None:
    """What is available in all rows is added up by unit, to the last digit."""
    tab = await board.show()
    rows = await board.owner.fetch(
        "select u.code, sum(on_hand - reserved) as available from stock_level l"
        " join product p on p.id = product_id join unit_of_measure u on u.id = p.uom_id"
        " where l.company_id = 1 group by u.code"
    )
    summary = await tab.text("#summary")
    for row in rows:
        assert f"{row['available'].normalize():,f} {row['code']}" in summary


async def test_only_who_is_accepted_signs_in(board: Board) -> None:
    """A wrong token is said to be wrong; a right one shows the board, and is in no address."""
    tab = await board.show()
    await tab.evaluate("document.getElementById('leave').click()")
    await tab.until("document.activeElement.id === 'token'")
    await tab.type("not a token")
    await tab.press("Enter")
    await tab.until("!document.getElementById('refusal').hidden")
    assert await tab.text("#refusal")
    assert await tab.evaluate("document.getElementById('board').hidden")

    token = board.tokens["warehouse@demo"]
    await tab.evaluate("document.getElementById('token').focus()")
    await tab.type(token)
    await tab.press("Enter")
    await tab.until(LIVE)
    assert token not in await tab.evaluate("location.href")
    assert not [address for address in tab.asked if token in address]
    assert await tab.evaluate("sessionStorage.getItem('token')") == token
    assert token not in json.dumps(await tab.evaluate("({...localStorage})"))
    await tab.send("Page.reload")
    await tab.until(f"document.readyState === 'complete' && {LIVE}")


async def test_an_expired_token_is_told(board: Board) -> None:
    """When its time is over the page says so and asks for another."""
    tab = await board.show()
    settings = settings_for(board.environment["GATEWAY_DATABASE_URL"])
    token = issue_user_token(settings, "warehouse@demo", timedelta(seconds=5), system_clock)
    await tab.evaluate("document.getElementById('leave').click()")
    await tab.type(token)
    await tab.press("Enter")
    await tab.until(LIVE)
    await tab.until("!document.getElementById('refusal').hidden")
    assert "expired" in await tab.text("#refusal")


async def test_who_may_not_see_stock_is_told_what_it_takes(board: Board) -> None:
    """The permission that is missing is named."""
    tab = await board.show()
    await choose(tab, "accounts", "accountant@demo")
    await tab.until("!document.getElementById('refusal').hidden")
    assert "availability.read" in await tab.text("#refusal")


async def test_who_has_several_companies_chooses(board: Board) -> None:
    """The board is that of one company, and then of the other."""
    tab = await board.show()
    assert await tab.evaluate("document.getElementById('company-choice').hidden")
    await choose(tab, "accounts", "admin@demo")
    await tab.until(f"{LIVE} && !document.getElementById('company-choice').hidden")
    name = await board.owner.fetchval("select name from company where code = 'US01'")
    await choose(tab, "companies", "US01")
    await tab.until(f"{LIVE} && document.getElementById('company').innerText === '{name}'")
    levels = await board.owner.fetchval(
        "select count(*) from stock_level where company_id ="
        " (select id from company where code = 'US01')"
    )
    await tab.until(
        f"document.getElementById('in-stock-of').innerText.startsWith('of {levels:,} levels')"
    )


async def choose(tab: Tab, id_: str, value: str) -> None:
    """Choose an option of a select."""
    await tab.evaluate(
        f"{{ const one = document.getElementById('{id_}'); one.value = '{value}';"
        " one.dispatchEvent(new Event('change')) }"
    )


async def test_a_change_moves_its_tile_and_its_row(board: Board) -> None:
    """Plain SQL and a mutation both do, within moments; the feed says how much and why."""
    tab = await board.show()
    level = await board.level()
    stocked, out = await board.tile("in-stock"), await board.tile("out-of-stock")

    await board.add(level, -int(level["available"]))
    await board.on_top(level, Decimal(0))
    assert await board.tile("in-stock") == stocked - 1
    assert await board.tile("out-of-stock") == out + 1
    assert "OUT OF STOCK" in (await tab.text("#feed li")).upper()

    place = await board.owner.fetchval(
        "select 'StockLocation:' || l.id from stock_location l join warehouse w on w.id ="
        " l.warehouse_id where w.code = $1 and w.company_id = 1 and l.kind = 'INTERNAL'"
        " order by l.id limit 1",
        level["code"],
    )
    await adjust(board, level["sku"], place, 7)
    await board.on_top(level, Decimal(7))
    assert await board.tile("in-stock") == stocked
    told = await tab.text("#feed li")
    assert "+7" in told
    assert "adjustment" in told
    await tab.until("Number(document.getElementById('rate').innerText) >= 2")


async def adjust(board: Board, sku: str, place: str, delta: int) -> None:
    """Correct stock by the mutation."""
    assert board.server is not None
    line = {
        "sku": sku,
        "locationId": base64.b64encode(place.encode()).decode(),
        "delta": str(delta),
        "reason": "Found",
    }
    query = (
        "mutation Found($key: String!, $lines: [StockAdjustmentInput!]!)"
        " { adjustStock(idempotencyKey: $key, lines: $lines) { userErrors { message } } }"
    )
    async with httpx2.AsyncClient() as client:
        answer = await client.post(
            board.server.graphql,
            json={"query": query, "variables": {"key": uuid4().hex, "lines": [line]}},
            headers={"Authorization": f"Bearer {board.tokens['warehouse@demo']}"},
        )
    assert answer.json() == {"data": {"adjustStock": {"userErrors": []}}}


async def test_every_change_missed_while_the_server_was_dead_is_shown(board: Board) -> None:
    """It says that it is not connected, and afterwards what it has caught up: all of it."""
    tab = await board.show()
    first = await board.level()
    await board.add(first, 1)
    await board.on_top(first, first["available"] + 1)

    await board.kill()
    await tab.until("document.body.dataset.phase === 'waiting'")
    await tab.until("document.getElementById('notice').classList.contains('lost')")
    assert "state shown is that of" in await tab.text("#notice")
    assert not await tab.evaluate("document.getElementById('retry').hidden")

    missed = []
    for quantity in (1, 2, 3, 4, 5):
        missed.append((await board.level(), quantity))
        await board.add(*missed[-1])
    await board.serve()
    await tab.evaluate("document.getElementById('retry').click()")
    await tab.until("document.getElementById('notice').innerText.includes('caught up 5 changes.')")
    assert await tab.evaluate(LIVE)
    told = await tab.evaluate(
        "[...document.querySelectorAll('#feed li.missed')].map((one) => one.innerText)"
    )
    assert len(told) == 5
    for (one, added), text in zip(reversed(missed), told, strict=True):
        assert one["sku"] in text
        assert f"+{added}" in text
    last, added = missed[-1]
    await board.on_top(last, last["available"] + added)

    await board.add(first, 1)
    await board.on_top(first, first["available"] + 2)
    assert await tab.evaluate("document.querySelectorAll('#feed li.missed').length") == 5


async def test_what_the_log_has_lost_is_read_anew(board: Board) -> None:
    """When the missed changes are not kept any more, the page says that it reloaded the state."""
    tab = await board.show()
    first = await board.level()
    await board.add(first, 1)
    await board.on_top(first, first["available"] + 1)
    await board.kill()
    await tab.until("document.body.dataset.phase === 'waiting'")
    level = await board.level()
    await board.add(level, 3)
    await board.publish()
    await board.owner.execute("delete from outbox_event")
    await board.serve()
    await tab.evaluate("document.getElementById('retry').click()")
    await tab.until("document.getElementById('notice').innerText.includes('state reloaded')")
    await tab.until("document.querySelector('#feed .break')?.innerText.includes('reloaded')")
    await tab.until(LIVE)
    await board.on_top(level, level["available"] + 3)


async def test_a_large_company_is_followed_by_warehouse(board: Board) -> None:
    """What is too much for one message comes in several, and is caught up with as well."""
    counts = [
        row["count"]
        for row in await board.owner.fetch(
            "select count(*) from stock_level where company_id = 1 group by warehouse_id"
        )
    ]
    await board.kill()
    await board.serve(max(counts))
    tab = await board.show()
    told = f"of {sum(counts):,} levels"
    await tab.until(f"document.getElementById('in-stock-of').innerText.startsWith('{told}')")
    missed = [await board.level(f"on_hand > reserved and w.code = '{c}'") for c in ("BER", "MUC")]
    await board.kill()
    await tab.until("document.body.dataset.phase === 'waiting'")
    for level in missed:
        await board.add(level, 1)
    await board.serve(max(counts))
    await tab.until("document.getElementById('notice').innerText.includes('caught up 2 changes.')")
    await board.kill()


async def test_it_is_used_with_the_keyboard(board: Board) -> None:
    """Search, rows, the chart of a row, and back, without a pointer."""
    tab = await board.show()
    level = await board.level()
    await tab.press("/")
    assert await tab.evaluate("document.activeElement.id") == "search"
    await tab.type(f"{level['sku']} {level['code']}")
    await tab.until("document.querySelectorAll('#rows tr[data-id]').length === 1")
    await tab.press("Escape")
    await tab.press("Escape")
    await tab.until("document.querySelectorAll('#rows tr[data-id]').length > 10")
    assert await tab.evaluate("document.activeElement.id") == "table"

    await tab.press("ArrowDown")
    await tab.press("ArrowDown")
    chosen = "document.querySelector('#rows tr[aria-selected=true]')"
    assert await tab.evaluate(f"{chosen}.ariaRowIndex") == "3"
    assert await tab.evaluate(
        f"document.getElementById('table').getAttribute('aria-activedescendant') === {chosen}.id"
    )
    await tab.press("Enter")
    sku = await tab.text("#rows tr[aria-selected=true] .sku")
    assert sku.split(" ")[0] in await tab.text("#chart-title")
    await tab.press("End")
    count = int(await tab.evaluate("document.getElementById('table').ariaRowCount"))
    await tab.until(f"{chosen}?.ariaRowIndex === '{count}'")
    await tab.press("Escape")
    assert (await tab.text("#chart-title")).startswith("Availability")
    await tab.press("Escape")
    await tab.press("o")
    out = await board.tile("out-of-stock")
    await tab.until(f"document.getElementById('table').ariaRowCount === '{out + 1}'")
    await tab.press("a")
    await tab.press("1")
    await tab.until("document.querySelectorAll('#warehouses button')[1].ariaPressed === 'true'")


async def test_low_is_what_one_says_it_is(board: Board) -> None:
    """A threshold counts what is below it, and only a number is one."""
    tab = await board.show()
    await choose(tab, "threshold-kind", "amount")
    below = await board.owner.fetchval(
        "select count(*) from stock_level where company_id = 1 and on_hand - reserved > 0"
        " and on_hand - reserved < 12.5"
    )
    await tab.evaluate(
        "{ const one = document.getElementById('threshold'); one.value = '12.5';"
        " one.dispatchEvent(new Event('input')) }"
    )
    await tab.until(f"document.getElementById('low').innerText === '{below}'")
    assert await tab.text("#low-label") == "Less than 12.5"


async def test_rows_stay_under_the_eyes_of_who_reads(board: Board) -> None:
    """Who has scrolled is told of changes and keeps the place; going up sorts them in."""
    tab = await board.show()
    await tab.evaluate("document.getElementById('scroller').scrollTop = 2000")
    await tab.until("document.querySelector('#rows tr[data-id]').ariaRowIndex > 10")
    rows = "JSON.stringify([...document.querySelectorAll('#rows tr[data-id]')].map((r) => r.id))"
    before = await tab.evaluate(rows)
    level = await board.level()
    await board.add(level, 1)
    await tab.until("document.getElementById('to-top').innerText === '↑ 1 changed'")
    assert await tab.evaluate(rows) == before
    await tab.evaluate("document.getElementById('to-top').click()")
    await board.on_top(level, level["available"] + 1)


async def test_it_fits_a_phone(board: Board) -> None:
    """Nothing is wider than the screen, and the first row is whole."""
    await board.tab.size(360, 740, phone=True)
    tab = await board.show()
    assert await tab.evaluate("document.documentElement.scrollWidth") <= 360
    scroller = "document.getElementById('scroller')"
    assert await tab.evaluate(f"{scroller}.scrollWidth <= {scroller}.clientWidth")
    assert await tab.evaluate(f"{FIRST_ROW}.querySelector('.at').offsetWidth") > 0


async def test_it_is_dark_where_the_system_is_and_as_one_likes(board: Board) -> None:
    """It follows the system, and the choice of who looks, which a later visit finds."""
    await board.tab.prefer(color_scheme="dark")
    tab = await board.show()
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = await tab.evaluate(ground)
    await tab.prefer(color_scheme="light")
    await tab.until(f"{ground} !== '{dark}'")
    await tab.press("t")
    assert await tab.evaluate(ground) == dark
    await tab.send("Page.reload")
    await tab.until(f"document.readyState === 'complete' && {LIVE}")
    assert await tab.evaluate(ground) == dark


async def test_nothing_moves_for_who_wants_it_still(board: Board) -> None:
    """With reduced motion a change is marked without an animation."""
    await board.tab.prefer(reduced_motion="reduce")
    tab = await board.show()
    level = await board.level()
    await board.add(level, 1)
    await board.on_top(level, level["available"] + 1)
    assert await tab.evaluate(f"{FIRST_ROW}.dataset.recent") == "up"
    assert await tab.evaluate("document.getAnimations().length") == 0
