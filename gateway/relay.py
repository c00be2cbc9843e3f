"""From the outbox to the broker: one relay publishes, every process follows.

Writers put events into the outbox with what they tell of, in one transaction. One relay at a time
gives the committed ones their places in the log; every gateway process follows the log by place and
hands the events to its broker. Notifications only wake: whatever is lost with a connection is read
from the table when it is back, so nothing depends on one arriving.

The relay takes whatever its snapshot shows without a place, in the order it was written. A snapshot
that shows an event also shows those it follows from, and they were written before it: so version 2
never comes out before version 1, no event waits for a transaction it has nothing to do with, and
none is passed over, as readers of ``id > last`` do.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Final, TypeAlias

import asyncpg
import orjson
import structlog

from gateway.auth.access import Fetch
from gateway.partitions import drop_days, make_days
from resolvers.core.access import ACCESS_CHANNEL
from resolvers.core.broker import Broker, PublishedEvent
from resolvers.core.database_errors import FAILURES
from resolvers.core.metrics import Metrics
from resolvers.core.outbox import PUBLISHED_CHANNEL, WAITING, WRITTEN_CHANNEL
from resolvers.core.reference import REFERENCE_CHANNEL, ReferenceCache
from resolvers.core.stream import Index, LogPage

Connection: TypeAlias = "asyncpg.Connection[Any]"

RELAY_LOCK: Final = 0x0E7B_0C5E_1A90_0001
"""Advisory lock of the database's one relay; it ends with the session that holds it."""

RETENTION: Final = timedelta(hours=24)
"""How long published events are kept unless something else is asked for."""
_PUBLISH_PAGE: Final = 500
"""Most events published by one statement."""
_FOLLOW_PAGE: Final = 100
"""Most events read by one statement and handed to the broker before subscribers have their turn."""
_WAKE_SECONDS: Final = 0.01
"""Shortest time between two wake-ups of one process; those in between are one."""
_RELAY_POLL_SECONDS: Final = 0.25
"""Longest an event written by plain SQL, which wakes nobody, waits for the relay."""
_FOLLOW_POLL_SECONDS: Final = 0.5
"""Longest a published event, or a change of access, waits when its notification is lost."""
_MEASURE_SECONDS: Final = 1.0
"""Time between two looks at the backlog."""
_LOCK_RETRY_SECONDS: Final = 0.5
"""Time between two tries for the relay's lock; to wait in the server would hold vacuum back."""
_TRUST_SECONDS: Final = 3.0
"""Longest that reference data is answered from memory without hearing from the database."""
_DAYS_SECONDS: Final = 10.0
"""Time between two looks for days of the log to make, and for days that are kept no longer."""
_BACKLOG_COUNTED: Final = 100_000
"""Largest backlog that is counted; a larger one shows as this."""
_PROOF_SECONDS: Final = 15.0
"""Time between two looks at what the last proof of the invariants found."""
_TURN_SECONDS: Final = 0.005
"""Longest the event loop is held while events go to the broker."""
_PACE_SECONDS: Final = 0.25
"""Longest a backlog of events waits, per page, for those who have much to do with the last."""
_STEADY_SECONDS: Final = 5.0
"""Time after which a connection counts as healthy again."""
_RETRY_SECONDS: Final = (0.05, 2.0)
"""Shortest and longest wait before a new connection."""

# What waits is nothing when plans are made, and may be much when they run.
_BY_INDEX: Final = "set enable_seqscan = off"
# One time for the whole page, so that places grow with the days they are in.
_PUBLISH: Final = f"""
with page as (
  select written_seq, row_number() over (order by written_seq) as place
  from (select written_seq from outbox_event where published_at = '{WAITING}'
        order by written_seq limit {_PUBLISH_PAGE}) as oldest
), counter as (
  update outbox_counter set last_seq = last_seq + (select count(*) from page)
  where exists (select from page)
  returning last_seq - (select count(*) from page) as before, clock_timestamp() as at
), published as (
  update outbox_event as event set pub_seq = counter.before + page.place, published_at = counter.at
  from page, counter
  where event.written_seq = page.written_seq and event.published_at = '{WAITING}'
  returning event.pub_seq
)
select count(*), max(pub_seq) from published
"""  # noqa: S608 - a constant of ours; as a parameter the planner would not know how few rows it means

