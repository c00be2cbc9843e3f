"""Streams: ``python -m benchmarks.streams``. What a message costs, and how late it is.

Many sockets listen to changes of stock, all to the same or each to its own, and the changes are
made by SQL in another process. Mercurius and plain Strawberry do the same beside it; the changes
are handed to them, since they have no log. The server has one core, and PostgreSQL, the sockets'
other ends and the writer share the rest.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple, get_args

import asyncpg
import httpx2
import orjson
import uvloop

from benchmarks.__main__ import Refused, cores
from benchmarks.database import Database, copy_of, open_database
from benchmarks.listening import Heard, Job, allow_sockets
from benchmarks.measure import lag_between
from benchmarks.peers.npm import NoPeers, Peers, install
from benchmarks.processes import children, core_seconds_busy, pinned, resident_bytes, seconds_used
from benchmarks.servers import Server, ServerError, Servers
from gateway.postgres import EmbeddedPostgresError
from gateway.relay import WakeUp
from gateway.seeding.sizes import SizeName
from gateway.steps import Steps
from schema.core.ids import encode_id

PUBLISHED: Final = Path(__file__).parent / "STREAMS.md"
DOCUMENT: Final = """
subscription Changes($filter: StockChangeFilter) {
  stockChanged(filter: $filter) {
    ... on StockChange { seq cause previousAvailable available onHand }
  }
}
"""
FILTERS: Final = 100
"""Different filters, each of one product."""
SOCKETS: Final = 1_000
CROWD: Final = 10_000
BURST: Final = 20
ROUNDS: Final = 3
FIRST: Final = 1_000_000
"""Stock on hand that the first event tells of: more than there is, and more with every event."""
LONGEST: Final = 120.0
WARM: Final = 10
"""Sockets that are open before the memory of a socket is looked at."""

LEVELS: Final = """
select s.id, s.product_id, s.warehouse_id, s.reserved::text from stock_level s
join product p on p.id = s.product_id
where s.company_id = $1 and s.warehouse_id = 1 and p.archived_at is null order by s.id limit $2
"""


class Missed(Exception):
    """Not everybody was told everything; the text says what came."""


@dataclass(frozen=True, slots=True)
class Level:
    """A stock level that changes."""

    id: int
    product_id: int
    warehouse_id: int
    reserved: str


class Feed:
    """Changes stock by SQL, one commit for each change, and wakes the relay as a gateway does."""

    def __init__(self, connection: "asyncpg.Connection[Any]", wake_up: WakeUp) -> None:
        self._connection = connection
        self._wake_up = wake_up

    async def tell(self, level: Level, event: int) -> float:
        """Make a change; return when its commit had returned."""
        await self._connection.execute(
            "update stock_level set on_hand = $2 where id = $1", level.id, event
        )
        committed = time.monotonic()
        self._wake_up.soon()
        return committed


class PeerFeed(Feed):
    """Hands changes to a peer, which tells them to whoever listens in its process."""

    def __init__(self, client: httpx2.AsyncClient, port: int) -> None:
        self._client = client
        self._url = f"http://127.0.0.1:{port}/events"

    async def tell(self, level: Level, event: int) -> float:
        """Hand over a change; return when it was taken."""
        body = {
            "seq": str(event),
            "cause": "EXTERNAL",
            "previousAvailable": f"{event - 1}.0000",
            "available": f"{event}.0000",
            "onHand": f"{event}.0000",
            "productId": level.product_id,
        }
        await self._client.post(self._url, json=body)
        return time.monotonic()


class Listeners:
    """The process that holds the other ends of the sockets."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def open(self, count: int) -> None:
        """Open so many more sockets."""
        await self._do("open", count=count)

    async def begin(self) -> None:
        """Begin to count."""
        await self._do("begin")

    async def until(self, messages: int, seconds: float = LONGEST) -> Heard:
        """Wait until so many messages came.

        Raises:
            Missed: others came, or not as many.

        """
        heard = Heard(**await self._do("until", messages=messages, seconds=seconds))
        if heard.messages != messages or heard.problems:
            raise Missed(f"{heard.messages:,} of {messages:,} messages came: {heard.problems}")
        return heard

    async def arrivals(self) -> list[tuple[int, float]]:
        """Return of each message which event it told of, and when it came."""
        events, times = await self._do("arrivals")
        return list(zip(events, times, strict=True))

    async def _do(self, what: str, **given: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(orjson.dumps({"do": what, **given}) + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise Missed("The process that listens has ended.")
        return orjson.loads(line)


@asynccontextmanager
async def listening(job: Job) -> AsyncIterator[Listeners]:
    """Start a process that listens for as long as the block lasts."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.listening"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 28,
    )
    assert process.stdin is not None
    process.stdin.write(orjson.dumps(asdict(job)) + b"\n")
    try:
        yield Listeners(process)
    finally:
        process.stdin.close()
        await process.wait()


@dataclass(frozen=True, slots=True)
class Run:
    """What a number of events took."""

    messages: int
    cpu: float
    """Microseconds of the server for each message."""
    rate: float
    """Messages per second, from the first event on until the last message had come."""
    bytes: float
    """Of a message, on the wire."""
    late: list[float]
    """Milliseconds from a commit to each message that tells of it, in ascending order."""
    foreign: float
    """Share of the time in which the server's core worked for something else."""

    def percentile(self, share: float) -> float:
        """Return a percentile of the lateness, in milliseconds."""
        return self.late[min(len(self.late) - 1, int(share * len(self.late)))]


@dataclass(slots=True)
class Fan:
    """How one server served a number of subscribers."""

    server: str
    case: str
    sockets: int
    memory: float = 0.0
    """Kilobytes of the server for each socket, subscribed and told a few events."""
    whole: float = 0.0
    """Megabytes of the server with all of them."""
    bursts: list[Run] = field(default_factory=list)
    steady: dict[int, Run] = field(default_factory=dict)
    """By changes per second."""
    longest_beat: float | None = None
    """Upper bound of the latest heartbeat of the event loop, in milliseconds."""

    def cpu(self) -> float:
        """Return the median of the bursts."""
        return median(run.cpu for run in self.bursts)

    def rate(self) -> float:
        """Return the median of the bursts."""
        return median(run.rate for run in self.bursts)


@dataclass(frozen=True, slots=True)
class Case:
    """Who listens to what."""

    name: str
    sockets: int
    filters: int
    """Different filters; 1 is none, so that everybody is told everything."""
    burst: int
    """Events of a burst."""
    steady: tuple[int, ...]
    """Changes per second."""
    seconds: float

    @property
    def told(self) -> int:
        """How many are told of an event."""
        return self.sockets // self.filters


ALIKE: Final = Case("one document", SOCKETS, 1, BURST, (5, 20), 10.0)
FILTERED: Final = Case(f"{FILTERS} filters", SOCKETS, FILTERS, 10 * BURST, (100,), 20.0)
MANY: Final = Case("a crowd", CROWD, 1, 5, (), 0.0)


class Scene(NamedTuple):
    """A server with its subscribers, and what changes stock."""

    server: Server
    case: Case
    feed: Feed
    listeners: Listeners


class Bench:
    """Measures servers over one database."""

    def __init__(self, database: Database, levels: Sequence[Level], core: int) -> None:
        self._database = database
        self._levels = levels
        self._core = core
        self._event = FIRST

    async def measure(self, server: Server, case: Case, feed: Feed, *, rounds: int) -> Fan:
        """Serve the subscribers of a case: bursts of events, then steady changes.

        Raises:
            Missed: one was not told everything once, in order.

        """
        fan = Fan(server.name, case.name, case.sockets)
        variables: list[dict[str, Any]] = [{}]
        if case.filters > 1:
            ids = [encode_id("Product", level.product_id) for level in self._levels]
            variables = [{"filter": {"productIds": [id_]}} for id_ in ids[: case.filters]]
        async with listening(Job(server.port, server.token, DOCUMENT, variables)) as listeners:
            scene = Scene(server, case, feed, listeners)
            await listeners.open(WARM)
            await asyncio.sleep(1)
            before = resident_bytes(server.pid)
            await listeners.open(case.sockets - WARM)
            await asyncio.sleep(1)  # a subscription is not acknowledged
            lags = server.metrics() if server.watched else None
            await self._tell(scene, max(2, case.filters))
            grown = resident_bytes(server.pid)
            fan.memory = (grown - before) / (case.sockets - WARM) / 1024
            fan.whole = grown / 1024**2
            for _ in range(rounds):
                fan.bursts.append(await self._tell(scene, case.burst))
            # who made the change is known of the gateway only
            for rate in case.steady if server.watched else ():
                events = int(rate * case.seconds)
                fan.steady[rate] = await self._tell(scene, events, rate)
            if lags is not None:
                fan.longest_beat = lag_between(lags, server.metrics()).longest
        return fan

    async def _tell(self, scene: Scene, events: int, rate: int | None = None) -> Run:
        """Make so many changes, at a rate or one after the other, until all are told of them."""
        server, case, feed, listeners = scene
        await listeners.begin()
        cpu, busy = seconds_used(server.pid), core_seconds_busy(self._core)
        started = time.monotonic()
        committed: dict[int, float] = {}
        for number in range(events):
            if rate is not None:
                await asyncio.sleep(started + number / rate - time.monotonic())
            self._event += 1
            level = self._levels[number % FILTERS]
            committed[self._event] = await feed.tell(level, self._event)
        heard = await listeners.until(events * case.told)
        cpu = seconds_used(server.pid) - cpu
        seconds = heard.last - started
        busy = core_seconds_busy(self._core) - busy
        arrivals = await listeners.arrivals()
        late = sorted(1e3 * (came - committed[event]) for event, came in arrivals)
        return Run(
            messages=heard.messages,
            cpu=cpu / heard.messages * 1e6,
            rate=heard.messages / seconds,
            bytes=heard.bytes / heard.messages,
            late=late,
            foreign=max(0.0, busy - cpu) / seconds,
        )


@asynccontextmanager
async def writing(database: Database) -> AsyncIterator[Feed]:
    """Yield what changes stock, and wakes the relay."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(database.owner_url)
    wake_up = WakeUp(database.owner_url)
    waking = asyncio.create_task(wake_up.run())
    try:
        yield Feed(connection, wake_up)
    finally:
        waking.cancel()
        await asyncio.gather(waking, return_exceptions=True)
        await connection.close()


async def levels_of(database: Database) -> list[Level]:
    """Return levels of as many products as there are filters."""
    connection = await asyncpg.connect(database.owner_url)
    try:
        rows = await connection.fetch(LEVELS, database.company_id, FILTERS)
    finally:
        await connection.close()
    return [Level(*row) for row in rows]


async def fans(
    servers: Servers, database: Database, core: int, options: argparse.Namespace, say: Any
) -> list[Fan]:
    """Measure all that was asked for."""
    found = []
    bench = Bench(database, await levels_of(database), core)
    async with writing(database) as feed, httpx2.AsyncClient(timeout=60) as client:
        for case in options.cases:
            say(f"gateway, {case.name}")
            server = servers.streaming(2 * case.sockets)
            found.append(await bench.measure(server, case, feed, rounds=options.rounds))
            servers.stop(server)
            for name, start in options.starts.items():
                if case is MANY:
                    continue
                say(f"{name}, {case.name}")
                server = start()
                peer = PeerFeed(client, server.port)
                found.append(await bench.measure(server, case, peer, rounds=options.rounds))
                servers.stop(server)
    return found


def page(found: Sequence[Fan], size: str, missing: str | None) -> str:
    """Return the page of a run."""
    ours = {fan.case: fan for fan in found if fan.server == GATEWAY}
    lines = [
        "# What streams take",
        "",
        "Written by `python -m benchmarks.streams --publish`. Absolute figures belong to the",
        "machine: compare servers of one run. What is measured, and how each server is fed,",
        "stands in [README.md](README.md#streams).",
        "",
        f"- Data: `{size}`; bursts are medians of {max(len(fan.bursts) for fan in found)}",
        f"- Neighbors: something else had the server's core for {_foreign(found)}",
        *([f"- Left out: {missing}"] if missing else []),
        "",
        "## To many subscribers",
        "",
        "Events made one right after the other, until the last subscriber has the last of them.",
        "Server CPU in microseconds for each message that arrived, beside the gateway's.",
        "",
        "| sockets | server | CPU a message | ratio | messages / s | KB a socket | longest beat |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        *(_fan_row(fan, ours[fan.case]) for fan in found),
        "",
        "## From commit to socket",
        "",
        "Changes at a steady rate by SQL of another process; milliseconds from the moment the",
        "commit had returned to the writer until a message was read from a socket.",
        "",
        "| sockets | changes / s | messages / s | p50 | p95 | p99 | worst | CPU per message |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {_sockets(fan)} | {rate} | {run.rate:,.0f} | {_late(run)} | {run.cpu:.0f} us |"
            for fan in ours.values()
            for rate, run in fan.steady.items()
        ),
        "",
        "## Budgets",
        "",
        "| budget | found | |",
        "| --- | ---: | --- |",
        *(
            f"| {what} | {told} | {'met' if met else '**not met**'} |"
            for what, told, met in _budgets(ours)
        ),
        "",
    ]
    return "\n".join(lines)


GATEWAY: Final = "streaming"
NAMES: Final = {
    GATEWAY: "gateway",
    "mercurius": "Mercurius, JIT",
    "plain": "Strawberry",
}


def _foreign(found: Sequence[Fan]) -> str:
    shares = [run.foreign for fan in found for run in (*fan.bursts, *fan.steady.values())]
    return f"{median(shares):.0%} of the time (median; worst {max(shares):.0%})"


def _sockets(fan: Fan) -> str:
    return f"{fan.sockets:,}, {fan.case}"


def _fan_row(fan: Fan, ours: Fan) -> str:
    beat = "" if fan.longest_beat is None else f"{fan.longest_beat:.0f} ms"
    ratio = f"{fan.cpu() / ours.cpu():.1f} x"
    return (
        f"| {_sockets(fan)} | {NAMES[fan.server]} | {fan.cpu():.1f} | {ratio} |"
        f" {fan.rate():,.0f} | {fan.memory:.1f} | {beat} |"
    )


def _late(run: Run) -> str:
    return " | ".join(f"{run.percentile(share):.0f}" for share in (0.5, 0.95, 0.99, 1.0))


def _budgets(ours: dict[str, Fan]) -> list[tuple[str, str, bool]]:
    """Return what was promised, what was found, and whether that is no more."""
    told = []
    if (alike := ours.get(ALIKE.name)) is not None:
        cpu, memory = alike.cpu(), alike.memory
        what = f"at most 20 us of CPU per message, {SOCKETS:,} sockets of one document"
        told.append((what, f"{cpu:.1f} us", cpu <= 20))
        told.append(("at most 40 KB a subscriber", f"{memory:.1f} KB", memory <= 40))
    if (many := ours.get(MANY.name)) is not None:
        what = f"{CROWD:,} sockets on one process"
        told.append((what, f"held and told, {many.whole:,.0f} MB", True))
    if (filtered := ours.get(FILTERED.name)) is not None:
        p99 = filtered.steady[100].percentile(0.99)
        what = f"p99 from commit to socket under 150 ms, 100 changes / s, {SOCKETS:,} sockets"
        told.append((what, f"{p99:.0f} ms", p99 < 150))
    beat = max(fan.longest_beat or 0.0 for fan in ours.values())
    told.append(("no beat of the event loop later than 50 ms", f"{beat:.0f} ms", beat <= 50))
    return told


CASES: Final = {"alike": ALIKE, "filtered": FILTERED, "many": MANY}
PEERS: Final = ("mercurius", "plain")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams")
    parser.add_argument("--size", choices=get_args(SizeName), default="small")
    parser.add_argument("--data-dir", type=Path, default=Path(".data/bench-writes"))
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS, metavar="PEER")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="bursts of each case")
    parser.add_argument("--publish", action="store_true", help="replace benchmarks/STREAMS.md")
    options = parser.parse_args(arguments)
    options.cases = [CASES[name] for name in options.only]
    return options


def run(options: argparse.Namespace) -> str:
    """Measure; return the page."""
    core, others = cores()
    allow_sockets()
    steps = Steps()
    missing = None
    peers: Peers | None = None
    if "mercurius" in options.peers:
        try:
            peers = install(options.data_dir, steps.say)
        except NoPeers as reason:
            missing = f"Mercurius: {reason}"

    async def measure(kept: Database, servers_of: Callable[[Database], Servers]) -> list[Fan]:
        async with copy_of(kept, "streams") as database:
            with servers_of(database) as servers:
                options.starts = {}
                if peers is not None:
                    options.starts["mercurius"] = lambda: servers.mercurius(peers)
                if "plain" in options.peers:
                    options.starts["plain"] = servers.plain
                return await fans(servers, database, core, options, steps.say)

    with ExitStack() as stack:
        kept = stack.enter_context(open_database(options.data_dir, options.size, steps))
        postgres = [kept.postmaster, *children(kept.postmaster)]
        stack.enter_context(pinned([os.getpid(), *postgres], others))
        with steps.step("Measuring"):
            found = uvloop.run(measure(kept, lambda made: Servers(made, core, options.data_dir)))
    return page(found, options.size, missing)


def main(arguments: Sequence[str]) -> int:
    """Measure and print; with ``--publish`` write the page."""
    options = parse(arguments)
    try:
        text = run(options)
    except (EmbeddedPostgresError, Missed, Refused, ServerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.publish:
        PUBLISHED.write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
