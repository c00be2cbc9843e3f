"""The outbox relay and its followers: every committed event once, in order, whatever breaks."""

import asyncio
import itertools
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from gateway.partitions import drop_days, make_day, make_days
from gateway.postgres import EmbeddedPostgres
from gateway.relay import EventLog, Follower, Relay, Tail, WakeUp
from resolvers.core.broker import Broker, Everything, PublishedEvent
from resolvers.core.metrics import Metrics
from resolvers.core.outbox import (
    COUNTER_ROW,
    PARTITIONS,
    UUID7,
    WRITTEN_SEQUENCE,
    outbox_counter,
    outbox_event,
)
from resolvers.core.stream import missed

LEVELS = 4
LEVEL_TABLE = f"""
create table level (id int primary key, version int not null default 0);
insert into level select generate_series(1, {LEVELS})
"""
CHANGE = """
with changed as (update level set version = version + 1 where id = $1 returning id, version)
insert into outbox_event (company_id, topic, entity, entity_id, payload)
select 1, 'stock', 'Level', id, jsonb_build_object('version', version, 'writer', $2::text)
from changed
returning id::text
"""


def outbox_sql() -> str:
    """Return the script that makes the outbox, and a table whose changes it tells of."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    statements = [UUID7, WRITTEN_SEQUENCE]
    for table in (outbox_event, outbox_counter):
        statements.append(str(CreateTable(table).compile(dialect=dialect)))
        statements += [str(CreateIndex(i).compile(dialect=dialect)) for i in table.indexes]
    return ";\n".join([*statements, PARTITIONS, COUNTER_ROW, LEVEL_TABLE])


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A server of our own: some tests stop it.

    Not in pytest's folder, which every other run of pytest shuts to the server's account.
    """
    with (
        tempfile.TemporaryDirectory(prefix="relay-") as folder,
        EmbeddedPostgres(Path(folder)) as server,
    ):
        yield server


@pytest.fixture
async def url(server: EmbeddedPostgres) -> AsyncIterator[str]:
    """A fresh database with an outbox."""
    name = f"relay_{random.randrange(10**9)}"
    await asyncio.to_thread(server.create_database, name)
    async with connected(server.url(name)) as connection:
        await connection.execute(outbox_sql())
    yield server.url(name)
    await asyncio.to_thread(server.drop_database, name)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """Open a connection that is no part of the gateway."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


@asynccontextmanager
async def running(*parts: Relay | Follower | WakeUp | Tail) -> AsyncIterator[None]:
    """Run parts of the gateway for the time of the block."""
    tasks = [asyncio.create_task(part.run()) for part in parts]
    try:
        for part in parts:
            if isinstance(part, Follower):
                async with asyncio.timeout(20):
                    await part.started()
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Gateway:
    """What a gateway process has of this: a follower and a broker, which tells this listener."""

    def __init__(self, url: str) -> None:
        self.broker = Broker()
        self.follower = Follower(url, self.broker, Metrics())
        self.events: list[PublishedEvent] = []
        self.ends: list[Exception | None] = []
        self.gone_after: list[int] = []
        self.broker.listen(self, company_id=1, topics=("stock",), interest=Everything())

    def offer(self, event: PublishedEvent) -> None:
        """Keep an event."""
        self.events.append(event)

    def fall_behind(self) -> None:
        """Keep after which place something is gone."""
        self.gone_after.append(self.broker.position)

    def end(self, error: Exception | None) -> None:
        """Keep why no more will come."""
        self.ends.append(error)

    async def receive(self, number: int) -> list[PublishedEvent]:
        """Wait until ``number`` events arrived in all; return all that did."""
        async with asyncio.timeout(60):
            while len(self.events) < number:  # noqa: ASYNC110 - another process tells
                await asyncio.sleep(0.001)
        return self.events

    async def receive_nothing(self, seconds: float = 0.5) -> None:
        """Make sure that no event arrives."""
        before = self.broker.published
        await asyncio.sleep(seconds)
        assert self.broker.published == before


async def eventually(condition: Callable[[], Awaitable[Any]], seconds: float = 20) -> None:
    """Wait until ``condition`` holds."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - other processes change it
            await asyncio.sleep(0.02)


