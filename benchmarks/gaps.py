"""Gaps: ``python -m benchmarks.gaps``. Is everybody told everything, once and in order?

Writers change stock through two gateways, while subscribers of both transports are cut off at
random, gateways are killed with SIGKILL, among them the one that publishes, and PostgreSQL is
restarted. Some of those that begin with the state break off right after it. Afterwards the record
of each subscriber is compared with the log, and the state of those that keep one with the tables. A
state shows the changes up to the versions that it has; none of these is to be told after it.
"""

import argparse
import asyncio
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple

import asyncpg
import httpx2
import orjson
from pydantic import SecretStr

from benchmarks.database import USER
from benchmarks.following import SOCKET, STREAM, Job, Part, Record, Wish
from benchmarks.listening import allow_sockets
from benchmarks.races import RETRYABLE, Gateways, RaceLost, answers, prepare
from benchmarks.servers import read_samples
from gateway.postgres import EmbeddedPostgres
from gateway.settings import Settings
from gateway.steps import Steps
from gateway.tokens import issue_user_token
from resolvers.core.clock import system_clock
from schema.core.ids import encode_id

PUBLISHED: Final = Path(__file__).parent / "GAPS.md"
SECRET: Final = "signs the tokens of a test for gaps, and nothing else"  # noqa: S105
PRODUCTS: Final = 50
LINES: Final = 10
"""Changes of one command."""
CATCH_UP_SECONDS: Final = 240.0

ADJUST: Final = """
mutation($key: String!, $lines: [StockAdjustmentInput!]!) {
  adjustStock(idempotencyKey: $key, lines: $lines) { userErrors { message } }
}
"""
PLACES: Final = """
subscription Places($filter: StockChangeFilter, $after: String) {
  stockChanged(filter: $filter, after: $after) { ... on StockChange { seq } }
}
"""
SCREEN: Final = """
subscription Screen($filter: StockChangeFilter, $after: String) {
  stockChanged(filter: $filter, after: $after) {
    ... on StockChange {
      seq at cause previousAvailable available
      level { version product { sku name } warehouse { code } }
    }
  }
}
"""
BOARD: Final = """
subscription Board($filter: StockChangeFilter, $after: String, $snapshot: Boolean) {
  stockChanged(filter: $filter, after: $after, snapshot: $snapshot) {
    ... on StockChange { seq onHand available level { id } }
    ... on StockSnapshot { seq levels { id version onHand available } }
    ... on StreamNotice { seq dropped }
  }
}
"""
PLACES_OF_STOCK: Final = """
select distinct on (warehouse_id) warehouse_id, id from stock_location
where warehouse_id in (select id from warehouse where company_id = 1) and sellable
  and kind = 'INTERNAL' and archived_at is null
order by warehouse_id, id limit 2
"""
LOG: Final = """
select pub_seq, level_id, version, product_id, warehouse_id, abs(after - before) as delta,
       (before > 0) <> (after > 0) as crossed
from outbox_event cross join lateral (
  select (payload ->> 'level_id')::bigint as level_id, (payload ->> 'version')::int as version,
         (payload ->> 'product_id')::bigint as product_id,
         (payload ->> 'warehouse_id')::bigint as warehouse_id,
         (payload ->> 'on_hand')::numeric - (payload ->> 'reserved')::numeric as after,
         (payload ->> 'previous_on_hand')::numeric
           - (payload ->> 'previous_reserved')::numeric as before) told
where company_id = 1 and topic = 'stock.changed' and pub_seq > $1
order by outbox_event.pub_seq
"""
UNPUBLISHED: Final = "select from outbox_event where pub_seq is null limit 1"
LEVELS: Final = """
select id, on_hand, on_hand - reserved as available from stock_level
where company_id = 1 and product_id = any($1)
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much happens."""

    subscribers: int = 1_000
    gateways: int = 2
    seconds: float = 120.0
    changes: int = 200
    """Per second."""
    kill_seconds: float = 10.0
    relay_kills: int = 2
    cut_seconds: float = 30.0
    """How long a connection lasts on average, if nothing else ends it."""


@dataclass(slots=True)
class Tally:
    """What was done."""

    written: int = 0
    retried: int = 0
    killed: int = 0
    relay_killed: int = 0
    restarts: int = 0
    seconds: float = 0.0
    """How long the writing took; more than asked for where the machine is too slow."""