_WAITING: Final = f"""
select exists (select from outbox_event where published_at = '{WAITING}' and written_seq <= $1)
"""  # noqa: S608 - a constant of ours
_LAST_WAITING: Final = f"""
select coalesce(max(written_seq), 0) from outbox_event where published_at = '{WAITING}'
"""  # noqa: S608 - a constant of ours
_WAITING_SECONDS: Final = (0.05, 2.0)
"""Between two looks whether that has its places; longest it is waited for."""

_FOLLOW: Final = f"""
select pub_seq, written_seq, id, company_id, topic, entity, entity_id, payload, created_at
from outbox_event where pub_seq > $1 order by pub_seq limit {_FOLLOW_PAGE}
"""  # noqa: S608 - a constant of ours; as a parameter every read would be planned anew

# One statement, so that its snapshot shows a right as withdrawn where it shows a later event.
_FOLLOW_WITH_ACCESS: Final = f"""
select access.version, event.* from access_version access
left join lateral ({_FOLLOW}) as event on true
order by event.pub_seq
"""  # noqa: S608 - a constant of ours

_LOG_PAGE: Final = 200
"""Most events a subscriber that resumes is given by one statement."""
_LOG_REACH: Final = 100_000
"""Most places that one statement looks through for them: few of a long log may be wanted."""
_LOG_CONNECTIONS: Final = 2
"""Most connections that one process reads the log with for those that resume."""
_LOG_IDLE_SECONDS: Final = 60.0
"""Time after which a connection that nobody read with is closed."""

# One statement, so that its snapshot shows the events with what was kept at that moment.
_REPLAY: Final = f"""
select coalesce((select min(pub_seq) from outbox_event), counter.last_seq + 1), counter.last_seq,
       event.*
from outbox_counter counter left join lateral (
  select pub_seq, written_seq, id, company_id, topic, entity, entity_id, payload, created_at
  from outbox_event
  where company_id = $1 and topic = any($2::text[]) and pub_seq > $3 and pub_seq <= $4
    and ($5::text is null or case jsonb_typeof(payload -> $5)
      when 'array' then exists (
        select from jsonb_array_elements_text(payload -> $5) as one where one = any($6::text[]))
      else payload ->> $5 = any($6::text[]) end)
  order by pub_seq limit {_LOG_PAGE}
) as event on true
order by event.pub_seq
"""  # noqa: S608 - a constant of ours

_TAIL: Final = f"""
select event.pub_seq as seq, event.published_at as at, company.code as company, event.topic,
       event.entity, event.entity_id as "entityId", event.id::text as "eventId", event.payload
from outbox_event event join company on company.id = event.company_id
where event.pub_seq > $1 and event.pub_seq <= $2
  and ($3::text is null or event.topic = $3) and ($4::text is null or company.code = $4)
order by event.pub_seq limit {_LOG_PAGE}
"""  # noqa: S608 - a constant of ours

_REACH: Final = """
select last_seq, coalesce((select min(pub_seq) from outbox_event), last_seq + 1) - 1
from outbox_counter
"""

_BACKLOG: Final = f"""
select (select count(*) from (select from outbox_event where published_at = '{WAITING}' limit $1)
          as counted),
       coalesce((select extract(epoch from clock_timestamp() - created_at)::float8
                 from outbox_event where published_at = '{WAITING}'
                 order by written_seq limit 1), 0),
       coalesce(last_seq + 1 - oldest.pub_seq, 0),
       coalesce(extract(epoch from clock_timestamp() - oldest.published_at)::float8, 0)
from outbox_counter left join lateral (
  select pub_seq, published_at from outbox_event where pub_seq is not null
  order by pub_seq limit 1
) as oldest on true
"""  # noqa: S608 - a constant of ours

