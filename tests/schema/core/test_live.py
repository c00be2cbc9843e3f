"""Live streams: each change once, in order, whatever happens; evaluated once for all who ask alike.

The log here is a list, so that events can be written and published at every moment of a reader's
way; the executor and the schema are real.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Any, cast

import pytest
import strawberry

from resolvers.core.broker import Broker, PublishedEvent
from resolvers.core.clock import system_clock
from resolvers.core.context import Context, OperationStats
from resolvers.core.errors import Forbidden, Overloaded
from resolvers.core.principal import STAFF_ROLE, CompanyAccess, Principal, RowScope
from resolvers.core.statement import Statement
from resolvers.core.stream import Index, LogPage, Place, Told
from schema.core.execution import Executor, GraphQLRequest
from schema.core.fields import RowType, column
from schema.core.limits import Limits
from schema.core.live import Delivery, Live, Subscriber, group
from schema.core.node import row_type
from schema.core.scalars import schema_config
from schema.core.stream import SnapshotReason, Stream, StreamNotice, stream
from tests.fixtures.deliveries import Heard, heard, hearing
from tests.fixtures.hand import Hand

PAGE = 3
SELDOM = 0.05
"""Seconds between two messages of a stream that tells the latest."""


@dataclass(frozen=True)
class Wanted:
    """Events that say they are wanted, perhaps of one thing only."""

    thing: int | None = None

    @property
    def index(self) -> tuple[str, frozenset[Any]] | None:
        """Return the thing."""
        return None if self.thing is None else ("thing", frozenset({self.thing}))

    def accepts(self, event: PublishedEvent) -> bool:
        """Accept what is wanted."""
        mine = self.thing is None or event.payload["thing"] == self.thing
        return mine and bool(event.payload["wanted"])


@row_type("Changed", "A change.")
class Changed(RowType):
    """What is told of a change, or of several."""

    seq: str = column("Place.")
    thing: int = column("What changed.")
    before: int = column("Its value before.")
    value: int = column("Its value after.")
    coalesced: int = column("Number of changes.")
    secret: int | None = column("For some.", requires="secrets.read")


@row_type("State", "A state.")
class State(RowType):
    """What is."""

    seq: str = column("Place.")
    reason: SnapshotReason = column("Why.")
    values: list[int] = column("Value of each thing.")
    secret: int | None = column("For some.", requires="secrets.read")


def tell(told: Told, interest: Wanted) -> RowType:
    """Tell a change."""
    del interest
    before, after = told.first.payload, told.last.payload
    row = {
        "seq": str(told.last.seq),
        "thing": after["thing"],
        "before": before["before"],
        "value": after["value"],
        "coalesced": told.number,
        "secret": after["value"],
    }
    made: RowType = Changed.of(row)
    return made


def is_undone(told: Told) -> bool:
    """Tell whether several changes left all as it was."""
    return told.number > 1 and told.first.payload["before"] == told.last.payload["value"]


async def state(interest: Wanted, place: str, reason: SnapshotReason, context: Context) -> RowType:
    """Tell the state, which takes a while."""
    del interest
    world = cast("World", context.log)
    values = list(world.at)
    await asyncio.sleep(0)
    world.happens()
    made: RowType = State.of({"seq": place, "reason": reason, "values": values, "secret": 7})
    return made


async def each(
    interest: Wanted, place: str, reason: SnapshotReason, context: Context
) -> list[RowType]:
    """Tell the state as a list: the value of each thing."""
    whole = await state(interest, place, reason, context)
    return [
        Changed.of(
            {
                "seq": place,
                "thing": thing,
                "before": value,
                "value": value,
                "coalesced": 0,
                "secret": value,
            }
        )
        for thing, value in enumerate(whole.row["values"])
    ]


Item = Annotated[
    Changed | State | StreamNotice, strawberry.union("Item", description="What is told.")
]


@strawberry.type
class Query:
    """Nothing to read."""

    nothing: int = 0


@strawberry.type
class Subscription:
    """A stream of items of all kinds, and one of changes alone."""

    @stream("Items.", item=Item, snapshot=True, notices=True)
    def items(context: Context, thing: int | None = None) -> Stream:  # noqa: N805 - no instance
        """Tell items."""
        del context
        return Stream(
            topics=("stock",),
            interest=Wanted(thing),
            tell=tell,
            key=lambda event: event.payload["thing"],
            snapshot=state,
            notice=StreamNotice.of,
        )

    @stream("Things.", item=list[Changed], snapshot=True)
    def things(context: Context) -> Stream:  # noqa: N805 - no instance
        """Tell lists of things, of a state each as if it had changed."""
        del context
        return Stream(
            topics=("stock",),
            interest=Wanted(),
            tell=lambda told, interest: [tell(told, interest)],
            key=lambda event: event.payload["thing"],
            snapshot=each,
        )

    @stream("Changes.", item=Changed)
    def changes(context: Context, thing: int | None = None) -> Stream:  # noqa: N805 - no instance
        """Tell changes."""
        del context
        return Stream(
            topics=("stock",),
            interest=Wanted(thing),
            tell=tell,
            key=lambda event: event.payload["thing"],
        )

    @stream("Lasting.", item=Item, shown_by={"values": ("stock", None)})
    def lasting(context: Context) -> Stream:  # noqa: N805 - no instance
        """Tell changes that last, and a state that shows nothing unless its values are selected."""
        del context
        return Stream(
            topics=("stock",),
            interest=Wanted(),
            tell=tell,
            key=lambda event: event.payload["thing"],
            is_undone=is_undone,
            snapshot=state,
        )

    @stream("Latest.", item=Changed, coalesces=False, resumes=False)
    def latest(context: Context) -> Stream:  # noqa: N805 - no instance
        """Tell the latest of all, first what is, and not too often."""
        del context

        async def begin(*_: Any) -> RowType:
            row = dict.fromkeys(("thing", "before", "value", "coalesced", "secret"), 0)
            made: RowType = Changed.of({"seq": "0", **row})
            return made

        return Stream(
            topics=("stock",),
            interest=Wanted(),
            tell=tell,
            key=lambda _: "all",
            snapshot=begin,
            begins=True,
            distinct=True,
            coalesce_seconds=SELDOM,
        )

    @stream(
        "Both.",
        item=Item,
        snapshot=True,
        shown_by={"values": ("stock", None), "secret": ("stock", "secrets.read")},
    )
    def both(context: Context) -> Stream:  # noqa: N805 - no instance
        """Tell changes of two topics, and a state that shows one of them."""
        del context
        return Stream(topics=("stock", "orders"), interest=Wanted(), tell=tell, snapshot=state)


SCHEMA = strawberry.Schema(
    query=Query, subscription=Subscription, types=[StreamNotice], config=schema_config()
)
CHANGES = """
subscription Changes($thing: Int, $after: String, $ms: Int, $slow: SlowPolicy! = REPLAY) {
  changes(thing: $thing, after: $after, coalesceMs: $ms, whenSlow: $slow) {
    seq thing before value coalesced
  }
}
"""
ITEMS = """
subscription Items(
  $after: String, $state: Boolean! = true, $slow: SlowPolicy! = REPLAY, $caughtUp: Boolean! = false
) {
  items(after: $after, snapshot: $state, whenSlow: $slow, caughtUp: $caughtUp) {
    ... on Changed { seq thing before value coalesced }
    ... on State { seq reason values }
    ... on StreamNotice { seq code dropped replayed lastSeq }
  }
}
"""


LASTING = """
subscription Lasting($after: String, $ms: Int, $slow: SlowPolicy! = REPLAY) {
  lasting(after: $after, coalesceMs: $ms, whenSlow: $slow) {
    ... on Changed { seq thing before value coalesced }
    ... on State { seq reason }
  }
}
"""
BOTH = """
subscription Both {
  both(snapshot: true) { ... on Changed { seq } ... on State { seq reason } }
}
"""
THINGS = """
subscription Things($after: String, $state: Boolean! = true) {
  things(after: $after, snapshot: $state) { seq thing before value coalesced }
}
"""


class World:
    """A log, what it tells of, and one process that hears of it later."""

    reference = None
    scope = RowScope(STAFF_ROLE, 1)

    def __init__(self, *, events: int = 0, seed: int = 0, queue: int = 1_000) -> None:
        self.dice = random.Random(seed)
        self.at = [0, 0, 0]
        self.unpublished: list[PublishedEvent] = []
        self.events: list[PublishedEvent] = []
        self.written = 0
        self.oldest = 1
        self.values: int | None = None
        """How many values things have; each event has its own without it."""
        self.busy = 0.0
        """How likely something happens whenever somebody looks."""
        self.lingering = 0.0
        """How likely what is written is committed later, and what was written after it before."""
        self.open: list[PublishedEvent] = []
        self.executor = Executor(SCHEMA, Limits())
        self.executor.live.queue = queue
        self.broker = Broker()
        self.broker.begin(0)
        self.broker.busy = self.executor.live.busy
        self.publish(events)

    @property
    def live(self) -> Live:
        """The live streams."""
        return self.executor.live

    # What happens

    def write(self) -> None:
        """Change something, and write an event that has no place yet."""
        thing, wanted = self.dice.randrange(3), self.dice.random() < 0.8
        for event in [one for one in self.open if one.entity_id == thing]:  # it is locked
            self.open.remove(event)
            self.commit(event)
        self.written += 1
        mine = self.dice.random() < 0.8
        value = self.written if self.values is None else self.dice.randrange(self.values)
        event = PublishedEvent(
            seq=0,
            written_seq=self.written,
            event_id=str(self.written),
            company_id=1 if mine else 2,
            topic="stock" if self.dice.random() < 0.9 else "orders",
            entity="Thing",
            entity_id=thing,
            payload={
                "thing": thing,
                "wanted": wanted,
                "before": self.at[thing],
                "value": value,
            },
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        if self.lingering and self.dice.random() < self.lingering:
            self.open.append(event)
        else:
            self.commit(event)

    def commit(self, event: PublishedEvent) -> None:
        """Let others see an event and what it changed."""
        thing = event.payload["thing"]
        event = replace(event, payload={**event.payload, "before": self.at[thing]})
        self.unpublished.append(event)
        if accepts(event):
            self.at[thing] = event.payload["value"]

    def relay(self) -> None:
        """Give all events their places as written; this process has not heard of it."""
        for event in sorted(self.unpublished, key=lambda one: one.written_seq):
            self.events.append(replace(event, seq=len(self.events) + 1))
        self.unpublished.clear()

    def relay_some(self) -> None:
        """Give the first of them their places."""
        ordered = sorted(self.unpublished, key=lambda one: one.written_seq)
        self.unpublished, rest = ordered[:3], ordered[3:]
        self.relay()
        self.unpublished = rest

    def hear(self) -> None:
        """Hand over all that this process has not heard of."""
        for event in self.events[self.broker.position :]:
            self.broker.publish(event)

    def publish(self, number: int = 1) -> None:
        """Write events, give them their places, and hand them over."""
        for _ in range(number):
            self.write()
        self.relay()
        self.hear()

    def happens(self) -> None:
        """Let a few things happen, or none."""
        while self.dice.random() < self.busy:
            self.dice.choice((self.write, self.relay, self.publish))()

    def close_one(self) -> None:
        """Commit one of the things that linger, if any does."""
        if self.open:
            self.commit(self.open.pop(self.dice.randrange(len(self.open))))

    # What is read of it

    async def read(
        self,
        *,
        company_id: int,
        topics: Sequence[str],
        after: int,
        until: int,
        index: Index | None = None,
    ) -> LogPage:
        """Answer as the log does, while things happen before and after."""
        self.happens()
        found = [
            event
            for event in self.events
            if after < event.seq <= until
            and event.company_id == company_id
            and event.topic in topics
            and (index is None or event.payload.get(index[0]) in index[1])
        ]
        kept = [event for event in found if event.seq >= self.oldest]
        last = len(self.events)
        await asyncio.sleep(0)
        self.happens()
        return LogPage(self.oldest, last, kept[:PAGE], kept[PAGE].seq - 1 if kept[PAGE:] else until)

    @asynccontextmanager
    async def at_once(self) -> AsyncIterator[None]:
        """Open a block; what is read in it is read without a break."""
        self.happens()
        await asyncio.sleep(0)
        yield
        self.happens()

    async def fetch(
        self, statement: Statement, parameters: Mapping[str, Any]
    ) -> Sequence[Sequence[Any]]:
        """Answer how far the log is."""
        del statement
        mine = [
            event.written_seq
            for event in self.unpublished
            if event.company_id == 1 and event.topic in parameters["topics"]
        ]
        return [[len(self.events), self.written, mine]]

    # Who listens

    def contexts(self, *permissions: str) -> Any:
        """Return what opens contexts of a caller."""
        access = CompanyAccess(1, "ACME", frozenset(permissions))
        caller = Principal("user", "user:7", "Ann", access, (access,), "token")

        @asynccontextmanager
        async def opened() -> AsyncIterator[Context]:
            yield Context(
                principal=caller,
                request_id="r",
                clock=system_clock,
                reads=self,
                writes=cast("Any", None),
                broker=self.broker,
                log=self,
                wake_relay=lambda: None,
                stats=OperationStats(),
            )

        return opened

    def subscriber(
        self, text: str, *permissions: str, over: str | None = "WEBSOCKET", **variables: Any
    ) -> Subscriber:
        """Subscribe."""
        request = GraphQLRequest(text, None, variables)
        prepared = self.executor.prepare(request, known_caller=True)
        return self.executor.subscribe(prepared, self.contexts(*permissions), transport=over)

    async def follow(self, text: str, **variables: Any) -> list[dict[str, Any]]:
        """Subscribe, and return everything that is told until the broker is closed."""
        told: list[dict[str, Any]] = []
        async for answer in hearing(self.subscriber(text, **variables)):
            assert not answer.errors, answer.errors
            assert answer.data is not None
            told += answer.data.values()
        return told

    def wanted(self, after: int = 0, *, thing: int | None = None) -> list[int]:
        """Return the places of what there is to tell."""
        return [
            event.seq
            for event in self.events
            if event.seq > after and accepts(event) and thing in (None, event.payload["thing"])
        ]

    async def settle(self, turns: int = 60) -> None:
        """Give everybody a few turns."""
        for _ in range(turns):
            await asyncio.sleep(0)


def accepts(event: PublishedEvent) -> bool:
    """Tell whether the subscribers of these tests want an event."""
    return (event.company_id, event.topic) == (1, "stock") and bool(event.payload["wanted"])


def seqs(told: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the places of what was told."""
    return [int(one["seq"]) for one in told]


