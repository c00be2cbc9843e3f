"""The changes of one topic without a gap: from the log, then from the broker, joined by place.

A subscription of the broker knows the place it began after. What is before that place comes from
the log, in pages, and what is after it from the queue: no place is in both or in neither, whatever
is published meanwhile. A subscriber that falls behind loses its queue and goes on from the log, so
what it has not read is kept in the table and never in memory.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple, Protocol

from resolvers.core.broker import Accepts, Broker, PublishedEvent, SubscriberLagged
from resolvers.core.errors import Invalid


class LogPage(NamedTuple):
    """Events read from the log, and what the log held at that moment."""

    oldest: int
    """Place of the oldest event that is kept, of any company; the next place if none is."""
    last: int
    """The last place given."""
    events: list[PublishedEvent]
    whole: bool
    """Whether there are no more up to the place asked for."""


class Log(Protocol):
    """Published events, as long as they are kept."""

    async def read(self, *, company_id: int, topic: str, after: int, until: int) -> LogPage:
        """Return the first events of a company and topic after one place and up to another."""
        ...


async def changes(
    broker: Broker,
    log: Log,
    *,
    company_id: int,
    topic: str,
    accepts: Accepts,
    after: int | None,
    capacity: int = 1_000,
) -> AsyncGenerator[PublishedEvent, None]:
    """Yield each matching event after the place ``after`` once, in order; None is from now on.

    Raises:
        SubscriberLagged: events after ``after``, or after the last one told, are not kept any more.
        Invalid: no event ever had a place as high as ``after``.

    """
    told = after
    lagged = False
    while True:
        await broker.begun()
        live = broker.subscribe(
            company_id=company_id, topic=topic, accepts=accepts, capacity=capacity
        )
        async with aclosing(live):
            # nobody waits for one who reads the log meanwhile, or was too slow before
            live.pace(backlog=False)
            if told is None:
                told = live.since
            missed = _missed(log, company_id, topic, after=told, until=live.since)
            async with aclosing(missed):
                async for event in missed:
                    told = event.seq
                    if accepts(event):
                        yield event
            told = max(told, live.since)
            live.pace(backlog=not lagged)
            while True:
                try:
                    event = await anext(live)
                except StopAsyncIteration:
                    return
                except SubscriberLagged:
                    lagged = True
                    break
                # a cursor may be ahead of what this process has been told of yet
                if event.seq > told:
                    told = event.seq
                    yield event


async def _missed(
    log: Log, company_id: int, topic: str, *, after: int, until: int
) -> AsyncGenerator[PublishedEvent, None]:
    """Yield what the log has after one place and up to another."""
    while after != until:
        page = await log.read(company_id=company_id, topic=topic, after=after, until=until)
        if after > page.last:
            raise Invalid(
                "after is a cursor that was not given yet; cursors come from the field seq.",
                path=("after",),
                details={"last": str(page.last)},
            )
        if after < page.oldest - 1:
            raise SubscriberLagged(
                "Changes after your cursor are not kept any more; read the state anew, "
                "and subscribe after details.last.",
                details={"oldest": str(page.oldest), "last": str(page.last)},
            )
        for event in page.events:
            yield event
        if page.whole:
            return
        after = page.events[-1].seq
