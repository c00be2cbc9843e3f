"""The log of published events, read by those who resume, and what several changes become as one."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from resolvers.core.broker import PublishedEvent, SubscriberLagged
from resolvers.core.errors import Invalid


class Told(NamedTuple):
    """One change, or several of the same thing that are told as one."""

    first: PublishedEvent
    last: PublishedEvent
    number: int

    @classmethod
    def one(cls, event: PublishedEvent) -> "Told":
        """Return a change that is told by itself."""
        return cls(event, event, 1)

    def then(self, later: "Told") -> "Told":
        """Return this and a later change as one."""
        return Told(self.first, later.last, self.number + later.number)


class LogPage(NamedTuple):
    """Events read from the log, and what the log held at that moment."""

    oldest: int
    """Place of the oldest event that is kept, of any company; the next place if none is."""
    last: int
    """The last place given."""
    events: list[PublishedEvent]
    place: int
    """Place up to which it was read: what comes after that is of another page."""


Index: TypeAlias = tuple[str, frozenset[Any]]
"""A field of the payload, and the values it must have or hold one of, all numbers or all words; see
`resolvers.core.broker.Interest`."""


class Log(Protocol):
    """Published events, as long as they are kept."""

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

        With ``index``, of those that have one of the values. Where there is none there may be more.
        """
        ...


async def missed(
    log: Log,
    *,
    company_id: int,
    topics: Sequence[str],
    after: int,
    until: int,
    index: Index | None = None,
) -> AsyncGenerator[list[PublishedEvent], None]:
    """Yield what the log has after one place and up to another, in pages, in order.

    Raises:
        SubscriberLagged: events after ``after`` are not kept any more.
        Invalid: no event ever had a place as high as ``after``.

    """
    while after != until:
        page = await log.read(
            company_id=company_id, topics=topics, after=after, until=until, index=index
        )
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
        if page.events:
            yield page.events
        if page.place >= until:
            return
        after = page.place
