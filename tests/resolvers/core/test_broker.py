"""The broker: who is offered an event, found by an index, and how listening ends."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from resolvers.core.broker import Broker, Everything, Interest, PublishedEvent, SubscriberLagged


def event(
    seq: int, *, company: int = 1, topic: str = "stock", payload: dict[str, Any] | None = None
) -> PublishedEvent:
    """Return an event about object number ``seq``."""
    return PublishedEvent(
        seq=seq,
        written_seq=seq,
        event_id=f"event-{seq}",
        company_id=company,
        topic=topic,
        entity="stock_level",
        entity_id=seq,
        payload=payload or {},
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@dataclass(frozen=True)
class Of:
    """Events of some products, of which it looks at each itself too."""

    products: frozenset[int]
    odd_places: bool = False

    @property
    def index(self) -> tuple[str, frozenset[Any]]:
        """Return the products."""
        return "product_id", self.products

    def accepts(self, event: PublishedEvent) -> bool:
        """Accept the products, and perhaps odd places only."""
        assert event.payload["product_id"] in self.products, "the index lets nothing else through"
        return not self.odd_places or event.seq % 2 == 1


class Broken(Everything):
    """An interest that cannot tell."""

    def accepts(self, event: PublishedEvent) -> bool:
        """Fail."""
        raise LookupError(event.seq)


@dataclass(eq=False)
class Ear:
    """A listener that remembers."""

    heard: list[int] = field(default_factory=list)
    ends: list[Exception | None] = field(default_factory=list)

    def offer(self, event: PublishedEvent) -> None:
        """Remember the place."""
        self.heard.append(event.seq)

    def fall_behind(self) -> None:
        """Remember that something is gone."""
        self.heard.append(-1)

    def end(self, error: Exception | None) -> None:
        """Remember the end."""
        self.ends.append(error)


def listen(
    broker: Broker,
    interest: Interest | None = None,
    *,
    company: int = 1,
    topics: tuple[str, ...] = ("stock",),
) -> Ear:
    """Listen to a company's events."""
    ear = Ear()
    broker.listen(ear, company_id=company, topics=topics, interest=interest or Everything())
    return ear


def test_events_reach_those_of_their_company_and_topics() -> None:
    """A listener is offered the events of its company and topics, in order, and no others."""
    broker = Broker()
    stock, both = listen(broker), listen(broker, topics=("stock", "orders"))
    for told in (event(1), event(2, company=2), event(3, topic="orders"), event(4)):
        broker.publish(told)
    assert (stock.heard, both.heard) == ([1, 4], [1, 3, 4])
    assert (broker.published, broker.position) == (4, 4)


def test_the_index_asks_only_those_who_may_want_an_event() -> None:
    """Of a thousand interests in one product each, one is asked."""
    broker = Broker()
    ears = [listen(broker, Of(frozenset({number}))) for number in range(1_000)]
    broker.publish(event(1, payload={"product_id": 7}))
    broker.publish(event(2, payload={"product_id": 5_000}))
    broker.publish(event(3))
    assert broker.asked == 1
    assert [ear.heard for ear in ears if ear.heard] == [[1]]
    assert ears[7].heard == [1]


def test_an_interest_decides_behind_the_index() -> None:
    """Several values lead to one listener, which is asked once."""
    broker = Broker()
    ear = listen(broker, Of(frozenset({1, 2}), odd_places=True))
    for seq, product in enumerate((1, 2, 3, 1, 2), 1):
        broker.publish(event(seq, payload={"product_id": product}))
    assert ear.heard == [1, 5]
    assert broker.asked == 4


def test_an_interest_that_fails_ends_its_own_listener() -> None:
    """The others hear of the event."""
    broker = Broker()
    broken, well = listen(broker, Broken()), listen(broker)
    broker.publish(event(1))
    broker.publish(event(2))
    assert [type(error) for error in broken.ends] == [LookupError]
    assert well.heard == [1, 2]
    assert broker.listeners == 1


def test_who_leaves_hears_no_more() -> None:
    """Nothing of it is kept; to leave twice is no mistake."""
    broker = Broker()
    ears = [
        listen(broker),
        listen(broker, Of(frozenset({1, 2}))),
        listen(broker, topics=("a", "b")),
    ]
    for ear in (*ears, *ears):
        broker.leave(ear)
    broker.publish(event(1, payload={"product_id": 1}))
    assert [ear.heard for ear in ears] == [[], [], []]
    assert (broker.listeners, broker._topics) == (0, {})
    assert not any(ear.ends for ear in ears)


def test_closing_tells_everybody() -> None:
    """Who listens after that is told at once."""
    broker = Broker()
    before = listen(broker)
    broker.close()
    after = listen(broker)
    broker.publish(event(1))
    assert (before.ends, after.ends) == ([None], [None])
    assert (before.heard, after.heard, broker.listeners) == ([], [], 0)


def test_a_log_made_anew_ends_what_it_cannot_go_on_with() -> None:
    """Places that come again would be taken for others."""
    broker = Broker()
    broker.begin(5)
    ear = listen(broker)
    broker.publish(event(6))
    broker.begin(7)
    assert not ear.ends
    assert broker.newest == 6
    broker.begin(3)
    [error] = ear.ends
    assert isinstance(error, SubscriberLagged)
    assert (broker.position, broker.newest, broker.listeners) == (3, 0, 0)


async def test_nobody_subscribes_before_the_log_is_followed() -> None:
    """It is waited for until the process knows its place."""
    broker = Broker()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await broker.begun()
    broker.begin(0)
    await broker.begun()