async def change(connection: "asyncpg.Connection[Any]", level: int = 1, writer: str = "") -> str:
    """Change a level and write its event; return the event's id."""
    return str(await connection.fetchval(CHANGE, level, writer))


def assert_published_once_in_order(events: list[PublishedEvent], committed: list[str]) -> None:
    """Every committed event once, places without gaps, no version before an earlier one."""
    assert sorted(event.event_id for event in events) == sorted(committed)
    first = events[0].seq
    assert [event.seq for event in events] == list(range(first, first + len(events)))
    for level in range(1, LEVELS + 1):
        versions = [e.payload["version"] for e in events if e.entity_id == level]
        assert versions == sorted(versions)


# -- from a commit to the broker


async def test_a_plain_insert_reaches_the_broker(url: str) -> None:
    """An event written by plain SQL, which wakes nobody, arrives with all it says."""
    gateway = Gateway(url)
    async with running(Relay(url, Metrics()), gateway.follower), connected(url) as writer:
        written = await change(writer, level=3, writer="psql")

        [event] = await gateway.receive(1)

    assert (event.seq, event.event_id) == (1, written)
    assert (event.company_id, event.topic, event.entity, event.entity_id) == (
        1,
        "stock",
        "Level",
        3,
    )
    assert event.payload == {"version": 1, "writer": "psql"}
    assert event.created_at.tzinfo is not None