@dataclass(slots=True)
class Found:
    """What the subscribers of a transport were told, beside the log."""

    subscribers: int = 0
    cuts: int = 0
    told: int = 0
    lost: int = 0
    """Of what is before the last that they were told."""
    awaited: int = 0
    """Not told within the time for it, and nothing after it either."""
    doubled: int = 0
    disordered: int = 0
    strange: int = 0
    """Told, and not in the log, or not wanted, or shown by the snapshot it began with."""
    snapshots: int = 0
    left: int = 0
    """How often somebody broke off right after one."""
    ahead: int = 0
    """Changes that a snapshot showed before they had their place."""
    wrong_states: int = 0
    """Those that began with a snapshot and hold another state than the tables."""
    problems: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        """How much was not as promised."""
        counted = (
            self.lost
            + self.awaited
            + self.doubled
            + self.disordered
            + self.strange
            + self.wrong_states
        )
        return counted + len(self.problems)


@dataclass(frozen=True, slots=True)
class Finish:
    """How it ended."""

    scale: Scale
    tally: Tally
    events: int
    """Events of the log in that time."""
    late: int
    """Subscribers that were not told all within the time for it."""
    found: dict[str, Found]
    """By transport."""
    seconds: float

    @property
    def wrong(self) -> int:
        """How much was not as promised."""
        return self.late + sum(one.wrong for one in self.found.values())


class Change(NamedTuple):
    """An event of the log: its place, and what level became which version."""

    seq: int
    level: str
    version: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A wish in words of the log."""

    wish: Wish
    products: frozenset[int]
    warehouse: int | None = None
    least: Decimal = Decimal(0)

    def accepts(self, row: Mapping[str, Any]) -> bool:
        """Tell whether an event of the log is wished for."""
        return (
            row["product_id"] in self.products
            and self.warehouse in (None, row["warehouse_id"])
            and (row["delta"] >= self.least or row["crossed"])
        )


def wanted(products: Sequence[int], warehouses: Sequence[int]) -> list[Wanted]:
    """Return what subscribers wish for: each product in one of several ways."""
    made = []
    for number, product in enumerate(products):
        filter_: dict[str, Any] = {"productIds": [encode_id("Product", product)]}
        own = frozenset({product})
        match number % 5:
            case 0:
                one = Wanted(Wish(PLACES, {"filter": filter_}, snapshot=False), own)
            case 1:
                one = Wanted(Wish(SCREEN, {"filter": filter_}, snapshot=False), own)
            case 2:
                warehouse = warehouses[number % len(warehouses)]
                filter_["warehouseIds"] = [encode_id("Warehouse", warehouse)]
                one = Wanted(Wish(PLACES, {"filter": filter_}, snapshot=False), own, warehouse)
            case 3:
                filter_["minDelta"] = "2"
                wish = Wish(SCREEN, {"filter": filter_}, snapshot=False)
                one = Wanted(wish, own, least=Decimal(2))
            case _:
                one = Wanted(Wish(BOARD, {"filter": filter_}, snapshot=True), own)
        made.append(one)
    return made


class Followers:
    """The process of the subscribers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    async def do(self, what: str, **given: Any) -> Any:
        """Have it do something; return what it says.

        Raises:
            RaceLost: it ended.

        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(orjson.dumps({"do": what, **given}) + b"\n")
            line = await self._process.stdout.readline()
        if not line:
            raise RaceLost("The process of the subscribers has ended.")
        return orjson.loads(line)


@asynccontextmanager
async def following(job: Job) -> AsyncIterator[Followers]:
    """Run subscribers for as long as the block lasts."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.following"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 28,
    )
    assert process.stdin is not None
    process.stdin.write(orjson.dumps(asdict(job)) + b"\n")
    try:
        yield Followers(process)
    finally:
        process.stdin.close()
        await process.wait()


