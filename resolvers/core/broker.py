"""In-process fan-out of published events to those who want them, found by an index.

Who listens says which events it wants by an `Interest`. Where that names the values of one field of
the payload, its listeners are filed under these values, so that an event is offered to those who
may want it and not to everybody of its topic.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypeAlias

from resolvers.core.errors import ErpError, ErrorCode


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """One row of the outbox after the relay gave it its place in the log.

    ``seq`` is `outbox_event.pub_seq`: strictly increasing in publication order, the place clients
    resume from. ``written_seq`` is what it was known by before. ``payload`` is the JSON the writing
    statement stored.
    """

    seq: int
    written_seq: int
    event_id: str
    company_id: int
    topic: str
    entity: str
    entity_id: int
    payload: Mapping[str, Any]
    created_at: datetime


class Interest(Protocol):
    """Which events of its topics somebody wants; of those that are equal, all want the same.

    Hashable, and quick: `accepts` runs for every event that the index does not rule out.
    """

    def accepts(self, event: PublishedEvent) -> bool:
        """Tell whether ``event`` is wanted."""
        ...

    @property
    def index(self) -> tuple[str, frozenset[Any]] | None:
        """Return a field of the payload and the values it must have; None where any may do.

        Of a field that is a list, one of its values must be among these.
        """
        ...


@dataclass(frozen=True, slots=True)
class Everything:
    """Every event of the topics."""

    @property
    def index(self) -> None:
        """Return that any event will do."""

    def accepts(self, event: PublishedEvent) -> bool:
        """Accept ``event``."""
        del event
        return True


class SubscriberLagged(ErpError):
    """The subscriber missed events: more than its queue holds, or than the log keeps."""

    code: ClassVar[ErrorCode] = ErrorCode.SUBSCRIBER_LAGGED


class Listener(Protocol):
    """Whoever is offered events."""

    def offer(self, event: PublishedEvent) -> None:
        """Take an event that is wanted; never blocks."""
        ...

    def fall_behind(self) -> None:
        """Go on from the log: some of what was to be offered cannot be."""
        ...

    def end(self, error: Exception | None) -> None:
        """Expect no more; ``error`` says why, if it is not that the process stops."""
        ...


_Filed: TypeAlias = dict[Listener, Interest]


class _Topic:
    """The listeners to one topic of one company."""

    __slots__ = ("any", "by_value")

    def __init__(self) -> None:
        self.any: _Filed = {}
        self.by_value: dict[str, dict[Any, _Filed]] = {}

    def add(self, listener: Listener, interest: Interest) -> None:
        """File a listener under what it wants."""
        index = interest.index
        if index is None:
            self.any[listener] = interest
            return
        name, values = index
        filed = self.by_value.setdefault(name, {})
        for value in values:
            filed.setdefault(value, {})[listener] = interest

    def remove(self, listener: Listener, interest: Interest) -> None:
        """Take a listener out again."""
        index = interest.index
        if index is None:
            del self.any[listener]
            return
        name, values = index
        filed = self.by_value[name]
        for value in values:
            del filed[value][listener]
            if not filed[value]:
                del filed[value]
        if not filed:
            del self.by_value[name]

    def candidates(self, payload: Mapping[str, Any]) -> list[tuple[Listener, Interest]]:
        """Return the listeners that the index does not rule out."""
        found = list(self.any.items())
        for name, filed in self.by_value.items():
            value = payload.get(name)
            if isinstance(value, list):  # one may want several of them, and is asked once
                several: _Filed = {}
                for one in value:
                    several |= filed.get(one, {})
                found += several.items()
            else:
                found += filed.get(value, {}).items()
        return found


class Broker:
    """Hands every published event to the listeners of its company and topic. One per process.

    To be used on the event loop's thread. The counters are totals since the start, for metrics.
    """

    def __init__(self) -> None:
        self.published = 0
        """Events offered."""
        self.asked = 0
        """Times an interest was asked about an event, because the index did not rule it out."""
        self.position = 0
        """Place of the last event offered."""
        self.newest = 0
        """The greatest ``written_seq`` of those offered."""
        self.closed = False
        """Whether the process stops."""
        self.busy: Callable[[], bool] = lambda: False
        """Tells whether those who listen have much to do, so that a backlog is to wait."""
        self._topics: dict[tuple[int, str], _Topic] = {}
        self._listening: dict[Listener, tuple[int, tuple[str, ...], Interest]] = {}
        self._begun = asyncio.Event()

    @property
    def listeners(self) -> int:
        """Number of those who listen."""
        return len(self._listening)

    def begin(self, position: int) -> None:
        """Say that the events after ``position`` will be offered; once more if that is less now."""
        if position < self.position:
            for listener in list(self._listening):
                self.leave(listener)
                listener.end(SubscriberLagged("The log of events begins anew; subscribe again."))
            self.newest = 0
        self.position = position
        self._begun.set()

    def pass_over(self, position: int) -> None:
        """Say that what comes up to ``position`` is gone, and will not be offered."""
        for listener in list(self._listening):  # while they know how far they were told
            listener.fall_behind()
        self.position = position

    async def begun(self) -> None:
        """Return once it is known which events will be offered."""
        await self._begun.wait()

    def publish(self, event: PublishedEvent) -> None:
        """Offer ``event`` to all who want it; never blocks."""
        self.published += 1
        self.position = event.seq
        self.newest = max(self.newest, event.written_seq)
        topic = self._topics.get((event.company_id, event.topic))
        if topic is None:
            return
        for listener, interest in topic.candidates(event.payload):
            self.asked += 1
            try:
                if interest.accepts(event):
                    listener.offer(event)
            except Exception as error:  # noqa: BLE001 - told to the one it concerns
                self.leave(listener)
                listener.end(error)

    def listen(
        self, listener: Listener, *, company_id: int, topics: Iterable[str], interest: Interest
    ) -> None:
        """Offer ``listener`` what it wants of the events published from now on, in order."""
        if self.closed:
            listener.end(None)
            return
        wanted = tuple(topics)
        self._listening[listener] = (company_id, wanted, interest)
        for name in wanted:
            self._topics.setdefault((company_id, name), _Topic()).add(listener, interest)

    def leave(self, listener: Listener) -> None:
        """Offer ``listener`` nothing more; nothing if it is forgotten already."""
        known = self._listening.pop(listener, None)
        if known is None:
            return
        company_id, wanted, interest = known
        for name in wanted:
            topic = self._topics[company_id, name]
            topic.remove(listener, interest)
            if not topic.any and not topic.by_value:
                del self._topics[company_id, name]

    def close(self) -> None:
        """Tell all who listen that no more will come; for shutdown."""
        self.closed = True
        for listener in list(self._listening):
            self.leave(listener)
            listener.end(None)