async def test_a_wake_up_is_enough(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one after the commit events arrive, though nobody looks without being told."""
    gateway, wake = Gateway(url), WakeUp(url)
    async with running(Relay(url, Metrics()), gateway.follower, wake), connected(url) as writer:
        await change(writer)
        await gateway.receive(1)
        monkeypatch.setattr("gateway.relay._RELAY_POLL_SECONDS", 3_600)
        monkeypatch.setattr("gateway.relay._FOLLOW_POLL_SECONDS", 3_600)
        for number in range(100):
            await change(writer)
            wake.soon()
            await gateway.receive(number + 2)
            await asyncio.sleep(random.uniform(0, 0.02))


async def test_a_follower_starts_with_what_comes(url: str) -> None:
    """A new process does not replay what was published before it."""
    async with connected(url) as writer:
        first = Gateway(url)
        async with running(Relay(url, Metrics()), first.follower):
            await change(writer)
            await first.receive(1)

            second = Gateway(url)
            async with running(second.follower):
                await change(writer)
                [event] = await second.receive(1)
                assert [e.seq for e in await first.receive(2)] == [1, 2]

    assert event.seq == 2


async def test_an_idle_relay_writes_nothing(url: str) -> None:
    """Polling takes no transaction id and leaves no dead row behind."""
    gateway = Gateway(url)
    row_version = "select xmin::text from outbox_counter"
    async with running(Relay(url, Metrics()), gateway.follower), connected(url) as connection:
        await change(connection)
        await gateway.receive(1)
        before = await connection.fetchval(row_version)
        await gateway.receive_nothing(1.0)

        assert await connection.fetchval(row_version) == before


async def test_the_backlog_is_measured(url: str) -> None:
    """While no relay works, every following process shows how many events wait and for how long."""
    metrics = Metrics()
    follower = Follower(url, Broker(), metrics)

    def shown(name: str) -> float:
        return metrics.registry.get_sample_value(name) or 0.0

    async def backlog_shown() -> bool:
        return shown("gateway_outbox_backlog_events") == 2

    async with connected(url) as writer:
        await change(writer)
        await change(writer)
        async with running(follower):
            await eventually(backlog_shown)

    assert shown("gateway_outbox_lag_seconds") > 0


# -- order


async def test_every_committed_event_once_in_order_under_writers(url: str) -> None:
    """16 writers with rollbacks and long transactions: nothing lost, doubled or out of order."""
    gateway, wake = Gateway(url), WakeUp(url)
    committed: list[str] = []

    async def write(number: int) -> None:
        dice = random.Random(number)
        async with connected(url) as connection:
            for _ in range(25):
                transaction = connection.transaction()
                await transaction.start()
                await connection.execute("select pg_current_xact_id()")
                await asyncio.sleep(0.2 if dice.random() < 0.05 else dice.uniform(0, 0.01))
                levels = sorted(dice.sample(range(1, LEVELS + 1), dice.choice((1, 1, 2))))
                written = [await change(connection, n, str(number)) for n in levels]
                if dice.random() < 0.3:
                    await transaction.rollback()
                    continue
                await transaction.commit()
                committed.extend(written)
                wake.soon()

    async with running(Relay(url, Metrics()), gateway.follower, wake):
        await asyncio.gather(*(write(number) for number in range(16)))
        events = await gateway.receive(len(committed))
        await gateway.receive_nothing()

    assert_published_once_in_order(events, committed)


async def test_an_event_never_precedes_the_one_it_follows_from(url: str) -> None:
    """A transaction that began first but changed a level second comes out second.

    A third one is open all the while, with a transaction id between the two.
    """
    gateway = Gateway(url)
    async with AsyncExitStack() as stack:
        late, other, early = [await stack.enter_async_context(connected(url)) for _ in range(3)]
        transactions = [connection.transaction() for connection in (late, other, early)]
        for connection, transaction in zip((late, other, early), transactions, strict=True):
            await transaction.start()
            await connection.execute("select pg_current_xact_id()")
        await change(early)
        await transactions[2].commit()
        await change(late)
        await transactions[0].commit()

        await stack.enter_async_context(running(gateway.follower))  # follows what comes after it
        await stack.enter_async_context(running(Relay(url, Metrics())))
        events = await gateway.receive(2)
        await transactions[1].rollback()

    assert [event.payload["version"] for event in events] == [1, 2]


async def test_an_open_transaction_holds_nobody_up(url: str) -> None:
    """Events of others are published while a transaction stays open, its own once it commits."""
    gateway = Gateway(url)
    async with (
        running(Relay(url, Metrics()), gateway.follower),
        connected(url) as slow,
        connected(url) as quick,
    ):
        transaction = slow.transaction()
        await transaction.start()
        await change(slow, 1, "slow")
        await change(quick, 2, "quick")
        await gateway.receive(1)
        await transaction.commit()
        events = await gateway.receive(2)

    assert [event.payload["writer"] for event in events] == ["quick", "slow"]


async def test_a_rolled_back_event_leaves_no_gap(url: str) -> None:
    """Places in the log are counted over what is published, not over what was tried."""
    gateway = Gateway(url)
    async with running(Relay(url, Metrics()), gateway.follower), connected(url) as writer:
        await change(writer)
        with suppress(ZeroDivisionError):
            async with writer.transaction():
                await change(writer)
                raise ZeroDivisionError
        await change(writer)
        events = await gateway.receive(2)

    assert [(event.seq, event.payload["version"]) for event in events] == [(1, 1), (2, 2)]


async def test_a_backlog_waits_for_those_who_have_much_to_do(url: str) -> None:
    """A page is handed over when they are done with the last, or after a while; all of them are."""
    gateway = Gateway(url)
    handed: list[int] = []
    turns = 0

    def busy() -> bool:
        nonlocal turns
        turns += 1
        handed.append(len(gateway.events))
        return turns % 3 > 0

    gateway.broker.busy = busy
    many = "insert into outbox_event (company_id, topic, entity, entity_id, payload) "
    many += "select 1, 'stock', 'Level', n, '{}' from generate_series(1, 1000) n"
    async with connected(url) as writer, running(gateway.follower):
        await writer.execute(many)
        async with running(Relay(url, Metrics())):
            await gateway.receive(1000)

    assert [event.entity_id for event in gateway.events] == list(range(1, 1001))
    assert len(handed) > 3 * len(set(handed)) - 3, "asked again before the next page"


# -- faults


def relay_process(url: str) -> "subprocess.Popen[bytes]":
    """Start a relay in a process of its own."""
    program = (
        "import asyncio, sys; from gateway.relay import Relay; "
        "from resolvers.core.metrics import Metrics; "
        "asyncio.run(Relay(sys.argv[1], Metrics()).run())"
    )
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen([sys.executable, "-c", program, url], cwd=root)


async def holder(connection: "asyncpg.Connection[Any]") -> int | None:
    """Return the server process that holds the relay's lock."""
    pid = await connection.fetchval(
        "select pid from pg_locks where locktype = 'advisory' and granted and database = "
        "(select oid from pg_database where datname = current_database())"
    )
    return None if pid is None else int(pid)


async def test_another_relay_takes_over_from_a_killed_one(url: str) -> None:
    """When the relay's process is killed under load, another goes on, without a gap."""
    gateway, wake = Gateway(url), WakeUp(url)
    committed: list[str] = []
    first = relay_process(url)
    second: subprocess.Popen[bytes] | None = None
    try:
        async with running(gateway.follower, wake), connected(url) as writer:

            async def write(number: int) -> None:
                for _ in range(number):
                    committed.append(await change(writer, random.randint(1, LEVELS)))
                    wake.soon()
                    await asyncio.sleep(0.005)

            await eventually(lambda: holder(writer))
            second = relay_process(url)
            await write(100)
            working = await holder(writer)

            first.send_signal(signal.SIGKILL)
            killed = time.monotonic()
            await write(50)
            await eventually(lambda: _other_holder(writer, working))
            print(f"taken over after {time.monotonic() - killed:.2f} s")  # noqa: T201
            await write(50)
            events = await gateway.receive(len(committed))
            await gateway.receive_nothing()
    finally:
        for process in filter(None, (first, second)):
            process.kill()
            process.wait()

    assert_published_once_in_order(events, committed)


async def _other_holder(connection: "asyncpg.Connection[Any]", former: int | None) -> bool:
    return await holder(connection) not in {None, former}


async def test_a_relay_that_stops_hands_over_at_once(url: str) -> None:
    """At shutdown the lock is given back, so that another process can publish."""
    first, second = Relay(url, Metrics()), Relay(url, Metrics())

    async def at_work(relay: Relay) -> bool:
        return relay.publishing

    async with running(second):
        await eventually(lambda: at_work(second))
        stopping = asyncio.create_task(first.run())
        await asyncio.sleep(0.2)
        assert not first.publishing
    await eventually(lambda: at_work(first), seconds=5)
    stopping.cancel()
    with suppress(asyncio.CancelledError):
        await stopping

    assert not first.publishing
    async with connected(url) as connection:
        assert await holder(connection) is None


async def test_cut_connections_heal_without_loss(url: str) -> None:
    """While connections of relay, follower and wake-up are cut again and again, nothing is lost."""
    gateway, wake = Gateway(url), WakeUp(url)
    committed: list[str] = []
    cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity "
    cut += "where application_name like 'erp-gateway %' and datname = current_database()"
    cuts = 0
    async with running(Relay(url, Metrics()), gateway.follower, wake), connected(url) as writer:
        for number in itertools.count():
            if number >= 200 and cuts >= 6:
                break
            committed.append(await change(writer, random.randint(1, LEVELS)))
            wake.soon()
            if number % 50 == 25:
                cuts += await writer.fetchval(cut)
            await asyncio.sleep(0.01)
        events = await gateway.receive(len(committed))
        await gateway.receive_nothing()

    assert_published_once_in_order(events, committed)


async def test_a_restarted_server_is_found_again(url: str, server: EmbeddedPostgres) -> None:
    """Events written after the database server was restarted arrive without anybody's help."""
    gateway, wake = Gateway(url), WakeUp(url)
    async with running(Relay(url, Metrics()), gateway.follower, wake):
        async with connected(url) as writer:
            await change(writer)
            await gateway.receive(1)
        await asyncio.to_thread(server.stop)
        await asyncio.sleep(0.2)
        await asyncio.to_thread(server.start)
        async with connected(url) as writer:
            await change(writer)
            events = await gateway.receive(2)

    assert [event.seq for event in events] == [1, 2]


async def test_an_outbox_that_is_not_there_yet_is_waited_for(server: EmbeddedPostgres) -> None:
    """Relay and follower that start before the migrations begin to work after them."""
    name = f"relay_{random.randrange(10**9)}"
    await asyncio.to_thread(server.create_database, name)
    gateway = Gateway(server.url(name))
    tasks = [
        asyncio.create_task(p.run()) for p in (Relay(server.url(name), Metrics()), gateway.follower)
    ]
    await asyncio.sleep(0.3)
    async with connected(server.url(name)) as connection:
        await connection.execute(outbox_sql())
        async with asyncio.timeout(10):
            await gateway.follower.started()
        await change(connection)
        [event] = await gateway.receive(1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.to_thread(server.drop_database, name)

    assert event.seq == 1


async def test_what_is_gone_before_it_was_followed_is_noticed(url: str) -> None:
    """A process was away for longer than events are kept: who listens does not go on as if not."""
    gateway = Gateway(url)
    async with connected(url) as connection:
        async with running(Relay(url, Metrics()), gateway.follower):
            for _ in range(2):
                await change(connection)
            await gateway.receive(2)
        async with running(Relay(url, Metrics())):
            for _ in range(3):
                await change(connection)
            waiting = "select count(*) = 0 from outbox_event where pub_seq is null"
            await eventually(lambda: connection.fetchval(waiting))
        await connection.execute("delete from outbox_event where pub_seq <= 4")
        async with running(gateway.follower):
            events = await gateway.receive(3)
    assert [event.seq for event in events] == [1, 2, 5]
    assert gateway.gone_after == [2]


async def test_wake_ups_are_coalesced(url: str) -> None:
    """A thousand commits in a moment are a few notifications."""
    wake = WakeUp(url)
    heard: list[object] = []
    async with connected(url) as listener, running(wake):
        await listener.add_listener(
            "erp_outbox_written", lambda *heard_now: heard.append(heard_now)
        )
        for _ in range(1000):
            wake.soon()
            if random.random() < 0.05:
                await asyncio.sleep(0)
        async with asyncio.timeout(60):
            while not heard:  # noqa: ASYNC110 - the listener tells nobody
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)

    assert len(heard) < 50


# -- how long the log is


FILL = """
insert into outbox_event (company_id, topic, entity, entity_id, payload)
select 1, 'stock', 'Level', n, '{}' from generate_series(1, $1::int) n
"""
AGE = "update outbox_event set published_at = now() - interval '2 days' where pub_seq <= $1"
DAYS = """
select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'outbox_event'::regclass and c.relname ~ '[0-9]$' order by 1
"""
TODAY = "select (now() at time zone 'utc')::date"
PARTS = "select distinct tableoid::regclass::text from outbox_event"


def shown(metrics: Metrics, name: str) -> float:
    """Return a metric as it is scraped."""
    return metrics.registry.get_sample_value(name) or 0.0


async def published(connection: "asyncpg.Connection[Any]", number: int) -> None:
    """Write events, have them published, and stop publishing."""
    await connection.execute(FILL, number)
    missing = "select not exists (select from outbox_event where pub_seq is null)"
    await eventually(lambda: connection.fetchval(missing))


async def test_events_go_when_their_day_is_over(url: str) -> None:
    """Whole days at once, up to the first that is kept; what is kept is counted and dated."""
    metrics = Metrics()
    async with connected(url) as connection:
        today = await connection.fetchval(TODAY)
        for ago in (3, 2):
            await make_day(connection, today - timedelta(days=ago))
        async with running(Relay(url, Metrics())):
            await published(connection, 1_300)
        await connection.execute(AGE, 1_200)
        await connection.execute(FILL, 1)  # not published, so never too old
        follower = Follower(url, Broker(), metrics)
        gone = "select min(pub_seq) = 1201 from outbox_event"
        async with running(Relay(url, metrics, retention=timedelta(hours=1)), follower):
            await eventually(lambda: connection.fetchval(gone))
            await eventually(lambda: told(metrics, "gateway_event_log_events", 101))
        assert await connection.fetchval("select count(*) from outbox_event") == 101
        days = [row[0][-8:] for row in await connection.fetch(DAYS)]
        assert days == [f"{today + timedelta(days=ahead):%Y%m%d}" for ahead in (0, 1)]
    assert shown(metrics, "gateway_event_log_deleted_events_total") == 1_200
    assert shown(metrics, "gateway_event_log_oldest_seconds") < 60


async def told(metrics: Metrics, name: str, value: float) -> bool:
    """Tell whether a metric has a value."""
    return shown(metrics, name) == value


async def test_nothing_goes_behind_what_is_kept(url: str) -> None:
    """A clock that was set back leaves no hole in the log: days that are mixed go together."""
    hour = timedelta(hours=1)
    async with connected(url) as connection:
        async with running(Relay(url, Metrics())):
            await published(connection, 11)
        await connection.execute(AGE, 10)
        await connection.execute("update outbox_event set published_at = now() where pub_seq = 5")
        assert await drop_days(connection, hour) == 0
        assert await connection.fetchval("select count(*) from outbox_event") == 11
        await connection.execute(AGE, 10)
        assert await drop_days(connection, hour) == 10


async def test_the_last_day_is_kept_until_there_is_a_later_one(url: str) -> None:
    """However long nothing has happened since: the log of a quiet time tells that it was quiet."""
    hour = timedelta(hours=1)
    kept = "select array_agg(pub_seq order by pub_seq) from outbox_event"
    async with connected(url) as connection:
        today = await connection.fetchval(TODAY)
        async with running(Relay(url, Metrics())):
            await published(connection, 4)
        for ago in (4, 3, 2):
            await make_day(connection, today - timedelta(days=ago))
        await connection.execute(AGE, 4)
        await connection.execute(AGE.replace("2 days", "4 days"), 2)
        assert await drop_days(connection, hour) == 2
        assert await connection.fetchval(kept) == [3, 4]
        assert await drop_days(connection, hour) == 0
        days = [row[0][-8:] for row in await connection.fetch(DAYS)]
        assert days[0] == f"{today - timedelta(days=2):%Y%m%d}"
        async with running(Relay(url, Metrics())):
            await published(connection, 1)
        assert await drop_days(connection, hour) == 2
        assert await connection.fetchval(kept) == [5]


async def test_a_day_without_a_partition_loses_nothing(url: str) -> None:
    """Its events are in the partition of the rest, in the log, and come along when one is made."""
    log = EventLog(url)
    try:
        async with connected(url) as connection:
            async with running(Relay(url, Metrics())):
                await published(connection, 10)
            for [name] in await connection.fetch(DAYS):
                await connection.execute(f"alter table outbox_event detach partition {name}")
                await connection.execute(f"insert into outbox_event_rest select * from {name}")
                await connection.execute(f"drop table {name}")
            for _ in range(2):
                page = await log.read(company_id=1, topics=("stock",), after=0, until=10)
                assert [event.seq for event in page.events] == list(range(1, 11))
                await make_days(connection)
            [[part]] = await connection.fetch(PARTS)
            assert part in [row[0] for row in await connection.fetch(DAYS)]
    finally:
        log.close()


async def test_a_day_that_is_in_use_goes_later(url: str) -> None:
    """Whoever writes events waits for the relay a moment at most, and the relay tries again."""
    hour = timedelta(hours=1)
    async with connected(url) as connection, connected(url) as writer, connected(url) as reader:
        async with running(Relay(url, Metrics())):
            await published(connection, 11)
        await connection.execute(AGE, 10)
        await make_day(connection, (await connection.fetchval(TODAY)) - timedelta(days=2))
        async with writer.transaction():
            await writer.execute(FILL, 1)
            assert await drop_days(connection, hour) == 0
            dropping = asyncio.create_task(drop_days(connection, hour))
            await asyncio.sleep(0.02)
            assert await reader.fetchval("select count(*) from outbox_event") == 11
            assert await dropping == 0, "the writer is not done, and is not waited for"
        assert await drop_days(connection, hour) == 10
        assert await connection.fetchval("select count(*) from outbox_event") == 2


async def test_what_waits_is_kept_together(url: str) -> None:
    """Events without a place are in the partition that writers write to, and leave it with one."""
    async with connected(url) as connection:
        await connection.execute(FILL, 10)
        assert await connection.fetchval(PARTS) == "outbox_event_waiting"
        async with running(Relay(url, Metrics())):
            await published(connection, 10)
        assert await connection.fetchval("select count(*) from outbox_event_waiting") == 0
        assert await connection.fetchval("select count(distinct pub_seq) from outbox_event") == 20


async def test_the_log_tells_exactly_what_it_has(url: str) -> None:
    """Its pages hold what was asked for, and say in the same moment what is kept."""
    log = EventLog(url)
    try:
        page = await log.read(company_id=1, topics=("stock",), after=0, until=0)
        assert (page.oldest, page.last, page.events, page.place) == (1, 0, [], 0)
        async with connected(url) as connection:
            async with running(Relay(url, Metrics())):
                await published(connection, 450)
            await connection.execute("update outbox_event set company_id = 2 where pub_seq % 9 = 0")
            page = await log.read(company_id=1, topics=("stock",), after=10, until=440)
            seqs = [seq for seq in range(11, 441) if seq % 9]
            assert [event.seq for event in page.events] == seqs[:200]
            assert (page.oldest, page.last, page.place) == (1, 450, seqs[199])
            page = await log.read(company_id=1, topics=("stock",), after=300, until=440)
            assert [event.seq for event in page.events] == [seq for seq in seqs if seq > 300]
            assert page.place == 440
            assert not (await log.read(company_id=1, topics=("x",), after=0, until=450)).events
            for seq, payload in ((20, '{"of": 7}'), (30, '{"of": "a"}'), (40, '{"of": [1, 7]}')):
                told = "update outbox_event set payload = $2::text::jsonb where pub_seq = $1"
                await connection.execute(told, seq, payload)
            for values, expected in (
                ({7}, [20, 40]),
                ({"a", "b"}, [30]),
                ({1, 2}, [40]),
                ({5}, []),
            ):
                page = await log.read(
                    company_id=1,
                    topics=("stock",),
                    after=10,
                    until=440,
                    index=("of", frozenset(values)),
                )
                assert [event.seq for event in page.events] == expected
                assert (page.oldest, page.last, page.place) == (1, 450, 440)
            await connection.execute("delete from outbox_event where pub_seq < 100")
            page = await log.read(company_id=1, topics=("stock",), after=10, until=440)
            assert page.oldest == 100
            await connection.execute("delete from outbox_event")
            page = await log.read(company_id=1, topics=("stock",), after=10, until=440)
            assert (page.oldest, page.last, page.events) == (451, 450, [])
    finally:
        log.close()


async def test_what_is_seldom_is_found_in_a_long_log(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One statement looks through a part of the log only, so that it ends in its time."""
    monkeypatch.setattr("gateway.relay._LOG_REACH", 10)
    log = EventLog(url)
    try:
        async with connected(url) as connection:
            async with running(Relay(url, Metrics())):
                await published(connection, 45)
            one = "update outbox_event set payload = '{\"of\": 7}' where pub_seq in (12, 38)"
            await connection.execute(one)
        wanted: dict[str, Any] = {
            "company_id": 1,
            "topics": ("stock",),
            "index": ("of", frozenset({7})),
        }
        page = await log.read(**wanted, after=0, until=44)
        assert (page.events, page.place) == ([], 10)
        pages = missed(log, **wanted, after=0, until=44)
        assert [[event.seq for event in events] async for events in pages] == [[12], [38]]
    finally:
        log.close()


async def test_a_cut_connection_of_the_log_is_replaced(url: str) -> None:
    """Whoever reads the log while connections are cut waits a moment, and gets all the same."""
    log = EventLog(url)
    cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity "
    cut += "where application_name = 'erp-gateway log' and datname = current_database()"
    try:
        async with connected(url) as connection:
            for _ in range(3):
                page = await log.read(company_id=1, topics=("stock",), after=0, until=9)
                assert page.place == 9
                assert await connection.fetchval(cut) >= 1
    finally:
        log.close()


# -- the log, for people


async def test_the_tail_tells_what_is_published(url: str) -> None:
    """All that is kept, then what comes, also after its connection was cut, filtered if asked."""
    caught_up: list[int] = []
    everything: list[dict[str, Any]] = []
    chosen: list[dict[str, Any]] = []
    fresh: list[dict[str, Any]] = []
    late: list[dict[str, Any]] = []
    gaps: list[int] = []
    event = """insert into outbox_event (company_id, topic, entity, entity_id, payload)
               select 1 + n % 2, case when n % 3 = 0 then 'orders' else 'stock' end, 'Level', n,
                      '{"n": 1}'
               from generate_series(1, $1::int) n"""
    cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity "
    cut += "where application_name = 'erp-gateway tail' and datname = current_database()"
    missing = "select not exists (select from outbox_event where pub_seq is null)"
    async with connected(url) as connection:
        await connection.execute(
            "create table company (id int, code text); insert into company values (1,'A'), (2,'B')"
        )
        async with running(Relay(url, Metrics())):
            await connection.execute(event, 500)
            await eventually(lambda: connection.fetchval(missing))
            tails = (
                Tail(
                    url,
                    lambda line: everything.append(orjson.loads(line)),
                    after=0,
                    caught_up=caught_up.append,
                ),
                Tail(
                    url,
                    lambda line: chosen.append(orjson.loads(line)),
                    topic="stock",
                    company="B",
                    after=100,
                ),
                Tail(url, lambda line: fresh.append(orjson.loads(line))),
            )
            async with running(*tails):
                while not fresh:
                    await connection.execute(event, 1)
                    await asyncio.sleep(0.1)
                await eventually(lambda: as_many(everything, 501))
                await eventually(lambda: as_many(chosen, 1))
                assert await connection.fetchval(cut) == 3
                await connection.execute(event, 20)
                last = await connection.fetchval("select count(*) from outbox_event")
                await eventually(lambda: as_many(everything, last))
                await eventually(lambda: as_many(fresh, last + 1 - fresh[0]["seq"]))
                wanted = "select pub_seq from outbox_event where company_id = 2 and topic = 'stock'"
                rows = await connection.fetch(f"{wanted} and pub_seq > 100 order by pub_seq")
                await eventually(lambda: as_many(chosen, len(rows)))
            await connection.execute("delete from outbox_event where pub_seq <= 400")
            for after in (0, 399, 400):
                late.clear()
                tail = Tail(
                    url,
                    lambda line: late.append(orjson.loads(line)),
                    after=after,
                    gap=gaps.append,
                )
                async with running(tail):
                    await eventually(lambda: as_many(late, last - 400))
                assert [told["seq"] for told in late] == list(range(401, last + 1))
    assert gaps == [400], "0 is all that is kept, and nothing is gone after 400"
    assert [told["seq"] for told in everything] == list(range(1, last + 1))
    assert len(caught_up) == 1
    assert caught_up[0] >= 500
    assert [told["seq"] for told in fresh] == list(range(fresh[0]["seq"], last + 1))
    assert [told["seq"] for told in chosen] == [row[0] for row in rows]
    assert (everything[0]["company"], everything[0]["payload"]) == ("B", {"n": 1})
    assert everything[0]["entityId"] == 1


async def as_many(told: list[dict[str, Any]], number: int) -> bool:
    """Tell whether so many lines came."""
    return len(told) >= number