class Site:
    """Gateways over a database, and what happens to them."""

    def __init__(
        self, url: str, gateways: Gateways, headers: Mapping[str, str], scale: Scale
    ) -> None:
        self.url = url
        self.gateways = gateways
        self.headers = headers
        self.scale = scale
        self.tally = Tally()
        self.writing = True
        self._dice = random.Random(11)

    # --- writing

    async def write(self, skus: Sequence[str], locations: Sequence[int]) -> None:
        """Change stock at the rate that is asked for, until the time is over."""
        commands: asyncio.Queue[bytes | None] = asyncio.Queue()

        async def one() -> None:
            async with httpx2.AsyncClient(headers=self.headers, timeout=10) as client:
                while (body := await commands.get()) is not None:
                    await self._ask(client, body)
                    self.tally.written += LINES

        workers = [asyncio.create_task(one()) for _ in range(8)]
        started, rate = monotonic(), self.scale.changes / LINES
        for number in range(int(self.scale.seconds * rate)):
            await asyncio.sleep(started + number / rate - monotonic())
            lines = [
                {
                    "sku": sku,
                    "locationId": encode_id("StockLocation", self._dice.choice(locations)),
                    "delta": str(self._dice.randint(1, 3)),
                    "reason": "Gaps",
                }
                for sku in self._dice.sample(skus, LINES)
            ]
            variables = {"key": f"gaps {number}", "lines": lines}
            commands.put_nowait(orjson.dumps({"query": ADJUST, "variables": variables}))
        for _ in workers:
            commands.put_nowait(None)
        await asyncio.gather(*workers)
        self.tally.seconds = monotonic() - started
        self.writing = False

    async def _ask(self, client: httpx2.AsyncClient, body: bytes) -> None:
        """Ask with the same key until somebody tells."""
        deadline = monotonic() + 60
        while monotonic() < deadline:
            if self.gateways.serving:
                port = self._dice.choice(list(self.gateways.serving))
                try:
                    answer = await client.post(f"http://127.0.0.1:{port}/graphql", content=body)
                except httpx2.TransportError:
                    pass
                else:
                    told = orjson.loads(answer.content)
                    codes = {error["extensions"]["code"] for error in told.get("errors", ())}
                    if not codes:
                        if told["data"]["adjustStock"]["userErrors"]:
                            raise RaceLost(f"A change was refused: {told}")
                        return
                    if not codes <= RETRYABLE:
                        raise RaceLost(f"A change failed: {told}")
                self.tally.retried += 1
            await asyncio.sleep(self._dice.uniform(0.02, 0.2))
        raise RaceLost("A change was never answered.")

    # --- trouble

    async def kill(self) -> None:
        """Kill a gateway now and then, some of the times the one that publishes."""
        kills = int(self.scale.seconds / self.scale.kill_seconds)
        of_relay = {(n + 1) * kills // (self.scale.relay_kills + 1) for n in range(kills)}
        for number in range(kills):
            await asyncio.sleep(self.scale.kill_seconds)
            if not self.writing:
                return
            if number in of_relay and self.tally.relay_killed < self.scale.relay_kills:
                port: int | None = await self._publishing()
                self.tally.relay_killed += 1
            else:
                serving = self.gateways.serving
                port = min(serving, key=serving.__getitem__) if serving else None
            if port is not None:
                self.gateways.kill(port)
                self.tally.killed += 1

    async def _publishing(self) -> int:
        """Return the port of the process that publishes, once it is known."""
        async with httpx2.AsyncClient(timeout=5) as client:
            while True:
                before = await self._published(client)
                await asyncio.sleep(0.2)
                after = await self._published(client)
                for port, count in after.items():
                    if count > before.get(port, count):
                        return port

    async def _published(self, client: httpx2.AsyncClient) -> dict[int, float]:
        """Return how many events each process has published."""
        found = {}
        for port in list(self.gateways.serving):
            try:
                text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
            except httpx2.TransportError:
                continue
            name = "gateway_outbox_published_events_total"
            found[port] = sum(s.value for s in read_samples(text) if s.name == name)
        return found

    async def restart(self, restart: Callable[[], Awaitable[None]] | None) -> None:
        """Restart the database in the middle."""
        if restart is not None:
            await asyncio.sleep(self.scale.seconds / 2)
            await restart()
            self.tally.restarts += 1

    async def tell_ports(self, followers: Followers) -> None:
        """Keep the subscribers informed of who serves."""
        told: list[int] = []
        while True:
            ports = sorted(self.gateways.serving)
            if ports != told:
                await followers.do("ports", ports=ports)
                told = ports
            await asyncio.sleep(0.1)


async def look_for_gaps(
    url: str,
    scale: Scale,
    *,
    log: Path,
    serving_url: str | None = None,
    restart: Callable[[], Awaitable[None]] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Finish:
    """Let all of it happen on a database; return how it ended.

    Raises:
        RaceLost: a change was refused or never made, or the gateways did not start.

    """
    started = monotonic()
    environment = {
        "GATEWAY_ENVIRONMENT": "test",
        "GATEWAY_DATABASE_URL": url,
        "GATEWAY_SERVING_DATABASE_URL": serving_url or url,
        "GATEWAY_JWT_SECRET": SECRET,
        "GATEWAY_LOG_LEVEL": "error",
        "GATEWAY_WS_MAX_SOCKETS_PER_CALLER": str(2 * scale.subscribers),
    }
    token = issue_user_token(
        Settings(jwt_secret=SecretStr(SECRET)), USER, timedelta(hours=2), system_clock
    )
    owner = await asyncpg.connect(url)
    company = await owner.fetchval("select code from company where id = 1")
    products = await owner.fetch(
        """select p.id, p.sku from product p join stock_level l on l.product_id = p.id
           where l.company_id = 1 and l.warehouse_id = 1 and p.archived_at is null
             and p.tracking = 'NONE' group by 1, 2 order by 1 limit $1""",
        PRODUCTS,
    )
    places = await owner.fetch(PLACES_OF_STOCK)
    wishes = wanted([row["id"] for row in products], [row["warehouse_id"] for row in places])
    headers = {
        "authorization": f"Bearer {token}",
        "x-company": company,
        "content-type": "application/json",
    }
    async with AsyncExitStack() as stack:
        gateways = await stack.enter_async_context(Gateways(scale.gateways, environment, log))
        site = Site(url, gateways, headers, scale)
        start = await _published_all(url)
        await owner.close()  # it would not survive a restart
        job = Job(
            token=token,
            company=company,
            subscribers=scale.subscribers,
            wishes=[one.wish for one in wishes],
            after=str(start),
            cut_seconds=scale.cut_seconds,
            seed=3,
        )
        followers = await stack.enter_async_context(following(job))
        telling = asyncio.create_task(site.tell_ports(followers))
        try:
            await asyncio.sleep(2)
            say("Writing")
            async with asyncio.TaskGroup() as group:
                group.create_task(site.kill())
                group.create_task(site.restart(restart))
                group.create_task(
                    site.write([row["sku"] for row in products], [row["id"] for row in places])
                )
            say("Catching up")
            await gateways.all_serve()
            await _published_all(url)
            rows = await _fetch(url, LOG, start)
            expected = [[_change(r) for r in rows if one.accepts(r)] for one in wishes]
            states = [await _state(url, one) for one in wishes]
            await followers.do("calm")
            late = await followers.do(
                "until",
                places=[changes[-1].seq if changes else None for changes in expected],
                states=[{id_: list(map(str, held)) for id_, held in s.items()} for s in states],
                seconds=CATCH_UP_SECONDS,
            )
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        found = {SOCKET: Found(), STREAM: Found()}
        for told in await followers.do("records"):
            record = Record(**{**told, "parts": [Part(**part) for part in told["parts"]]})
            compare(record, expected[record.wish], states[record.wish], found[record.transport])
    return Finish(scale, site.tally, len(rows), late, found, monotonic() - started)


async def _fetch(url: str, sql: str, *arguments: Any) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        rows: list[Any] = await connection.fetch(sql, *arguments)
        return rows
    finally:
        await connection.close()


async def _published_all(url: str) -> int:
    """Wait until no event is without a place; return the last one."""
    async with asyncio.timeout(CATCH_UP_SECONDS):
        while await _fetch(url, UNPUBLISHED):  # noqa: ASYNC110 - a relay tells nobody
            await asyncio.sleep(0.2)
    [row] = await _fetch(url, "select last_seq from outbox_counter")
    return int(row["last_seq"])


async def _state(url: str, one: Wanted) -> dict[str, list[Decimal]]:
    rows = await _fetch(url, LEVELS, list(one.products))
    return {encode_id("StockLevel", row["id"]): [row["on_hand"], row["available"]] for row in rows}


def _change(row: Mapping[str, Any]) -> Change:
    return Change(row["pub_seq"], encode_id("StockLevel", row["level_id"]), row["version"])


def compare(
    record: Record, log: Sequence[Change], state: Mapping[str, list[Decimal]], found: Found
) -> None:
    """Compare what one subscriber was told with what it should have been told."""
    found.subscribers += 1
    found.cuts += record.cuts
    found.left += record.left
    found.problems += record.problems
    awaited = 0
    for part in record.parts:
        awaited = _compare_part(part, log, found)  # of the last: the others were given up
    found.awaited += awaited
    if record.levels and not awaited:
        held = {id_: [Decimal(number) for number in two] for id_, two in record.levels.items()}
        found.wrong_states += held != state


def _compare_part(part: Part, log: Sequence[Change], found: Found) -> int:
    """Compare what was told since it began; return how much comes after that."""
    begun = part.begun
    if begun is not None:
        found.snapshots += 1
        after = [change for change in log if change.seq > begun]
        log = [one for one in after if one.version > part.versions.get(one.level, 0)]
        found.ahead += len(after) - len(log)
    told, due = Counter(part.told), {change.seq for change in log}
    found.told += len(part.told)
    missing, last = due - told.keys(), max(told, default=0)
    found.lost += sum(seq < last for seq in missing)
    found.doubled += sum(count - 1 for count in told.values())
    found.strange += len(told.keys() - due)
    found.disordered += sum(one > other for one, other in pairwise(part.told))
    return sum(seq > last for seq in missing)


def page(finish: Finish) -> str:
    """Return what happened as Markdown."""
    scale, tally = finish.scale, finish.tally
    sockets, streams = finish.found[SOCKET], finish.found[STREAM]
    rows: list[tuple[str, Callable[[Found], int]]] = [
        ("Subscribers", lambda f: f.subscribers),
        ("Connections that ended", lambda f: f.cuts),
        ("Changes told", lambda f: f.told),
        ("Lost", lambda f: f.lost),
        ("Not told in time, and nothing after it", lambda f: f.awaited),
        ("Doubled", lambda f: f.doubled),
        ("Out of order", lambda f: f.disordered),
        ("Not in the log, not wanted, or shown before", lambda f: f.strange),
        ("Began with a snapshot", lambda f: f.snapshots),
        ("Broke off right after it", lambda f: f.left),
        ("Changes that it showed before they had a place", lambda f: f.ahead),
        ("Another state in the end than the tables", lambda f: f.wrong_states),
        ("Anything else that was not as promised", lambda f: len(f.problems)),
    ]
    lines = [
        "# Gaps",
        "",
        "Written by `python -m benchmarks.gaps --publish`, which says how it is done.",
        "",
        f"- {scale.gateways} gateways; {tally.written:,} changes of stock through both of them,",
        f"  asked for at {scale.changes} a second for {scale.seconds:,.0f} s, and made within",
        f"  {tally.seconds:,.0f} s; {finish.events:,} events in the log",
        f"- Gateways killed with SIGKILL: {tally.killed}, {tally.relay_killed} of them because",
        f"  they published; PostgreSQL restarted: {tally.restarts}; commands asked again with the",
        f"  same key: {tally.retried}",
        f"- Subscribers have one of {PRODUCTS} filters and one of three documents; each connection",
        f"  lasts {scale.cut_seconds:,.0f} s on average, if nothing else ends it",
        f"- Subscribers not told all within {CATCH_UP_SECONDS:,.0f} s afterwards: {finish.late}",
        "",
        "| | WebSocket | event stream |",
        "| --- | ---: | ---: |",
        *(f"| {what} | {tell(sockets):,} | {tell(streams):,} |" for what, tell in rows),
        "",
    ]
    return "\n".join(lines)


async def run(server: EmbeddedPostgres, data_dir: Path, scale: Scale, say: Any) -> Finish:
    """Do it on a database of its own."""
    database = "gaps"

    async def restart() -> None:
        say("PostgreSQL is restarted")
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        await answers(url)

    if server.has_database(database):
        await asyncio.to_thread(server.drop_database, database)
    await asyncio.to_thread(server.create_database, database)
    url = server.url(database)
    await prepare(url)
    log = data_dir / "gateways.log"
    return await look_for_gaps(url, scale, log=log, restart=restart, say=say)


def main(arguments: Sequence[str]) -> int:
    """Do it and print; with ``--publish`` write the page. Return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gaps")
    parser.add_argument("--subscribers", type=int, default=Scale().subscribers)
    parser.add_argument("--seconds", type=float, default=Scale().seconds)
    parser.add_argument("--changes", type=int, default=Scale().changes, help="per second")
    parser.add_argument("--data-dir", type=Path, default=Path(".data/bench-gaps"))
    parser.add_argument("--publish", action="store_true", help="replace benchmarks/GAPS.md")
    options = parser.parse_args(arguments)
    scale = Scale(subscribers=options.subscribers, seconds=options.seconds, changes=options.changes)
    allow_sockets()
    steps = Steps()
    with EmbeddedPostgres(options.data_dir, progress=steps.say) as server:
        finish = asyncio.run(run(server, options.data_dir, scale, steps.say))
    text = page(finish)
    print(text)
    for found in finish.found.values():
        for problem in found.problems[:20]:
            print(f"wrong: {problem}", file=sys.stderr)
    if options.publish:
        PUBLISHED.write_text(text)
    return 1 if finish.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