_PROOF: Final = """
select (select count(*) from jsonb_object_keys(result -> 'broken')),
       extract(epoch from finished_at)::float8
from job where kind = 'verify' and state = 'SUCCEEDED' order by id desc limit 1
"""

_WEBHOOKS: Final = """
select (select jsonb_object_agg(state, number) from (
          select s.state, count(w.id) as number
          from (values ('ACTIVE'), ('FAILING'), ('PAUSED'), ('DISABLED')) as s (state)
          left join webhook w on w.state = s.state and w.archived_at is null
          group by s.state) as counted),
       (select count(*) from (select from webhook_delivery where state = 'DEAD' limit $1) as dead),
       (select coalesce(max(c.last_seq - w.seq), 0) from webhook w cross join outbox_counter c
        where w.state in ('ACTIVE', 'FAILING') and w.archived_at is null)
"""

# A notification takes an id and a flush of its commit like any write, but need not survive a crash.
_NOTIFY: Final = "select set_config('synchronous_commit', 'off', true), pg_notify($1, $2)"

_log = structlog.get_logger("relay")


class _Signal:
    """Wakes one waiter; signals that come before it waits again are one."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self, *_: object) -> None:
        """Signal; also as a callback of asyncpg, whatever it passes."""
        self._event.set()

    async def wait(self, seconds: float | None = None) -> None:
        """Return at the next signal, or after ``seconds``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self._event.clear()


class WakeUp:
    """Tells the relay, after commits, that there are events to publish. One per writing process."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._signal = _Signal()

    def soon(self) -> None:
        """Wake the relay within milliseconds; to be called after a commit, never inside one.

        Many calls are one notification. If it cannot be sent, the relay finds the events itself.
        """
        self._signal.set()

    async def run(self) -> None:
        """Send wake-ups until canceled."""
        await keep_running("wake-up", self._database_url, self._send)

    async def _send(self, connection: Connection) -> None:
        self._signal.set()  # the one that found the last connection gone was lost
        while True:
            await self._signal.wait()
            await connection.execute(_NOTIFY, WRITTEN_CHANNEL, "")
            await asyncio.sleep(_WAKE_SECONDS)


class Relay:
    """Publishes the outbox, and drops the days of the log that ended ``retention`` ago.

    May run in any number of processes: one works, the others stand by. Everything happens on the
    connection that holds the lock, so a relay that lost its lock cannot go on publishing. Connects
    as the owner of the tables.
    """

    def __init__(
        self, database_url: str, metrics: Metrics, *, retention: timedelta = RETENTION
    ) -> None:
        self._database_url = database_url
        self._metrics = metrics
        self._retention = retention
        self._signal = _Signal()
        self._looked = -_DAYS_SECONDS
        self.publishing = False
        """Whether this is the one at work."""

    async def run(self) -> None:
        """Publish, or stand by, until canceled."""
        await keep_running("relay", self._database_url, self._work)

    async def _work(self, connection: Connection) -> None:
        while not await connection.fetchval("select pg_try_advisory_lock($1)", RELAY_LOCK):  # noqa: ASYNC110
            await asyncio.sleep(_LOCK_RETRY_SECONDS * _jitter())
        self.publishing = True
        _log.info("relay publishes")
        try:
            await connection.execute(_BY_INDEX)
            await connection.add_listener(WRITTEN_CHANNEL, self._signal.set)
            connection.add_termination_listener(self._signal.set)
            while True:
                await self._keep_days(connection)
                if await self._publish_page(connection) < _PUBLISH_PAGE:
                    await self._signal.wait(_RELAY_POLL_SECONDS)
        finally:
            self.publishing = False

    async def _publish_page(self, connection: Connection) -> int:
        """Give the oldest events without a place theirs; return how many."""
        [(published, last)] = await connection.fetch(_PUBLISH)
        if published:
            self._metrics.outbox_published(published)
            await connection.execute(_NOTIFY, PUBLISHED_CHANNEL, str(last))
        return int(published)

    async def _keep_days(self, connection: Connection) -> None:
        """Make the days of the log to come, and drop those kept no longer, if it is time to."""
        if time.monotonic() - self._looked < _DAYS_SECONDS:
            return
        await make_days(connection)
        self._metrics.outbox_deleted(await drop_days(connection, self._retention))
        self._looked = time.monotonic()


OnAccess = Callable[[Fetch], Awaitable[None]]
"""Looks at all callers again; is given what runs a statement on the follower's connection."""


