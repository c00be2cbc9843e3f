"""In-process fan-out of published events to subscribers, through bounded queues."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from resolvers.core.errors import ErpError, ErrorCode


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """One row of the outbox after the relay gave it its place in the log.

    ``seq`` is `outbox_event.pub_seq`: strictly increasing in publication order, the cursor clients
    resume from. ``payload`` is the JSON the writing statement stored.
    """

    seq: int
    event_id: str
    company_id: int
    topic: str
    entity: str
    entity_id: int
    payload: Mapping[str, Any]
    created_at: datetime


Accepts = Callable[[PublishedEvent], bool]
"""Tells whether a subscriber wants an event; quick, as it runs for every event of its topic."""


class SubscriberLagged(ErpError):
    """The subscriber missed events: more than its queue holds, or than the log keeps."""

    code: ClassVar[ErrorCode] = ErrorCode.SUBSCRIBER_LAGGED


class _Queue:
    """What one subscriber still has to read, and how its subscription ended."""

    __slots__ = ("accepts", "capacity", "ended", "error", "events", "key", "paces", "waiter")

    def __init__(self, key: tuple[int, str], accepts: Accepts, capacity: int) -> None:
        self.key = key
        self.accepts = accepts
        self.capacity = capacity
        self.events: deque[PublishedEvent] = deque()
        self.ended = False
        self.paces = True
        self.error: Exception | None = None
        self.waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def end(self, error: Exception | None = None) -> None:
        self.ended = True
        self.error = error
        self.wake()

    def drop(self, error: Exception | None = None) -> None:
        self.events.clear()
        self.end(error)


class Subscription(AsyncIterator[PublishedEvent]):
    """The events of one subscriber, for one consumer.

    It ends by `aclose`, when its consumer is canceled, and when nobody holds it any more.
    """

    __slots__ = ("__weakref__", "_broker", "_queue", "since")

    def __init__(self, broker: "Broker", queue: _Queue, since: int) -> None:
        self._broker = broker
        self._queue = queue
        self.since = since
        """Place of the last event offered before: those after it come here, and no other."""

    async def __anext__(self) -> PublishedEvent:
        """Return the next event.

        Raises:
            StopAsyncIteration: the subscription or the broker was closed.
            SubscriberLagged: the queue passed its capacity; raised once.
            RuntimeError: another task is waiting for the next event.

        """
        queue = self._queue
        if queue.waiter is not None:
            raise RuntimeError("a subscription has one consumer")
        while not queue.events:
            if queue.ended:
                error, queue.error = queue.error, None
                raise error or StopAsyncIteration
            queue.waiter = asyncio.get_running_loop().create_future()
            try:
                await queue.waiter
            except asyncio.CancelledError:
                self._leave()
                raise
            finally:
                queue.waiter = None
        return queue.events.popleft()

    def pace(self, *, backlog: bool) -> None:
        """Say whether a backlog is to wait for this subscriber, as it does unless told not to."""
        self._queue.paces = backlog

    async def aclose(self) -> None:
        """Unregister, forget what is queued, and end the iteration."""
        self._leave()

    def __del__(self) -> None:
        self._leave()

    def _leave(self) -> None:
        self._broker.remove(self._queue)
        self._queue.drop()


class Broker:
    """Hands every published event to the subscribers of its company and topic. One per process.

    To be used on the event loop's thread. The counters are totals since the start, for metrics.
    """

    def __init__(self) -> None:
        self.published = 0
        """Events offered."""
        self.delivered = 0
        """Events put into subscribers' queues."""
        self.lagged = 0
        """Subscriptions ended because they fell behind."""
        self.position = 0
        """Place of the last event offered."""
        self._queues: dict[tuple[int, str], dict[_Queue, None]] = {}
        self._closed = False
        self._begun = asyncio.Event()

    @property
    def subscribers(self) -> int:
        """Number of live subscriptions."""
        return sum(map(len, self._queues.values()))

    @property
    def saturation(self) -> float:
        """How full the fullest queue is that paces, from 0 to 1; 1 lags at the next event."""
        queues = (queue for of_topic in self._queues.values() for queue in of_topic)
        return max((len(q.events) / q.capacity for q in queues if q.paces), default=0.0)

    def begin(self, position: int) -> None:
        """Say that the events after ``position`` will be offered; once more if that is less now."""
        if position < self.position:
            for queue in [queue for queues in self._queues.values() for queue in queues]:
                self._end(
                    queue, SubscriberLagged("The log of events begins anew; subscribe again.")
                )
        self.position = position
        self._begun.set()

    async def begun(self) -> None:
        """Return once it is known which events will be offered."""
        await self._begun.wait()

    def publish(self, event: PublishedEvent) -> None:
        """Offer ``event`` to every matching subscriber; never blocks."""
        self.published += 1
        self.position = event.seq
        for queue in tuple(self._queues.get((event.company_id, event.topic), ())):
            try:
                accepted = queue.accepts(event)
            except Exception as error:  # noqa: BLE001 - raised to its own subscriber
                self._end(queue, error)
                continue
            if accepted:
                self._deliver(queue, event)

    def subscribe(
        self, *, company_id: int, topic: str, accepts: Accepts, capacity: int = 1_000
    ) -> Subscription:
        """Yield matching events published from now on, in ``seq`` order.

        The subscription exists as soon as this returns. A subscriber whose queue passes
        ``capacity`` ends with `SubscriberLagged`, and gets nothing of what it had not read.
        """
        key = (company_id, topic)
        queue = _Queue(key, accepts, capacity)
        if self._closed:
            queue.end()
        else:
            self._queues.setdefault(key, {})[queue] = None
        return Subscription(self, queue, self.position)

    def close(self) -> None:
        """End every subscription once it has read what is queued; for shutdown."""
        self._closed = True
        queues, self._queues = self._queues, {}
        for of_topic in queues.values():
            for queue in of_topic:
                queue.end()

    def remove(self, queue: _Queue) -> None:
        """Forget a subscriber's queue; nothing if it is forgotten already."""
        of_topic = self._queues.get(queue.key)
        if of_topic is not None and queue in of_topic:
            del of_topic[queue]
            if not of_topic:
                del self._queues[queue.key]

    def _deliver(self, queue: _Queue, event: PublishedEvent) -> None:
        if len(queue.events) >= queue.capacity:
            self.lagged += 1
            message = "The subscriber read too slowly and missed events; subscribe again."
            self._end(queue, SubscriberLagged(message, details={"capacity": queue.capacity}))
            return
        queue.events.append(event)
        queue.wake()
        self.delivered += 1

    def _end(self, queue: _Queue, error: Exception) -> None:
        self.remove(queue)
        queue.drop(error)