def one(answer: Heard) -> dict[str, Any]:
    """Return the one thing that an answer tells."""
    assert not answer.errors, answer.errors
    assert answer.data is not None
    [told] = answer.data.values()
    return cast("dict[str, Any]", told)


def applied(told: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the state after what was told, of which the first is a state."""
    values: list[int] = []
    for item in told:
        if "values" in item:
            values = list(item["values"])
        else:
            assert item["before"] == values[item["thing"]], "a change that fits to the state"
            values[item["thing"]] = item["value"]
    return values


async def turns_of(world: World, turns: int = 30) -> None:
    """Let things happen for a while, then tell all of it and stop."""
    for _ in range(turns):
        await asyncio.sleep(0)
        world.publish(world.dice.randrange(4))
    world.busy = 0
    await world.settle()
    world.publish()
    await world.settle()
    world.broker.close()


# -- each change once


@pytest.mark.parametrize("seed", range(40))
async def test_log_and_feed_are_joined_exactly(seed: int) -> None:
    """Whatever is published while the log is read, nothing is told twice or not at all."""
    world = World(events=40, seed=seed)
    world.live.queue = world.dice.choice((1, 3, 1_000))
    afters = [world.dice.randrange(41) for _ in range(3)]
    world.busy = world.dice.random() * 0.8
    readers = [asyncio.create_task(world.follow(CHANGES, after=str(after))) for after in afters]
    await turns_of(world)
    for after, reader in zip(afters, readers, strict=True):
        assert seqs(await asyncio.wait_for(reader, 5)) == world.wanted(after)
    assert (world.broker.listeners, world.live.groups, len(world.live.subscribers)) == (0, 0, 0)


@pytest.mark.parametrize("seed", range(40))
async def test_state_and_changes_fit_exactly(seed: int) -> None:
    """The state with the changes told after it is the state of later, and no change is told twice.

    Also of changes that were committed before the state was read and published after it.
    """
    world = World(events=20, seed=seed)
    world.busy = world.dice.random() * 0.8
    readers = [asyncio.create_task(world.follow(ITEMS)) for _ in range(2)]
    await asyncio.sleep(0)
    readers.append(asyncio.create_task(world.follow(ITEMS)))
    await turns_of(world)
    for reader in readers:
        told = await asyncio.wait_for(reader, 5)
        assert [item.get("reason") for item in told].count("STARTED") == 1
        assert told[0]["reason"] == "STARTED"
        assert applied(told) == world.at
        places = seqs(told[1:])
        assert places == sorted(set(places))


@pytest.mark.parametrize("seed", range(8))
async def test_a_state_that_is_a_list_and_changes_fit_exactly(seed: int) -> None:
    """At the start, and where the log is too short, one message has all things; then changes."""
    world = World(events=20, seed=seed)
    world.oldest = 11
    world.busy = world.dice.random() * 0.8
    readers = [
        asyncio.create_task(world.follow(THINGS, **given)) for given in ({}, {"after": "3"}, {})
    ]
    await turns_of(world)
    for reader in readers:
        told: list[Any] = await asyncio.wait_for(reader, 5)
        state, *after = told
        assert [(item["thing"], item["coalesced"]) for item in state] == [(0, 0), (1, 0), (2, 0)]
        changes = [change for [change] in after]
        assert applied([{"values": [item["value"] for item in state]}, *changes]) == world.at
        assert seqs(changes) == sorted(set(seqs(changes)))


@pytest.mark.parametrize("over", ["WEBSOCKET", None])
async def test_a_state_that_is_a_list_is_a_place_to_resume_after(over: str | None) -> None:
    """It is one message with one cursor, so a webhook is told it as well."""
    world = World(events=20)
    world.oldest = 11
    async with aclosing(world.subscriber(THINGS, over=over, after="3")) as reader:
        state = await anext(reader)
        world.publish(10)
        change = await anext(reader)
    assert state.cursor == "20"
    assert [item["thing"] for item in json.loads(state.body)["data"]["things"]] == [0, 1, 2]
    [again] = json.loads(change.body)["data"]["things"]
    assert again["seq"] == change.cursor == str(min(world.wanted(20)))


@pytest.mark.parametrize("over", ["WEBSOCKET", None])
async def test_what_was_missed_is_told_to_who_may_still_hear_it(over: str | None) -> None:
    """What was evaluated before its caller changed is evaluated again, or told no more."""
    world = World(events=30)

    def returning() -> Subscriber:
        return world.subscriber(CHANGES, over=over, after="0", ms=1)

    async with aclosing(hearing(returning())) as reader:
        wanted = [one(await anext(reader)) for _ in range(3)]
    assert world.live.evaluated == 3
    async with aclosing(hearing(member := returning())) as reader:
        told = [one(await anext(reader))]
        member.move(world.contexts())
        told += [one(answer := await anext(reader)) for _ in range(2)]
    assert told == wanted
    assert world.live.evaluated == 3 + 3 + 2
    assert answer.extensions.get("caughtUp") == (over and {"replayed": len(world.wanted())})
    async with aclosing(hearing(member := returning())) as reader:
        await anext(reader)
        member.stop(Forbidden("No more."))
        [error] = (await anext(reader)).errors
    assert error["extensions"]["code"] == "FORBIDDEN"


async def test_what_waits_is_told_to_who_may_still_hear_it() -> None:
    """It is evaluated again for the caller that it is now, in whole and once."""
    world = World(seed=1)
    async with aclosing(hearing(member := world.subscriber(CHANGES))) as reader:
        first = asyncio.ensure_future(anext(reader))
        await world.settle()
        world.publish(20)
        told = [one(await first)]
        await world.settle()
        evaluated = world.live.evaluated
        assert evaluated == len(world.wanted())
        member.move(world.contexts())
        told += [one(await anext(reader)) for _ in world.wanted()[1:]]
    assert seqs(told) == world.wanted()
    assert world.live.evaluated == 2 * evaluated - 1


async def test_who_missed_nothing_is_live_at_once() -> None:
    """At the head of the log nothing is read."""
    world = World(events=5)
    world.read = None  # type: ignore[assignment,method-assign]
    reader = asyncio.create_task(world.follow(CHANGES, after="5"))
    await world.settle(10)
    world.publish(10)
    world.broker.close()
    assert seqs(await reader) == world.wanted(5)


async def test_a_cursor_ahead_of_this_process_is_waited_for() -> None:
    """Another process told more than this one has heard of: it is not told again here."""
    world = World(events=5)
    for _ in range(5):
        world.write()
    world.relay()
    reader = asyncio.create_task(world.follow(CHANGES, after="8"))
    await world.settle()
    world.publish(10)
    await world.settle()
    world.broker.close()
    assert seqs(await reader) == world.wanted(8)


async def test_a_batch_that_ends_ahead_of_this_process_is_waited_for() -> None:
    """What it tells is not gathered here once more."""
    world = World(events=10, seed=1)
    for _ in range(10):
        world.write()
    world.relay()
    reader = asyncio.create_task(world.follow(CHANGES, after="1.0.20", ms=60_000))
    await world.settle()
    assert not world.broker.listeners
    world.publish(10)
    while not world.broker.listeners:  # noqa: ASYNC110 - a broker tells nobody
        await asyncio.sleep(0)
    await world.settle(300)
    world.broker.close()
    assert sum(change["coalesced"] for change in await reader) == len(world.wanted())


@pytest.mark.parametrize("value", [0, 2])
async def test_a_process_far_behind_gathers_nothing_that_was_told(
    value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one with what follows it would be counted twice, or undone, and that not told at all."""
    monkeypatch.setattr("schema.core.live.subscriber._AHEAD_TRIES", 2)
    world = World(events=20)
    last = replace(world.events[-1], company_id=1, topic="stock", entity_id=0)

    def change(before: int, after: int) -> None:
        payload = {"thing": 0, "wanted": True, "before": before, "value": after}
        world.written += 1
        world.unpublished.append(replace(last, written_seq=world.written, payload=payload))
        world.relay()

    change(0, 1)
    reader = asyncio.create_task(world.follow(LASTING, after="21", ms=20))  # told it elsewhere
    await asyncio.sleep(0.1)
    change(1, value)
    world.hear()
    await asyncio.sleep(0.1)
    world.broker.close()
    [told] = await reader
    assert told == {"seq": "22", "thing": 0, "before": 1, "value": value, "coalesced": 1}


async def test_a_log_made_anew_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The places that another process told of are places of the log that was before."""
    monkeypatch.setattr("schema.core.live.subscriber._AHEAD_TRIES", 2)
    world = World(events=9)
    world.write()
    world.relay()
    reader = hearing(world.subscriber(CHANGES, after="10", ms=1))
    answers = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0.05)
    assert not answers.done()
    world.events = world.events[:5]
    world.broker.begin(5)
    [error] = (await asyncio.wait_for(answers, 10)).errors
    assert error["extensions"]["details"] == {"last": "5"}


async def test_what_comes_of_a_batch_while_its_rest_is_read_is_told_once() -> None:
    """Its end is ahead of this process, which hears of it before the rest was told."""
    world = World(events=10)
    for _ in range(10):
        world.write()
    world.relay()
    reader = asyncio.create_task(world.follow(CHANGES, after="1.0.20"))
    while not world.broker.listeners:  # noqa: ASYNC110 - a broker tells nobody
        await asyncio.sleep(0)
    world.publish(10)
    await world.settle(300)
    world.broker.close()
    assert sum(change["coalesced"] for change in await reader) == len(world.wanted())


async def test_a_subscriber_waits_for_its_process_to_follow() -> None:
    """Before a process knows its place in the log, it cannot say what was missed."""
    world = World(events=3)
    broker, world.broker = world.broker, Broker()
    reader = asyncio.create_task(world.follow(CHANGES, after="1"))
    await asyncio.sleep(0.01)
    assert world.broker.listeners == 0
    world.broker.begin(broker.position)
    await world.settle()
    world.broker.close()
    assert seqs(await reader) == world.wanted(1)


async def test_a_log_made_anew_ends_what_it_cannot_go_on_with() -> None:
    """A subscriber of the old log is told, and not left waiting for places that come again."""
    world = World(events=20)
    reader = hearing(world.subscriber(CHANGES))
    first = asyncio.ensure_future(anext(reader))
    await world.settle(10)
    world.broker.begin(0)
    answer = await first
    assert [error["extensions"]["code"] for error in answer.errors] == ["SUBSCRIBER_LAGGED"]


@pytest.mark.parametrize("followed", [0, 4])
async def test_what_is_gone_before_it_was_offered_is_not_missed_in_silence(followed: int) -> None:
    """This process followed too late: who listens is told the state, and what comes after it."""
    world = World(seed=1)
    world.publish(followed)
    begun = {"after": "0"} if not followed else {"state": False}
    reader = asyncio.create_task(world.follow(ITEMS, **begun))
    await world.settle()
    for _ in range(20 - followed):
        world.write()
    world.relay()
    world.oldest = 11
    await world.settle()
    world.broker.pass_over(10)
    world.hear()
    await world.settle()
    await told_the_state_of(20, world, reader)


async def told_the_state_of(place: int, world: World, reader: asyncio.Task[list[Any]]) -> None:
    """Have more happen; who reads is told that it missed too much, the state, and what follows."""
    world.publish(10)
    await world.settle()
    world.broker.close()
    told = await reader
    assert (told[0]["reason"], told[0]["seq"]) == ("TOO_OLD", str(place))
    assert seqs(told[1:]) == world.wanted(place)
    assert applied(told) == world.at


# -- who breaks off after a state


async def broken_off(world: World, text: str, after: str | None, **given: Any) -> list[Heard]:
    """Return a few answers, while things happen, of one who breaks off after them."""
    reading = world.subscriber(text, after=after, **given)
    told: list[Heard] = []
    async with aclosing(hearing(reading)) as answers:
        for _ in range(world.dice.randrange(1, 4)):
            coming = asyncio.ensure_future(anext(answers))
            while not coming.done():
                await asyncio.sleep(0.0005 if given.get("ms") else 0)
                world.dice.choice((world.write, world.close_one, world.relay_some, world.hear))()
                if world.dice.random() < 0.1:
                    reading.move(world.contexts())
            answer = coming.result()
            assert not answer.errors, answer.errors
            assert answer.extensions["seq"] == answer.cursor
            told.append(answer)
    return told


@pytest.mark.parametrize("ms", [0, 1])
@pytest.mark.parametrize("seed", range(30))
async def test_who_breaks_off_after_a_state_is_told_nothing_that_it_shows(
    seed: int, ms: int
) -> None:
    """Wherever the connection breaks, and whenever what the state showed got its place.

    Each change begins where the one before it ended, which none does that the state shows.
    """
    world = World(events=20, seed=seed)
    world.oldest = 11
    world.lingering = world.dice.choice((0.0, 0.4))
    for _ in range(8):
        world.write()
    world.live.queue = world.dice.choice((1, 3, 1_000))
    selected = LASTING.replace("seq reason", "seq reason values")
    answers: list[Heard] = []
    while len(answers) < 12:
        after = answers[-1].cursor if answers else "3"
        slow = world.dice.choice(("REPLAY", "COALESCE"))
        answers += await broken_off(world, selected, after, ms=ms, slow=slow)
    while world.open:
        world.close_one()
    world.publish(3)
    last = answers[-1].cursor
    reader = asyncio.create_task(world.follow(selected, after=last, ms=ms))
    await world.settle()
    world.broker.close()
    told = [*map(one, answers), *await asyncio.wait_for(reader, 5)]
    assert told[0]["reason"] == "TOO_OLD"
    assert applied(told) == world.at


async def test_a_cursor_names_what_the_state_shows_until_that_has_its_place() -> None:
    """Also in what is told after the state, and in notices; after that it is a number again."""
    world = World(events=20, seed=4)
    payload = {"thing": 0, "wanted": True, "before": 0, "value": 0}

    def write(written: int, *, topic: str = "stock", **of: Any) -> None:
        last = world.events[-1]
        event = replace(last, company_id=1, topic=topic, written_seq=written, payload=payload)
        world.unpublished.append(replace(event, **of))

    world.written = 27
    for written in (21, 22, 23, 26):
        write(written)
    write(24, company_id=2)
    write(25, topic="orders")
    async with aclosing(hearing(world.subscriber(ITEMS, caughtUp=True))) as answers:
        state = await anext(answers)
    assert (one(state)["seq"], state.cursor) == ("20", "20~27.1.2-3")
    held, world.unpublished = world.unpublished, []
    write(27)  # it was open when the state was read
    world.relay()
    world.hear()
    async with aclosing(hearing(world.subscriber(ITEMS, after=state.cursor))) as answers:
        following = await anext(answers)
    assert (one(following)["seq"], following.cursor) == ("21", "21~27.1.2-3")
    assert following.extensions == {"seq": "21~27.1.2-3", "caughtUp": {"replayed": 1}}
    given: dict[str, Any] = {"after": following.cursor, "caughtUp": True}
    async with aclosing(hearing(world.subscriber(ITEMS, **given))) as answers:
        notice = await anext(answers)
        assert (one(notice)["seq"], one(notice)["lastSeq"]) == ("21", notice.cursor)
        coming = asyncio.ensure_future(anext(answers))
        await world.settle()
        world.unpublished = held
        write(28)
        world.relay()
        world.hear()
        told = await coming
    assert (one(told)["seq"], told.cursor) == ("28", "28")


@pytest.mark.parametrize(
    ("things", "cursors"),
    [
        # told within a batch that what is shown is in
        ([0, 2, 1, 0, 2], ["23.20.25~27.5", "24", "25"]),
        # told before one that begins after what is shown
        ([3, 2, 0, 1, 2, 1, 2], ["21~27.5", "23", "26.24.27", "27"]),
    ],
)
async def test_what_is_shown_is_not_gathered_by_who_resumes(
    things: list[int], cursors: list[str]
) -> None:
    """Wherever that is, the rest is told as it would have been; the second of all is shown."""
    world = World(events=20)
    for number, thing in enumerate(things):
        payload = {"thing": thing, "wanted": True, "before": number, "value": number + 1}
        last = replace(world.events[-1], company_id=1, topic="stock", payload=payload)
        written = number + (21 if number < 2 else 26)  # the others after the state
        world.unpublished.append(replace(last, written_seq=written))
    world.relay()
    world.hear()
    answers: list[Heard] = []
    whole: list[dict[str, Any]] = []
    for after in ("20~27.5", *cursors[:-1]):
        async with aclosing(hearing(world.subscriber(LASTING, after=after, ms=1))) as reader:
            rest = [await anext(reader) for _ in cursors[len(answers) :]]
        answers.append(rest[0])
        assert [answer.cursor for answer in rest] == cursors[len(answers) - 1 :]
        whole = whole or list(map(one, rest))
        assert list(map(one, rest)) == whole[len(answers) - 1 :]
    assert sum(change["coalesced"] for change in whole) == len(things) - 1


async def test_what_passes_by_is_passed_with_what_the_state_showed() -> None:
    """A webhook that nothing concerns moves on in the log, and is still not told what is shown."""
    world = World(events=20)
    world.write()
    reading = world.subscriber(ITEMS, over=None)
    assert reading.place is None
    async with aclosing(hearing(reading)) as answers:
        state = await anext(answers)
        assert state.cursor == "20~21.0"
        coming = asyncio.ensure_future(anext(answers))
        held, world.unpublished = world.unpublished, []
        nobody = replace(world.events[-1], company_id=2, written_seq=20)
        for number, written in enumerate((20, 21, 22)):  # the first was open when it was read
            await world.settle()
            assert reading.place is not None
            assert reading.place.text == f"{20 + number}~21.0"
            world.unpublished += held if written == 21 else [replace(nobody, written_seq=written)]
            world.relay()
            world.hear()
        await world.settle()
        assert reading.place == Place(23)
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


async def test_a_state_with_more_than_a_cursor_names_is_read_once_they_have_places() -> None:
    """Until then nothing is told; if that takes too long, it ends with an error."""
    world = World(events=20)
    impatient = Executor(SCHEMA, Limits(seconds=0.2))
    last = world.events[-1]
    for number in range(21, 21 + 2 * 1_000, 2):
        world.unpublished.append(replace(last, company_id=1, topic="stock", written_seq=number))
    world.written = 3_000
    reader = hearing(world.subscriber(ITEMS))
    coming = asyncio.ensure_future(anext(reader))
    async with aclosing(hearing(world.subscriber("subscription { latest { seq } }"))) as latest:
        assert one(await anext(latest))["seq"] == "0", "it has no cursor, and waits for nothing"
    world.executor = impatient
    [answer] = [answer async for answer in hearing(world.subscriber(ITEMS))]
    [error] = answer.errors
    assert error["extensions"]["code"] == "OVERLOADED"
    assert "wait for their place in the log" in error["message"]
    assert not coming.done()
    world.relay()
    state = await asyncio.wait_for(coming, 5)
    assert state.cursor == "1020"
    await reader.aclose()


# -- too old, and what was never given


async def test_a_stream_without_a_state_ends_where_too_much_is_gone() -> None:
    """One event too few is too old; the oldest that is kept may be the next."""
    world = World(events=20)
    world.oldest = 11
    [answer] = [answer async for answer in hearing(world.subscriber(CHANGES, after="9"))]
    [error] = answer.errors
    assert error["extensions"]["code"] == "SUBSCRIBER_LAGGED"
    assert error["extensions"]["details"] == {"oldest": "11", "last": "20"}
    reader = asyncio.create_task(world.follow(CHANGES, after="10"))
    await world.settle()
    world.broker.close()
    assert seqs(await reader) == world.wanted(10)


async def test_a_stream_with_a_state_tells_it_where_too_much_is_gone() -> None:
    """One message has the state and the cursor to go on from; the changes after it follow."""
    world = World(events=20)
    world.oldest = 11
    reader = asyncio.create_task(world.follow(ITEMS, after="9"))
    await world.settle()
    await told_the_state_of(20, world, reader)


async def resumed_too_late(world: World, *documents: str) -> list[list[dict[str, Any]]]:
    """Return what each is told that resumes before what is kept, while changes are published."""
    world.oldest = 11
    world.busy = 0.8
    readers = [asyncio.create_task(world.follow(text, after="9")) for text in documents]
    await world.settle()
    world.busy = 0.0
    world.publish(10)
    await world.settle()
    world.broker.close()
    told = await asyncio.gather(*readers)
    assert all(first["reason"] == "TOO_OLD" for first, *_ in told)
    return told


@pytest.mark.parametrize("seed", range(6))
async def test_what_happens_while_the_state_is_read_anew_is_told_once(seed: int) -> None:
    """What was published since the log was found too short is in the state, or follows it."""
    world = World(events=20, seed=seed)
    [told] = await resumed_too_late(world, ITEMS)
    assert seqs(told[1:]) == sorted(set(seqs(told[1:])))
    assert applied(told) == world.at


@pytest.mark.parametrize("seed", range(6))
async def test_a_state_that_shows_nothing_is_followed_by_all_that_is_published(seed: int) -> None:
    """Also by what was written before it was read, and had no place yet; unless it is shown."""
    world = World(events=20, seed=seed)
    showing = LASTING.replace("seq reason", "seq reason values")
    shown, told = await resumed_too_late(world, showing, LASTING)
    assert seqs(told[1:]) == world.wanted(int(told[0]["seq"]))
    assert applied(shown) == world.at


@pytest.mark.parametrize(
    ("selected", "shows"),
    [("values", True), ("reason", False), ("values @skip(if: true)", False), ("secret", False)],
)
async def test_of_what_the_state_does_not_show_everything_is_told(
    selected: str, *, shows: bool
) -> None:
    """It shows the topics whose fields are selected; what is of others and has no place follows."""
    world = World(events=20)
    payload = {"thing": 0, "wanted": True, "before": 1, "value": 2}
    for topic in ("stock", "orders", "stock"):
        world.written += 1
        event = replace(world.events[-1], company_id=1, topic=topic, payload=payload)
        world.unpublished.append(replace(event, written_seq=world.written))

    async def read() -> list[dict[str, Any]]:
        # a field that is masked is told with an error
        stream = hearing(world.subscriber(BOTH.replace("reason", selected)))
        return [(answer.data or {})["both"] async for answer in stream]

    reader = asyncio.create_task(read())
    await world.settle()
    world.relay()
    world.hear()
    await world.settle()
    world.broker.close()
    state, *changes = await asyncio.wait_for(reader, 5)
    assert seqs([state]) == [20]
    assert seqs(changes) == ([22] if shows else [21, 22, 23])


async def test_what_the_state_shows_is_not_undone_with_what_it_does_not() -> None:
    """Gathered together both leave all as it was, but not for who has the state of in between."""
    world = World(events=20)
    world.oldest = 11
    was = world.at[0]

    def set_to(value: int) -> None:
        payload = {"thing": 0, "wanted": True, "before": world.at[0], "value": value}
        last = replace(world.events[-1], company_id=1, topic="stock", payload=payload)
        world.written += 1
        world.unpublished.append(replace(last, written_seq=world.written))
        world.at[0] = value

    set_to(900)
    selected = LASTING.replace("seq reason", "seq reason values")
    reader = asyncio.create_task(world.follow(selected, after="9", ms=5))
    await world.settle()
    set_to(was)
    world.relay()
    world.hear()
    await world.settle()
    world.broker.close()
    state, *changes = await asyncio.wait_for(reader, 5)
    assert state["values"][0] == 900
    assert applied([state, *changes]) == world.at


async def test_a_cursor_of_the_future_is_refused() -> None:
    """No event ever had that place: the cursor is of another log."""
    world = World(events=5)
    [answer] = [answer async for answer in hearing(world.subscriber(CHANGES, after="6"))]
    [error] = answer.errors
    assert error["extensions"]["code"] == "VALIDATION"
    assert error["extensions"]["details"] == {"last": "5"}


# -- one evaluation for all who ask the same


async def test_all_who_ask_the_same_share_one_evaluation() -> None:
    """A hundred subscribers, one group, and each change evaluated and encoded once."""
    world = World()
    members = [world.subscriber(CHANGES) for _ in range(100)]
    bodies: list[list[bytes]] = [[] for _ in members]
    readers = [
        asyncio.create_task(read(member, into))
        for member, into in zip(members, bodies, strict=True)
    ]
    await world.settle()
    assert (world.live.groups, world.broker.listeners) == (1, 1)
    for _ in range(5):
        world.publish(3)
        await world.settle(4)
    world.broker.close()
    await asyncio.gather(*readers)
    places = world.wanted()
    assert [len(told) for told in bodies] == [len(places)] * 100
    assert world.live.evaluated == len(places)
    assert len({id(body) for told in bodies for body in told}) == len(places), "the same bytes"


async def read(member: Subscriber, into: list[bytes]) -> None:
    """Read what a subscriber is told."""
    async with aclosing(member):
        into.extend([delivery.body async for delivery in member])


async def test_filters_do_not_part_a_group() -> None:
    """What only decides which changes are told shares evaluation; each is told its own."""
    world = World()
    things = (0, 1, 2, None)
    readers = [asyncio.create_task(world.follow(CHANGES, thing=thing)) for thing in things]
    await world.settle()
    assert (world.live.groups, world.broker.listeners) == (1, 4)
    world.publish(40)
    await world.settle()
    world.broker.close()
    for thing, reader in zip(things, readers, strict=True):
        assert seqs(await reader) == world.wanted(thing=thing)
    assert world.live.evaluated == len(world.wanted())


async def test_permissions_part_a_group() -> None:
    """Who may see more is told more, and nobody what another may see."""
    world = World()
    text = "subscription { changes { seq secret } }"
    may, may_not = world.subscriber(text, "secrets.read"), world.subscriber(text)
    answers = [hearing(may), hearing(may_not)]
    first = [asyncio.ensure_future(anext(answer)) for answer in answers]
    await world.settle()
    assert world.live.groups == 2
    while not world.wanted():
        world.publish()
    seen, masked = await asyncio.gather(*first)
    assert one(seen)["secret"] is not None
    assert masked.data == {"changes": {"seq": str(world.wanted()[0]), "secret": None}}
    assert [error["extensions"]["code"] for error in masked.errors] == ["FORBIDDEN"]
    for answer in answers:
        await answer.aclose()


async def test_variables_of_the_selection_part_a_group() -> None:
    """What decides about the fields decides about the group."""
    world = World()
    text = "subscription ($more: Boolean!) { changes { seq value @include(if: $more) } }"
    members = [hearing(world.subscriber(text, more=more)) for more in (True, False, True)]
    first = [asyncio.ensure_future(anext(member)) for member in members]
    await world.settle()
    assert world.live.groups == 2
    while not world.wanted():
        world.publish()
    assert ["value" in one(await answer) for answer in first] == [True, False, True]
    for member in members:
        await member.aclose()


# -- going on as another


async def test_one_who_moves_misses_nothing() -> None:
    """With other permissions it goes on in another group, after what it was told."""
    world = World()
    member = world.subscriber("subscription { changes { seq secret } }")
    answers = hearing(member)
    told = []
    for number in range(12):
        following = asyncio.ensure_future(anext(answers))
        await world.settle(20)
        before = len(world.wanted())
        while len(world.wanted()) == before:
            world.publish()
        if number in (3, 7):
            permissions = ("secrets.read",) if number == 3 else ()
            member.move(world.contexts(*permissions))
        answer = await asyncio.wait_for(following, 5)
        assert answer.data is not None
        told.append((int(answer.data["changes"]["seq"]), bool(answer.errors)))
    await answers.aclose()
    assert [seq for seq, _ in told] == world.wanted()
    assert [denied for _, denied in told][:3] == [True] * 3
    assert [denied for _, denied in told][4:7] == [False] * 3
    assert [denied for _, denied in told][8:] == [True] * 4


async def test_one_who_moves_while_it_reads_the_log_misses_nothing() -> None:
    """What is published meanwhile comes after what is still to be read."""
    world = World(events=30)
    member = world.subscriber('subscription { changes(after: "0") { seq secret } }')
    answers = hearing(member)
    told = [await anext(answers)]
    world.publish(10)
    await world.settle()
    member.move(world.contexts("secrets.read"))
    while len(told) < len(world.wanted()):
        told.append(await asyncio.wait_for(anext(answers), 5))
    await answers.aclose()
    assert [int(answer.data["changes"]["seq"]) for answer in told if answer.data] == world.wanted()


async def test_one_whom_nothing_concerned_for_long_can_move() -> None:
    """That the log has nothing any more of when it was last told is no gap."""
    world = World(events=5)
    member = world.subscriber("subscription { changes(thing: 7) { seq } }")
    answers = hearing(member)
    following = asyncio.ensure_future(anext(answers))
    await world.settle()
    world.publish(40)
    world.oldest = 30
    member.move(world.contexts("secrets.read"))
    await world.settle()
    assert member.is_live
    assert not following.done()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


# -- pushing


async def test_a_push_that_fails_concerns_one_alone() -> None:
    """The others are told, and it is told by its iterator."""
    world = World()
    broken = world.subscriber(CHANGES)

    def push(delivery: Delivery) -> bool:
        raise RuntimeError(f"closed before {delivery.seq}")

    broken.push = push
    mine = asyncio.ensure_future(anext(hearing(broken)))
    reader = asyncio.create_task(world.follow(CHANGES))
    await world.settle()
    world.publish(20)
    await world.settle()
    assert one(await asyncio.wait_for(mine, 5))["seq"] == str(world.wanted()[0])
    await broken.aclose()
    world.broker.close()
    assert seqs(await reader) == world.wanted()


async def test_what_can_be_pushed_is() -> None:
    """A transport that takes answers at once never wakes its consumer, until it has to wait."""
    world = World()
    member = world.subscriber(CHANGES)
    pushed: list[int] = []
    open_ = True

    def push(delivery: Delivery) -> bool:
        if open_:
            pushed.append(delivery.seq)
        return open_

    member.push = push
    following = asyncio.ensure_future(anext(member))
    await world.settle()
    world.publish(20)
    await world.settle()
    assert pushed == world.wanted()
    assert not following.done()
    open_ = False
    world.publish(20)
    await world.settle()
    open_ = True
    world.publish(20)
    await world.settle()
    told = [*pushed, (await following).seq]
    while len(told) < len(world.wanted()):
        told.append((await anext(member)).seq)
    assert told == world.wanted(), "what waits is told first"
    following = asyncio.ensure_future(anext(member))
    await world.settle()
    world.publish(20)
    await world.settle()
    assert [*told, *pushed[len([seq for seq in pushed if seq <= told[-1]]) :]] == world.wanted()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await member.aclose()


# -- a database that is away


async def test_changes_wait_for_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is away one of them asks, not each; when it is back all are told, once."""
    monkeypatch.setattr(group, "_RETRY_SECONDS", (0.001, 0.01))
    world, asked = World(), 0
    answer = Executor._answer

    async def away(self: Executor, *given: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked > 5:
            return await answer(self, *given)
        return self._failed(Overloaded("The database is busy."), None)

    monkeypatch.setattr(Executor, "_answer", away)
    reader = asyncio.create_task(world.follow(CHANGES))
    await world.settle()
    world.publish(60)
    while asked < 5 + len(world.wanted()):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.001)
    await world.settle()
    world.broker.close()
    assert seqs(await reader) == world.wanted()
    assert asked == 5 + len(world.wanted())


# -- too slow


async def test_one_who_fell_behind_goes_on_from_the_log() -> None:
    """More than its queue holds is published while it reads one; it gets all of it, later."""
    world = World(events=5, queue=2)
    async with aclosing(hearing(world.subscriber(CHANGES, after="0"))) as answers:
        told = [one(await anext(answers))]
        world.publish(200)
        await world.settle(300)
        assert world.live.lagged == 1
        assert world.broker.listeners == 0, "nothing is kept for it"
        told += [one(await anext(answers)) for _ in world.wanted()[1:]]
    assert seqs(told) == world.wanted()


async def test_one_who_fell_behind_can_have_the_latest_of_each() -> None:
    """Of each thing one change, from before the first to after the last, with their number."""
    world = World(queue=2)
    async with aclosing(hearing(world.subscriber(ITEMS, slow="COALESCE"))) as answers:
        told = [one(await anext(answers))]
        following = asyncio.ensure_future(anext(answers))
        await world.settle()
        while not world.wanted():
            world.publish()
        told.append(one(await following))
        world.publish(200)
        await world.settle(300)
        while int(told[-1]["seq"]) < world.wanted()[-1]:
            told.append(one(await anext(answers)))
    changes = told[1:]
    assert applied(told) == world.at
    assert len(changes) <= 1 + 3
    assert sum(change["coalesced"] for change in changes) == len(world.wanted())


async def test_one_who_fell_behind_can_be_told_what_was_dropped() -> None:
    """What waits is told, then how much was dropped, then what happens."""
    world = World(queue=4)
    async with aclosing(hearing(world.subscriber(ITEMS, state=False, slow="DROP"))) as answers:
        following = asyncio.ensure_future(anext(answers))
        await world.settle()
        world.publish(100)
        await world.settle(300)
        told = [one(await following)]
        while "code" not in told[-1]:
            told.append(one(await anext(answers)))
        assert len(told) == 1 + world.live.queue
        gone = world.wanted()
        notice = told[-1]
        assert seqs(told[:-1]) == gone[: len(told) - 1]
        assert notice["code"] == "DROPPED"
        assert notice["dropped"] == len(gone) - (len(told) - 1)
        assert notice["seq"] == notice["lastSeq"] == str(gone[-1])
        following = asyncio.ensure_future(anext(answers))
        await world.settle()
        world.publish(10)
        assert seqs([one(await following)]) == world.wanted(gone[-1])[:1]


async def test_what_was_dropped_says_what_the_state_showed() -> None:
    """Of what the notice stands for nothing got its place after all that the state showed."""
    world = World(events=20, queue=1)
    wanted = next(event for event in world.events if accepts(event))
    shown, *later = (replace(wanted, written_seq=written) for written in (23, 21, 22))
    world.unpublished.append(shown)
    world.written = 23
    async with aclosing(hearing(world.subscriber(ITEMS, slow="DROP"))) as answers:
        assert (await anext(answers)).cursor == "20~23.0"
        coming = asyncio.ensure_future(anext(answers))
        await world.settle()
        world.unpublished += later  # they were open when the state was read
        world.relay()
        world.hear()
        assert (await coming).cursor == "21~23.0"
        notice = await anext(answers)
    assert (one(notice)["code"], one(notice)["dropped"]) == ("DROPPED", 1)
    assert (one(notice)["lastSeq"], notice.cursor) == ("22~23.0", "22~23.0")


async def test_who_comes_while_all_fall_behind_hears_of_what_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was gathered is one too many to wait: its feed ends with those who leave it."""
    monkeypatch.setattr(group, "_MOST_PENDING", 3)
    world, evaluate, free = World(), Executor.answers, asyncio.Event()

    async def slowly(self: Executor, *given: Any) -> Any:
        await free.wait()
        return await evaluate(self, *given)

    monkeypatch.setattr(Executor, "answers", slowly)
    gathered = asyncio.create_task(world.follow(CHANGES, ms=60_000))
    at_once = asyncio.create_task(world.follow(CHANGES))
    await world.settle()
    [of_all] = world.live._groups.values()
    while not of_all.pending:
        world.publish()
    await world.settle()
    while of_all.pending < 3:
        world.publish()
    before = world.broker.position
    came = asyncio.create_task(world.follow(CHANGES, ms=60_000))
    await world.settle()
    free.set()
    await world.settle(300)
    world.publish(10)
    await world.settle(300)
    world.broker.close()
    _, all_, new = await asyncio.wait_for(asyncio.gather(gathered, at_once, came), 5)
    assert seqs(all_) == world.wanted()
    assert sum(change["coalesced"] for change in new) == len(world.wanted(before))


@pytest.mark.parametrize(
    ("text", "policy"), [(ITEMS, "CLOSE"), (CHANGES, "CLOSE"), (CHANGES, "DROP")]
)
async def test_one_who_fell_behind_can_be_ended(text: str, policy: str) -> None:
    """Where it asked for that, and where there are no notices, it ends with an error."""
    world = World(queue=4)
    variables: dict[str, Any] = {"state": False} if text == ITEMS else {}
    async with aclosing(hearing(world.subscriber(text, slow=policy, **variables))) as answers:
        following = asyncio.ensure_future(anext(answers))
        await world.settle()
        while not world.wanted():
            world.publish()
        told = [one(await following)]
        world.publish(100)
        await world.settle(300)
        rest = [answer async for answer in answers]
    [error] = rest[-1].errors
    assert error["extensions"]["code"] == "SUBSCRIBER_LAGGED"
    assert seqs(told) == world.wanted()[:1]
    assert len(rest) == 1


async def test_one_who_is_ended_while_it_reads_the_log_is_told_how_far_it_came() -> None:
    """What was read for it before is told still, and not once more to who resumes."""
    world = World(events=20, queue=1)
    told: list[Heard] = []
    async for answer in hearing(world.subscriber(CHANGES, after="0", slow="CLOSE")):
        told.append(answer)
        if len(told) == 1:
            world.publish(20)
            await world.settle(300)
    *changes, ended = told
    assert len(changes) > 1
    [error] = ended.errors
    assert error["extensions"]["code"] == "SUBSCRIBER_LAGGED"
    last = error["extensions"]["details"]["last"]
    assert [*seqs([*map(one, changes)]), *world.wanted(int(last))] == world.wanted()


async def test_one_who_does_not_read_delays_nobody() -> None:
    """The others of its group are told everything at once."""
    world = World(queue=4)
    stopped = world.subscriber(CHANGES)
    first = asyncio.ensure_future(anext(stopped))
    reader = asyncio.create_task(world.follow(CHANGES))
    await world.settle()
    for _ in range(100):
        world.publish()
        await world.settle(4)
    world.broker.close()
    assert seqs(await reader) == world.wanted()
    await first
    await stopped.aclose()


# -- coalescing


async def test_changes_of_the_same_thing_become_one() -> None:
    """Within the time asked for, from the state before the first to the state after the last."""
    world = World()
    reader = asyncio.create_task(world.follow(CHANGES, ms=30))
    await world.settle()
    world.publish(60)
    await asyncio.sleep(0.06)
    world.publish(60)
    await asyncio.sleep(0.06)
    world.broker.close()
    told = await reader
    assert len(told) <= 6
    assert sum(change["coalesced"] for change in told) == len(world.wanted())
    values = [0, 0, 0]
    for change in told:
        assert change["before"] == values[change["thing"]]
        values[change["thing"]] = change["value"]
    assert values == world.at
    assert seqs(told) == sorted(seqs(told))


@pytest.mark.parametrize("seed", range(12))
async def test_connections_that_break_within_a_batch_lose_no_count(seed: int) -> None:
    """Whoever resumes by the cursor it was given is told the rest of the batch as it was."""
    world = World(seed=seed)
    dice = random.Random(seed)
    world.live.queue = dice.choice((1, 2, 1_000))
    told: list[dict[str, Any]] = []
    after = "0"
    neighbor = asyncio.create_task(world.follow(CHANGES, after="0", ms=1))
    for _ in range(12):
        slow = dice.choice(("REPLAY", "COALESCE"))
        reading = world.subscriber(CHANGES, after=after, ms=dice.choice((1, 1, 2)), slow=slow)
        async with aclosing(hearing(reading)) as answers:
            for _ in range(dice.randrange(1, 5)):
                coming = asyncio.ensure_future(anext(answers))
                while not coming.done():
                    world.publish(dice.randrange(4))
                    if dice.random() < 0.2:
                        reading.move(world.contexts())
                    await asyncio.sleep(0.0005)
                answer = coming.result()
                told.append(one(answer))
                after = answer.extensions["seq"]
                assert after == answer.cursor
    async with aclosing(hearing(world.subscriber(CHANGES, after=after, ms=1))) as answers:
        while sum(change["coalesced"] for change in told) < len(world.wanted()):
            told.append(one(await asyncio.wait_for(anext(answers), 5)))
    assert sum(change["coalesced"] for change in told) == len(world.wanted())
    values = [0, 0, 0]
    for change in told:
        assert change["before"] == values[change["thing"]]
        values[change["thing"]] = change["value"]
    assert values == world.at
    world.broker.close()
    others = await neighbor
    assert sum(change["coalesced"] for change in others) == len(world.wanted())


@pytest.mark.parametrize("seed", range(6))
async def test_what_became_one_and_left_all_as_it_was_is_not_told(seed: int) -> None:
    """Wherever the connection breaks: each change begins where the one before it ended."""
    world = World(seed=seed)
    world.values = 2
    dice = random.Random(seed)
    world.live.queue = dice.choice((1, 2, 1_000))
    told: list[dict[str, Any]] = []
    after = "0"
    for _ in range(20):
        slow = dice.choice(("REPLAY", "COALESCE"))
        reading = world.subscriber(LASTING, after=after, ms=dice.choice((1, 2)), slow=slow)
        async with aclosing(hearing(reading)) as answers:
            for _ in range(dice.randrange(1, 4)):
                coming = asyncio.ensure_future(anext(answers))
                while not coming.done():
                    world.publish(dice.randrange(6))
                    await asyncio.sleep(0.0005)
                answer = coming.result()
                told.append(one(answer))
                after = answer.extensions["seq"]
    world.publish(20)
    world.values = None
    world.publish(20)  # which is nothing that was before
    async with aclosing(hearing(world.subscriber(LASTING, after=after, ms=1))) as answers:
        while int(told[-1]["seq"]) < world.wanted()[-1]:
            told.append(one(await asyncio.wait_for(anext(answers), 5)))
    assert sum(change["coalesced"] for change in told) < len(world.wanted())
    values = [0, 0, 0]
    for change in told:
        assert change["before"] == values[change["thing"]]
        assert change["coalesced"] == 1 or change["before"] != change["value"]
        values[change["thing"]] = change["value"]
    assert values == world.at


def test_what_is_undone_is_read_again_in_whole() -> None:
    """Who falls behind goes on before it, and not between its changes."""
    world = World(events=9)
    at = [replace(event, payload={"before": 0, "value": 0}) for event in world.events]
    undone, lasts = Told(at[1], at[5], 2), Told(at[3], replace(at[7], payload={"value": 1}), 2)
    stream = Stream(topics=(), interest=Wanted(), tell=tell, is_undone=is_undone)
    [told] = stream.become({"undone": undone, "lasts": lasts})
    assert (told.first.seq, told.begun, told.last.seq) == (4, 2, 8)


async def test_what_comes_of_a_batch_says_how_far_it_is() -> None:
    """Only its last has a place of its own; the rest is told to whoever has one of the others."""
    world = World(seed=1)
    reader = hearing(world.subscriber(CHANGES, ms=5))
    first = asyncio.ensure_future(anext(reader))
    await world.settle()
    world.publish(30)
    answers = [await first, await anext(reader), await anext(reader)]
    places = [one(answer)["seq"] for answer in answers]
    begun = [world.wanted(thing=one(answer)["thing"])[0] for answer in answers]
    assert [answer.extensions["seq"] for answer in answers] == [
        f"{places[0]}.{min(begun[1:]) - 1}.{places[2]}",
        f"{places[1]}.{begun[2] - 1}.{places[2]}",
        places[2],
    ]
    for number, answer in enumerate(answers[:2], 1):
        for ms in (0, 5):
            after = answer.extensions["seq"]
            again = hearing(world.subscriber(CHANGES, after=after, ms=ms))
            rest = [one(await anext(again)) for _ in answers[number:]]
            assert rest == [one(other) for other in answers[number:]]
            await again.aclose()
    await reader.aclose()


@pytest.mark.parametrize(
    "after", ["1.2", "2.0.2", "2.2.5", "0.0.0", "1.0.-5", "1.0.99999999999999999999"]
)
async def test_batches_that_never_were_are_refused(after: str) -> None:
    """The error names the argument."""
    [answer] = [
        answer async for answer in hearing(World(events=9).subscriber(CHANGES, after=after))
    ]
    assert [error["extensions"]["code"] for error in answer.errors] == ["VALIDATION"]


async def test_a_batch_of_the_future_is_refused() -> None:
    """It would be waited for, in silence."""
    world = World(events=9)
    [answer] = [answer async for answer in hearing(world.subscriber(CHANGES, after="5.1.10"))]
    [error] = answer.errors
    assert error["extensions"]["details"] == {"last": "9"}


# -- who resumes knows when it is caught up


async def test_the_last_that_was_missed_says_so() -> None:
    """It has their number; of what happens then nothing is said."""
    world = World(events=20)
    reader = hearing(world.subscriber(CHANGES, after="4"))
    missed = world.wanted(4)
    answers = [await anext(reader) for _ in missed]
    assert seqs([one(answer) for answer in answers]) == missed
    told = [answer.extensions.get("caughtUp") for answer in answers]
    assert told == [*[None] * (len(missed) - 1), {"replayed": len(missed)}]
    following = asyncio.ensure_future(anext(reader))
    await world.settle()
    world.publish(5)
    assert "caughtUp" not in (await following).extensions
    await reader.aclose()


async def test_the_first_says_that_nothing_was_missed() -> None:
    """To the one who resumed; what others are told stays what it is, and is pushed again then."""
    world = World(events=20)
    pushed: list[Delivery] = []
    begun, resumed = world.subscriber(CHANGES), world.subscriber(CHANGES, after="20")

    def push(delivery: Delivery) -> bool:
        pushed.append(delivery)
        return True

    resumed.push = push
    following = [asyncio.ensure_future(anext(member)) for member in (begun, resumed)]
    await world.settle()
    while len(world.wanted(20)) < 3:
        world.publish()
        await world.settle()
    answers = await asyncio.gather(*following)
    assert [heard(answer).extensions for answer in answers] == [
        {"seq": str(world.wanted(20)[0])},
        {"seq": str(world.wanted(20)[0]), "caughtUp": {"replayed": 0}},
    ]
    for _ in world.wanted(20)[1:]:
        assert b"caughtUp" not in (await anext(resumed)).body
    last = asyncio.ensure_future(anext(resumed))
    await world.settle()
    world.publish(20)
    await world.settle()
    assert pushed
    assert not any(b"caughtUp" in delivery.body for delivery in pushed)
    last.cancel()
    await asyncio.gather(last, return_exceptions=True)
    await begun.aclose()
    await resumed.aclose()


@pytest.mark.parametrize("after", [0, 7, 20])
async def test_a_notice_says_at_once_that_all_was_told(after: int) -> None:
    """Also where that was nothing; and it is a place to go on from."""
    world = World(events=20)
    reader = hearing(world.subscriber(ITEMS, after=str(after), caughtUp=True))
    missed = world.wanted(after)
    answers = [await anext(reader) for _ in [*missed, None]]
    assert seqs([one(answer) for answer in answers]) == [*missed, 20]
    notice = one(answers[-1])
    assert (notice["code"], notice["replayed"], notice["dropped"]) == ("CAUGHT_UP", len(missed), 0)
    assert answers[-1].extensions == {"seq": "20", "caughtUp": {"replayed": len(missed)}}
    assert not any("caughtUp" in answer.extensions for answer in answers[:-1])
    await reader.aclose()


async def test_who_begins_or_is_told_the_state_instead_caught_up_with_nothing() -> None:
    """The state is an answer of its own."""
    world = World(events=20)
    world.oldest = 11
    for after, reason in ((None, "STARTED"), ("3", "TOO_OLD")):
        reader = hearing(world.subscriber(ITEMS, after=after, caughtUp=True))
        answer = await anext(reader)
        assert one(answer)["reason"] == reason
        of_state = {"snapshot": {"reason": reason}, "seq": str(len(world.events))}
        assert answer.extensions == of_state
        following = asyncio.ensure_future(anext(reader))
        await world.settle()
        while not following.done():
            world.publish()
            await world.settle()
        assert "caughtUp" not in (await following).extensions
        await reader.aclose()


async def test_what_was_missed_is_counted_over_a_move() -> None:
    """Who goes on as somebody else while it catches up is told once, of all of it."""
    world = World(events=60)
    member = world.subscriber(CHANGES, after="0")
    reader = hearing(member)
    answers = [await anext(reader) for _ in range(5)]
    member.move(world.contexts("secrets.read"))
    answers += [await anext(reader) for _ in world.wanted()[5:]]
    assert seqs([one(answer) for answer in answers]) == world.wanted()
    told = [answer.extensions["caughtUp"] for answer in answers if "caughtUp" in answer.extensions]
    assert told == [{"replayed": len(answers)}]
    await reader.aclose()


async def test_the_latest_is_told_seldom_from_the_first_on(hand: Hand) -> None:
    """Also right after the state, and whoever else comes; the last of all is told."""
    world = World()
    text = "subscription { latest { seq } }"
    times: list[float] = []
    told: list[str] = []

    async def follow() -> None:
        async for answer in hearing(world.subscriber(text)):
            times.append(hand.now)
            told.append(one(answer)["seq"])

    reader = asyncio.create_task(follow())
    others = []
    for _ in range(20):
        await hand.turn(0.01)
        world.publish(2)
        others.append(asyncio.create_task(world.follow(text)))
    for _ in range(3):
        await hand.turn(SELDOM)
    world.broker.close()
    await asyncio.gather(reader, *others)
    assert min(later - one for one, later in pairwise(times)) >= SELDOM
    assert told[-1] == str(world.wanted()[-1])
    assert len(told) > 3


async def test_the_latest_waits_for_nobody_who_leaves(hand: Hand) -> None:
    """Who is ended is told why, at the end it is told; who goes on as somebody else, as that."""
    for ends in ("move", "stop", "close"):
        world = World(seed=1)
        async with aclosing(
            hearing(member := world.subscriber("subscription { latest { seq } }"))
        ) as answers:
            await anext(answers)
            world.write()
            world.write()
            world.relay()
            world.hear()
            coming = asyncio.ensure_future(anext(answers))
            await world.settle()
            assert not coming.done()
            if ends == "move":
                member.move(world.contexts())
                await world.settle()
                assert not coming.done()
                await hand.turn(SELDOM)
            elif ends == "stop":
                member.stop(Forbidden("No more."))
            else:
                world.broker.close()
            await world.settle()
            assert coming.done()
            answer = await coming
            if ends == "stop":
                assert answer.errors[0]["extensions"]["code"] == "FORBIDDEN"
            else:
                assert one(answer)["seq"] == str(world.wanted()[-1])


async def test_what_waits_to_be_told_is_told_at_the_end() -> None:
    """A stream that ends keeps nothing back."""
    world = World()
    reader = asyncio.create_task(world.follow(CHANGES, ms=60_000))
    await world.settle()
    world.publish(20)
    world.broker.close()
    told = await asyncio.wait_for(reader, 5)
    assert sum(change["coalesced"] for change in told) == len(world.wanted())


async def test_a_wait_that_is_none_is_refused() -> None:
    """The error names the argument."""
    world = World()
    for wrong in (-1, 60_001):
        [answer] = [answer async for answer in hearing(world.subscriber(CHANGES, ms=wrong))]
        [error] = answer.errors
        assert error["extensions"]["code"] == "VALIDATION"
        assert "coalesceMs" in error["message"]