class Follower:
    """Hands every published event to this process's broker, in order, from its start on.

    Also hears of changed reference data, and has ``reference`` forget it. Where access changed,
    ``on_access`` looks at the callers before they are told of any event committed after that; while
    it fails, nobody is told anything: the events are in the log. Reads the outbox of all companies,
    so it connects as the owner of the tables.
    """

    def __init__(
        self,
        database_url: str,
        broker: Broker,
        metrics: Metrics,
        reference: ReferenceCache | None = None,
        on_access: OnAccess | None = None,
    ) -> None:
        self._database_url = database_url
        self._broker = broker
        self._metrics = metrics
        self._reference = reference
        self._on_access = on_access
        self._access: int | None = None
        """The version of access that the callers were looked at under."""
        self._signal = _Signal()
        self._measured = -_MEASURE_SECONDS
        self._looked = -_PROOF_SECONDS
        self._started = asyncio.Event()
        self.connected = False
        """Whether events arrive at once; while not, they are caught up on later."""

    async def run(self) -> None:
        """Follow the log until canceled."""
        await keep_running("follower", self._database_url, self._follow)

    async def started(self) -> None:
        """Return once every event published from now on will reach the broker."""
        await self._started.wait()

    async def _follow(self, connection: Connection) -> None:
        await connection.add_listener(PUBLISHED_CHANNEL, self._signal.set)
        await connection.add_listener(ACCESS_CHANNEL, self._signal.set)
        connection.add_termination_listener(self._signal.set)
        if self._reference is not None:
            await connection.add_listener(REFERENCE_CHANNEL, self._reference_changed)
            connection.add_termination_listener(self._reference_unheard)
        if not self._started.is_set():
            await self._wait_for_relay(connection)
        last = await connection.fetchval("select last_seq from outbox_counter")
        if not self._started.is_set() or last < self._broker.position:  # less: it was made anew
            self._broker.begin(last)
        self._started.set()
        self.connected = True
        try:
            while True:
                await self._catch_up(connection)
                await self._measure(connection)
                await self._signal.wait(_FOLLOW_POLL_SECONDS)
        finally:
            self.connected = False
            self._reference_unheard()

    async def _wait_for_relay(self, connection: Connection) -> None:
        """Wait until all that was committed has its place, where no relay ran for a while.

        So whoever comes back after that is told it as missed, and not as happening.
        """
        pause, longest = _WAITING_SECONDS
        until = time.monotonic() + longest
        last = await connection.fetchval(_LAST_WAITING)
        while last and await connection.fetchval(_WAITING, last) and time.monotonic() < until:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(pause)

    def _reference_changed(self, *_: object) -> None:
        if self._reference is not None:
            self._reference.forget()

    def _reference_unheard(self, *_: object) -> None:
        if self._reference is not None:
            self._reference.distrust()

    async def _catch_up(self, connection: Connection) -> None:
        while True:
            rows = await self._page(connection)
            if self._reference is not None:
                # whoever does not answer would not tell of changes either
                self._reference.trust(_TRUST_SECONDS)
            if rows and rows[0][0] > self._broker.position + 1:  # places have no gaps
                _log.warning("events are gone", after=self._broker.position, before=rows[0][0])
                self._broker.pass_over(rows[0][0] - 1)
            held = time.monotonic()
            for row in rows:
                self._broker.publish(_event(row))
                if time.monotonic() - held > _TURN_SECONDS:
                    await asyncio.sleep(0)
                    held = time.monotonic()
            if len(rows) < _FOLLOW_PAGE:
                return
            await self._let_listeners_work()

    async def _page(self, connection: Connection) -> Sequence[Any]:
        """Return the next events, once all who would be told of them were looked at."""
        position = self._broker.position
        if self._on_access is None:
            return await connection.fetch(_FOLLOW, position)
        rows = await connection.fetch(_FOLLOW_WITH_ACCESS, position)
        version = rows[0][0]
        if version != self._access:
            await self._on_access(connection.fetch)
            self._access = version
        return [row[1:] for row in rows if row[1] is not None]

    async def _let_listeners_work(self) -> None:
        """Keep a backlog of events from flooding those who listen."""
        until = time.monotonic() + _PACE_SECONDS
        while self._broker.busy() and time.monotonic() < until:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_TURN_SECONDS)

    async def _measure(self, connection: Connection) -> None:
        if time.monotonic() - self._measured >= _MEASURE_SECONDS:
            [(backlog, lag, kept, age)] = await connection.fetch(_BACKLOG, _BACKLOG_COUNTED)
            self._metrics.outbox_measured(backlog=backlog, lag_seconds=lag)
            self._metrics.outbox_kept(events=kept, oldest_seconds=age)
            self._measured = time.monotonic()
        if time.monotonic() - self._looked >= _PROOF_SECONDS:
            self._looked = time.monotonic()
            # a database that is not migrated yet must not keep events from being followed
            with suppress(asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
                for broken, at in await connection.fetch(_PROOF):
                    self._metrics.invariants_proven(broken=broken, at=at)
                for states, dead, lag in await connection.fetch(_WEBHOOKS, _BACKLOG_COUNTED):
                    self._metrics.webhooks_measured(orjson.loads(states), dead=dead, lag=lag)


class EventLog:
    """Reads the log for subscribers that resume or fell behind. One per process.

    Connects as the owner of the tables, which see all companies: every read names one. While the
    database is away its readers wait, as live subscribers do.
    """

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._pool: asyncpg.Pool[Any] | None = None

    async def read(
        self,
        *,
        company_id: int,
        topics: Sequence[str],
        after: int,
        until: int,
        index: Index | None = None,
    ) -> LogPage:
        """Return the first events of a company and topics after one place and up to another.

        Of those that ``index`` rules out, none is read: many who resume at once want little each.
        """
        name, values = (None, None) if index is None else (index[0], list(map(str, index[1])))
        until = min(until, after + _LOG_REACH)
        shortest, longest = _RETRY_SECONDS
        wait = shortest
        while True:
            try:
                pool = await self._connections()
                rows = await pool.fetch(
                    _REPLAY, company_id, list(topics), after, until, name, values
                )
            except FAILURES as error:
                reason = f"{type(error).__name__}: {error}"
                _log.warning("connection lost", part="log", reason=reason)
            else:
                [oldest, last, *_] = rows[0]
                events = [_event(row[2:]) for row in rows if row[2] is not None]
                place = until if len(events) < _LOG_PAGE else events[-1].seq
                return LogPage(oldest, last, events, place)
            await asyncio.sleep(wait * _jitter())
            wait = min(2 * wait, longest)

    def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            self._pool.terminate()

    def _connections(self) -> "asyncpg.Pool[Any]":
        """Return the pool; it opens connections when they are needed, and closes idle ones."""
        if self._pool is None:
            self._pool = asyncpg.create_pool(
                self._database_url,
                min_size=0,
                max_size=_LOG_CONNECTIONS,
                max_inactive_connection_lifetime=_LOG_IDLE_SECONDS,
                timeout=5,
                command_timeout=10,
                server_settings={"application_name": "erp-gateway log"},
            )
        return self._pool


class Tail:
    """Tells the log as it grows, one event a line of JSON, for people and scripts of the operator.

    Begins after the place ``after``, else with what is published from now on, and goes on where it
    was when a connection is lost. ``caught_up`` is told once how many it told of those that were
    there already, if it began after a place; ``gap`` is told after which place it goes on where
    what follows the one it was at is not kept any more. Connects as the owner of the tables.
    """

    def __init__(
        self,
        database_url: str,
        write: Callable[[str], object],
        *,
        topic: str | None = None,
        company: str | None = None,
        after: int | None = None,
        caught_up: Callable[[int], object] = lambda _number: None,
        gap: Callable[[int], object] = lambda _place: None,
    ) -> None:
        self._database_url = database_url
        self._write = write
        self._gap = gap
        self._caught_up = caught_up
        self._returning = None if after is None else 0
        self._topic = topic
        self._company = company
        self._after = after
        self._signal = _Signal()

    async def run(self) -> None:
        """Tell until canceled, or until ``write`` ends the process."""
        await keep_running("tail", self._database_url, self._tell)

    async def _tell(self, connection: Connection) -> None:
        await connection.add_listener(PUBLISHED_CHANNEL, self._signal.set)
        connection.add_termination_listener(self._signal.set)
        while True:
            [[until, kept_after]] = await connection.fetch(_REACH)
            if self._after is None:
                self._after = until
            if self._after < kept_after:
                if self._after:  # 0 is all that is kept
                    self._gap(kept_after)
                self._after = kept_after
            whole = await self._tell_page(connection, until)
            if whole:
                self._after = max(self._after, until)
                if self._returning is not None:
                    self._caught_up(self._returning)
                    self._returning = None
                await self._signal.wait(_FOLLOW_POLL_SECONDS)

    async def _tell_page(self, connection: Connection, until: int) -> bool:
        """Tell the next events up to a place; return whether that was all of them."""
        rows = await connection.fetch(_TAIL, self._after, until, self._topic, self._company)
        for row in rows:
            told = dict(row)
            told["payload"] = orjson.loads(told["payload"])
            self._write(orjson.dumps(told).decode())
            self._after = row["seq"]
        if self._returning is not None:
            self._returning += len(rows)
        return len(rows) < _LOG_PAGE


def _event(row: Any) -> PublishedEvent:
    seq, written_seq, event_id, company_id, topic, entity, entity_id, payload, created_at = row
    return PublishedEvent(
        seq=seq,
        written_seq=written_seq,
        event_id=str(event_id),
        company_id=company_id,
        topic=topic,
        entity=entity,
        entity_id=entity_id,
        payload=orjson.loads(payload),
        created_at=created_at,
    )


async def keep_running(
    name: str, database_url: str, work: Callable[[Connection], Awaitable[None]]
) -> None:
    """Run ``work`` on a connection of its own, and on a new one whenever it fails, until canceled.

    Each wait before a new try is twice the last, with jitter, until a connection was steady.
    """
    shortest, longest = _RETRY_SECONDS
    wait = shortest
    while True:
        begun = time.monotonic()
        try:
            async with _connection(database_url, name) as connection:
                await work(connection)
        except FAILURES as error:
            _log.warning("connection lost", part=name, reason=f"{type(error).__name__}: {error}")
        except Exception:  # noqa: BLE001 - whatever it was, the stream must go on
            _log.exception("part failed", part=name)
        if time.monotonic() - begun > _STEADY_SECONDS:
            wait = shortest
        await asyncio.sleep(wait * _jitter())
        wait = min(2 * wait, longest)


@asynccontextmanager
async def _connection(database_url: str, name: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(
        database_url,
        timeout=5,
        command_timeout=10,
        server_settings={
            "application_name": f"erp-gateway {name}",
            # a host that vanished gives the relay's lock back within seconds, not hours
            "tcp_keepalives_idle": "5",
            "tcp_keepalives_interval": "2",
            "tcp_keepalives_count": "3",
        },
    )
    try:
        yield connection
    finally:
        try:
            await connection.close(timeout=1)
        except FAILURES:
            connection.terminate()


def _jitter() -> float:
    return random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing
