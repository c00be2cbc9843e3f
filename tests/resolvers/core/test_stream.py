"""Changes from the log and from the broker, joined: each once, in order, whatever happens between.

The log here is a list, so that events can be published at every moment of a reader's way.
"""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime

import pytest

from resolvers.core.broker import Broker, PublishedEvent, SubscriberLagged
from resolvers.core.errors import Invalid
from resolvers.core.stream import LogPage, changes

PAGE = 3


class World:
    """A log and the broker of one process, which hears of everything after the log has it."""

    def __init__(self, *, events: int = 0, seed: int = 0) -> None:
        self.dice = random.Random(seed)
        self.events: list[PublishedEvent] = []
        self.oldest = 1
        self.busy = 0.0
        """How likely something is published whenever the log is read."""
        self.broker = Broker()
        self.broker.begin(0)
        for _ in range(events):
            self.publish()

    def write(self) -> PublishedEvent:
        """Put an event into the log, of which this process has not heard."""
        event = PublishedEvent(
            seq=len(self.events) + 1,
            event_id=str(len(self.events) + 1),
            company_id=self.dice.choice((1, 1, 2)),
            topic=self.dice.choice(("stock", "stock", "orders")),
            entity="Level",
            entity_id=1,
            payload={"wanted": self.dice.random() < 0.7},
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        self.events.append(event)
        return event

    def publish(self, number: int = 1) -> None:
        """Put events into the log and hand over all that the process has not heard of."""
        for _ in range(number):
            self.write()
        for event in self.events[self.broker.position :]:
            self.broker.publish(event)

    def _happens(self) -> None:
        while self.dice.random() < self.busy:
            if self.dice.random() < 0.5:
                self.write()
            else:
                self.publish()

    async def read(self, *, company_id: int, topic: str, after: int, until: int) -> LogPage:
        """Answer as the log does, while things happen before and after."""
        self._happens()
        found = [
            event
            for event in self.events
            if after < event.seq <= until and (event.company_id, event.topic) == (company_id, topic)
        ]
        kept = [event for event in found if event.seq >= self.oldest]
        last = len(self.events)
        await asyncio.sleep(0)
        self._happens()
        return LogPage(self.oldest, last, kept[:PAGE], whole=len(kept) <= PAGE)

    def wanted(self, after: int = 0) -> list[int]:
        """Return the places of what the subscriber of these tests is to be told."""
        return [event.seq for event in self.events if event.seq > after and accepts(event)]

    def subscribe(
        self, after: int | None, capacity: int = 1_000
    ) -> AsyncGenerator[PublishedEvent, None]:
        """Subscribe to stock of company 1."""
        return changes(
            self.broker,
            self,
            company_id=1,
            topic="stock",
            accepts=lambda event: bool(event.payload["wanted"]),
            after=after,
            capacity=capacity,
        )

    async def follow(self, after: int | None, capacity: int = 1_000) -> list[int]:
        """Subscribe, and return the places of everything until the broker is closed."""
        return [event.seq async for event in self.subscribe(after, capacity)]


def accepts(event: PublishedEvent) -> bool:
    """Tell whether the subscriber of these tests wants an event."""
    return (event.company_id, event.topic) == (1, "stock") and bool(event.payload["wanted"])


@pytest.mark.parametrize("seed", range(60))
async def test_log_and_broker_are_joined_exactly(seed: int) -> None:
    """Whatever is published while the log is read, nothing is told twice or not at all."""
    world = World(events=40, seed=seed)
    after = world.dice.randrange(41)
    world.busy = world.dice.random() * 0.9
    reader = asyncio.create_task(world.follow(after, capacity=world.dice.choice((1, 3, 1_000))))
    for _ in range(30):
        await asyncio.sleep(0)
        world.publish(world.dice.randrange(4))
    world.busy = 0
    for _ in range(100):
        await asyncio.sleep(0)
    world.publish()
    for _ in range(100):
        await asyncio.sleep(0)
    world.broker.close()
    assert await asyncio.wait_for(reader, 5) == world.wanted(after)
    assert world.broker.subscribers == 0


async def test_one_who_fell_behind_goes_on_from_the_log() -> None:
    """More than its queue holds is published while it reads one; it gets all of it, later."""
    world = World(events=5)
    async with aclosing(world.subscribe(0, capacity=2)) as stream:
        told = [(await anext(stream)).seq]
        world.publish(200)
        assert world.broker.lagged == 1
        told += [(await anext(stream)).seq for _ in world.wanted()[1:]]
    assert told == world.wanted()


async def test_a_backlog_waits_only_for_those_who_keep_up() -> None:
    """Who still reads the log, or was too slow before, does not slow down the others."""
    world = World(events=20)
    async with aclosing(world.subscribe(0, capacity=10)) as stream:
        first = await anext(stream)
        world.publish(8)
        assert (first.seq, world.broker.saturation) == (world.wanted()[0], 0.0)
        for _ in world.wanted()[1:]:
            await anext(stream)
        world.publish(8)
        assert world.broker.saturation > 0
        world.publish(100)
        assert world.broker.lagged == 1
        while (await anext(stream)).seq != world.wanted()[-1]:
            pass
        world.publish(8)
        assert (world.broker.subscribers, world.broker.saturation) == (1, 0.0)


async def test_who_missed_nothing_is_live_at_once() -> None:
    """At the head of the log nothing is read."""
    world = World(events=5)
    world.read = None  # type: ignore[assignment,method-assign]
    reader = asyncio.create_task(world.follow(5))
    await asyncio.sleep(0)
    world.publish(10)
    world.broker.close()
    assert await reader == world.wanted(5)


async def test_a_cursor_ahead_of_this_process_is_waited_for() -> None:
    """Another process told more than this one has heard of: it is not told again here."""
    world = World(events=5)
    for _ in range(5):
        world.write()
    reader = asyncio.create_task(world.follow(8))
    for _ in range(10):
        await asyncio.sleep(0)
    world.publish(10)
    world.broker.close()
    assert await reader == world.wanted(8)


async def test_what_is_not_kept_is_told_of() -> None:
    """One event too few is too old; the oldest that is kept may be the next."""
    world = World(events=20)
    world.oldest = 11
    with pytest.raises(SubscriberLagged) as lagged:
        await world.follow(9)
    assert lagged.value.details == {"oldest": "11", "last": "20"}
    stream = asyncio.create_task(world.follow(10))
    for _ in range(20):
        await asyncio.sleep(0)
    world.broker.close()
    assert await stream == world.wanted(10)
    assert world.broker.subscribers == 0


async def test_a_cursor_of_the_future_is_refused() -> None:
    """No event ever had that place: the cursor is of another log."""
    world = World(events=5)
    with pytest.raises(Invalid) as invalid:
        await world.follow(6)
    assert (invalid.value.path, invalid.value.details) == (("after",), {"last": "5"})


async def test_a_log_made_anew_ends_what_it_cannot_go_on_with() -> None:
    """A subscriber of the old log is told, and not left waiting for places that come again."""
    world = World(events=20)
    reader = asyncio.create_task(world.follow(None))
    await asyncio.sleep(0)
    world.events.clear()
    world.broker.begin(0)
    with pytest.raises(Invalid):
        await reader


async def test_a_subscriber_waits_for_its_process_to_follow() -> None:
    """Before a process knows its place in the log, it cannot say what was missed."""
    world = World(events=3)
    broker, world.broker = world.broker, Broker()
    reader = asyncio.create_task(world.follow(1))
    await asyncio.sleep(0.01)
    assert world.broker.subscribers == 0
    world.broker.begin(broker.position)
    for _ in range(10):
        await asyncio.sleep(0)
    world.broker.close()
    assert await reader == world.wanted(1)
