"""A feed: what the subscribers of a group with one interest are told."""

import asyncio
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Any, Final, Protocol

from resolvers.core.broker import Broker, Interest, PublishedEvent
from resolvers.core.stream import Shown, Told
from schema.core.live.delivery import Delivery
from schema.core.stream import Opened, Stream, coalesced

BATCH: Final = 200
"""Most changes evaluated together; a page of the log has as many."""
MOST_KEYED: Final = 10_000
"""Most things of which changes are gathered to become one."""
_TURN_SECONDS: Final = 0.005
"""Longest the event loop is held while an answer goes to its subscribers."""
_TURN_CHECK: Final = 32
"""Subscribers told between two looks at the clock."""


class Member(Protocol):
    """Who is told what a feed is offered."""

    @property
    def shown(self) -> Shown | None:
        """Return the events that a state showed to it and that may have no place yet."""
        ...

    def take(self, delivery: Delivery, feed: "Feed") -> None:
        """Be told an answer; never blocks."""
        ...

    def end(self, error: Exception | None) -> None:
        """End once what waits was told."""
        ...

    def fall_behind(self) -> None:
        """Go on from the log, once what waits was told."""
        ...


class Evaluation(Protocol):
    """Where a feed has changes evaluated: its group."""

    @property
    def works(self) -> bool:
        """Tell whether something is evaluated, or waits for it."""
        ...

    def ask(self, *requests: "Request") -> None:
        """Have changes evaluated soon, after those asked for before."""
        ...

    def forget(self, feed: "Feed") -> None:
        """Forget a feed that has no subscriber."""
        ...


class Request:
    """Changes to evaluate for one interest, and who gets the answers; or the end of a feed."""

    __slots__ = ("error", "feed", "future", "interest", "stream", "told")

    def __init__(
        self,
        stream: Stream,
        interest: Interest,
        told: Sequence[Told],
        *,
        feed: "Feed | None" = None,
        future: "asyncio.Future[list[Delivery]] | None" = None,
    ) -> None:
        self.stream = stream
        self.interest = interest
        self.told = told
        self.feed = feed
        self.future = future
        self.error: Exception | None = None


class Feed:
    """What the subscribers of a group with one interest are told; a listener of the broker."""

    def __init__(self, group: Evaluation, broker: Broker, key: Any, opened: Opened) -> None:
        self.group = group
        self.key = key
        self.members: dict[Member, None] = {}
        self._knowing: dict[Member, Shown] = {}
        """Those of them for whom what is gathered may be other changes than for the rest."""
        self._broker = broker
        self._company_id = opened.company_id
        self._stream = opened.stream
        self._seconds = opened.coalesce_seconds
        self._gathered: dict[Any, Told] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = 0
        """Requests whose answers were not given to the subscribers yet."""
        self._given = 0
        """Place up to which all was given to them before what they wait for now."""

    @property
    def position(self) -> int:
        """Place of the last event that was published, to whomever."""
        return self._broker.position

    def has_published(self, shown: Shown | None) -> bool:
        """Tell whether all that a state showed is known to have its place."""
        return shown is None or self._broker.newest > shown.until

    @property
    def is_idle(self) -> bool:
        """Tell whether everything that was offered has been given to the subscribers."""
        return not self._gathered and not self.group.works

    def given(self, *, publishing: bool) -> int:
        """Return the place up to which all was given to the subscribers, or is not for them.

        While an event is published, it may be that this feed is still to be offered it.
        """
        if self._waiting or self._gathered:
            return self._given
        return self._broker.position - publishing

    def listen(self) -> None:
        """Hear of events from now on."""
        self._broker.listen(
            self,
            company_id=self._company_id,
            topics=self._stream.topics,
            interest=self._stream.interest,
        )

    def join(self, member: Member) -> int:
        """Tell a subscriber what is published from now on; return the place of what was before."""
        # a member by then: where that makes all fall behind, a feed without any would end
        self.members[member] = None
        if self._seconds and member.shown is not None:
            self._knowing[member] = member.shown
        # what was gathered is no business of one who comes now
        self._flush()
        return self._broker.position

    def leave(self, member: Member) -> None:
        """Tell a subscriber nothing more; the feed ends with its last."""
        self.members.pop(member, None)
        self._knowing.pop(member, None)
        if not self.members:
            self._stop()

    def offer(self, event: PublishedEvent) -> None:
        """Take an event: have it evaluated, or gather it until it is time."""
        if self._knowing:
            self._part(event)
            if not self.members:
                return
        if not self._waiting and not self._gathered:
            self._given = event.seq - 1
        told = Told.one(event)
        if not self._seconds:
            self._ask((told,))
            return
        coalesced(self._gathered, [told], self._stream.key)
        if len(self._gathered) >= MOST_KEYED:
            self._flush()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._seconds, self._flush)

    def _part(self, event: PublishedEvent) -> None:
        """Let those go on from the log to whom a state showed an event.

        Gathered with what follows it, it becomes one or is undone: the log tells them what follows.
        """
        for member, shown in list(self._knowing.items()):
            if event.written_seq in shown.written:
                member.fall_behind()
            elif event.written_seq > shown.until:
                del self._knowing[member]

    def end(self, error: Exception | None) -> None:
        """End the subscribers, after what they are still to be told."""
        self._flush()
        request = Request(self._stream, self._stream.interest, (), feed=self)
        request.error = error
        self.group.ask(request)

    def ended(self, error: Exception | None) -> None:
        """End the subscribers now."""
        members = list(self.members)
        self.members.clear()
        self._knowing.clear()
        self._stop()
        for member in members:
            member.end(error)

    def fall_behind(self) -> None:
        """Have the subscribers go on from the log."""
        for member in list(self.members):
            member.fall_behind()

    async def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Give answers to all subscribers, in order; others have their turn in between."""
        held = monotonic()
        for delivery in deliveries:
            for number, member in enumerate(tuple(self.members), 1):
                member.take(delivery, self)
                if not number % _TURN_CHECK and monotonic() - held > _TURN_SECONDS:
                    await asyncio.sleep(0)
                    held = monotonic()
        self._waiting -= 1
        if not self._seconds:  # of what was gathered, some is older than what was told of it
            self._given = deliveries[-1].seq

    def _ask(self, *parts: Sequence[Told]) -> None:
        self._waiting += len(parts)
        stream = self._stream
        self.group.ask(*(Request(stream, stream.interest, part, feed=self) for part in parts))

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gathered:
            gathered, self._gathered = self._stream.become(self._gathered), {}
            if gathered:
                self._ask(*parts(gathered))

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._gathered = {}
        self._broker.leave(self)
        self.group.forget(self)


def parts(told: Sequence[Told]) -> Iterable[Sequence[Told]]:
    """Part changes into what is evaluated together."""
    return (told[start : start + BATCH] for start in range(0, len(told), BATCH))
