"""The broker: who gets an event, and how a subscription ends."""

import asyncio
import gc
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from resolvers.core.broker import Broker, PublishedEvent, SubscriberLagged, Subscription
from resolvers.core.errors import ErrorCode


def event(seq: int, *, company: int = 1, topic: str = "stock") -> PublishedEvent:
    """Return an event about object number ``seq``."""
    return PublishedEvent(
        seq=seq,
        event_id=f"event-{seq}",
        company_id=company,
        topic=topic,
        entity="stock_level",
        entity_id=seq,
        payload={},
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def everything(_: PublishedEvent) -> bool:
    """Accept every event."""
    return True


def subscribe(broker: Broker, *, capacity: int = 10) -> Subscription:
    """Subscribe to all stock events of company 1."""
    return broker.subscribe(company_id=1, topic="stock", accepts=everything, capacity=capacity)


async def received(subscription: AsyncIterator[PublishedEvent]) -> list[int]:
    """Return the places of all events until the subscription ends."""
    return [event.seq async for event in subscription]


async def test_events_reach_subscribers_of_their_company_and_topic() -> None:
    """A subscriber gets the events of its company and topic, in order, and no others."""
    broker = Broker()
    subscription = subscribe(broker)

    broker.publish(event(1))
    broker.publish(event(2, company=2))
    broker.publish(event(3, topic="orders"))
    broker.publish(event(4))
    broker.close()

    assert await received(subscription) == [1, 4]


async def test_a_subscription_exists_from_the_call_on() -> None:
    """Events published before the first read are not lost."""
    broker = Broker()
    subscription = subscribe(broker)
    broker.publish(event(1))

    assert (await anext(subscription)).seq == 1


async def test_a_waiting_subscriber_wakes() -> None:
    """A subscriber that waits gets the event once it is published."""
    broker = Broker()
    subscription = subscribe(broker)
    waiting = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(0)

    broker.publish(event(1))

    assert (await waiting).seq == 1


async def test_subscribers_choose_their_events() -> None:
    """Only events that the subscriber's predicate accepts are queued and counted."""
    broker = Broker()
    even = broker.subscribe(company_id=1, topic="stock", accepts=lambda e: e.seq % 2 == 0)

    for seq in range(5):
        broker.publish(event(seq))
    broker.close()

    assert await received(even) == [0, 2, 4]
    assert broker.delivered == 3


async def test_a_failing_predicate_ends_its_own_subscription_only() -> None:
    """An error in one subscriber's predicate is that subscriber's; the others get the event."""
    broker = Broker()

    def broken(_: PublishedEvent) -> bool:
        raise ValueError("broken filter")

    failing = broker.subscribe(company_id=1, topic="stock", accepts=broken)
    healthy = subscribe(broker)

    broker.publish(event(1))

    assert (await anext(healthy)).seq == 1
    with pytest.raises(ValueError, match="broken filter"):
        await anext(failing)
    assert await received(failing) == []
    assert broker.subscribers == 1


async def test_a_slow_subscriber_ends_with_a_notice() -> None:
    """Who falls behind by more than the capacity gets nothing further but the reason."""
    broker = Broker()
    slow, quick = subscribe(broker, capacity=2), subscribe(broker, capacity=4)

    for seq in range(4):
        broker.publish(event(seq))
    broker.close()

    with pytest.raises(SubscriberLagged) as lagged:
        await anext(slow)
    assert lagged.value.code is ErrorCode.SUBSCRIBER_LAGGED
    assert await received(slow) == []
    assert await received(quick) == [0, 1, 2, 3]
    assert broker.lagged == 1


async def test_a_full_queue_is_not_yet_lag() -> None:
    """A subscriber may hold as many events as its capacity says."""
    broker = Broker()
    subscription = subscribe(broker, capacity=2)

    broker.publish(event(0))
    assert broker.saturation == 0.5
    broker.publish(event(1))
    broker.close()

    assert await received(subscription) == [0, 1]
    assert broker.saturation == 0


async def test_closing_a_subscription_unregisters_it() -> None:
    """After aclose nothing is queued for the subscriber and its iteration ends."""
    broker = Broker()
    subscription = subscribe(broker)
    broker.publish(event(1))

    await subscription.aclose()
    await subscription.aclose()
    broker.publish(event(2))

    assert broker.subscribers == 0
    assert await received(subscription) == []
    assert broker.delivered == 1


async def test_closing_a_subscription_ends_who_waits_for_it() -> None:
    """A consumer waiting in another task stops when its subscription is closed."""
    broker = Broker()
    subscription = subscribe(broker)
    waiting = asyncio.ensure_future(received(subscription))
    await asyncio.sleep(0)

    await subscription.aclose()

    assert await waiting == []


async def test_canceling_a_consumer_unregisters_it() -> None:
    """A consumer canceled while it waits leaves no subscription behind."""
    broker = Broker()
    subscription = subscribe(broker)
    consumer = asyncio.ensure_future(received(subscription))
    await asyncio.sleep(0)

    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer

    assert broker.subscribers == 0


async def test_a_forgotten_subscription_unregisters_itself() -> None:
    """A subscription nobody holds any more does not fill up for ever."""
    broker = Broker()
    subscription: Subscription | None = subscribe(broker)
    kept = subscribe(broker)

    subscription = None
    gc.collect()

    assert subscription is None
    assert broker.subscribers == 1
    await kept.aclose()


async def test_one_consumer_per_subscription() -> None:
    """Two tasks reading one subscription would each miss events; the second is refused."""
    broker = Broker()
    subscription = subscribe(broker)
    first = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(0)

    with pytest.raises(RuntimeError):
        await anext(subscription)

    broker.publish(event(1))
    assert (await first).seq == 1


async def test_closing_the_broker_ends_every_subscription() -> None:
    """At shutdown subscribers get what is queued, then end; so do those that come too late."""
    broker = Broker()
    queued, waiting = subscribe(broker), subscribe(broker)
    idle = asyncio.ensure_future(received(waiting))
    broker.publish(event(1))
    await asyncio.sleep(0)

    broker.close()
    broker.publish(event(2))

    assert await received(queued) == [1]
    assert await idle == [1]
    assert await received(subscribe(broker)) == []
    assert broker.subscribers == 0


async def test_publishing_without_subscribers_is_nothing() -> None:
    """Events nobody subscribed to pass by."""
    broker = Broker()
    broker.publish(event(1))
    assert (broker.published, broker.delivered, broker.subscribers) == (1, 0, 0)
