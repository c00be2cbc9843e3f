"""The log of published events, read by those who resume, and what several changes become as one."""

import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from resolvers.core.broker import PublishedEvent, SubscriberLagged
from resolvers.core.errors import Invalid

_LARGEST: Final = 2**63 - 1
_PLACE: Final = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,19})\.([0-9]{1,19}))?", re.ASCII)


class Batch(NamedTuple):
    """Changes that were gathered and are told one after the other, those of a thing as one."""

    before: int
    """Place before the first of them."""
    until: int
    """Place of the last of them."""


class Place(NamedTuple):
    """How far somebody was told: up to ``seq``, or within a batch.

    Within a batch, told is what of its things changed last at ``seq`` or before, and nothing of the
    others: so no number alone says what is still to be told.
    """

    seq: int
    batch: Batch | None = None

    @property
    def text(self) -> str:
        """Return the cursor: the seq, and within a batch where that begins and ends."""
        if self.batch is None:
            return str(self.seq)
        return f"{self.seq}.{self.batch.before}.{self.batch.until}"

    @classmethod
    def read(cls, text: str) -> "Place | None":
        """Return the place of a cursor; None for a text that never was one."""
        found = _PLACE.fullmatch(text)
        if found is None:
            return None
        seq, *batch = (int(digits) for digits in found.groups() if digits is not None)
        if max(seq, *batch, 0) > _LARGEST:
            return None
        if not batch:
            return cls(seq)
        before, until = batch
        return cls(seq, Batch(before, until)) if before < seq < until else None


class Told(NamedTuple):
    """One change, or several of the same thing that are told as one."""

    first: PublishedEvent
    last: PublishedEvent
    number: int
    batch: Batch | None = None
    """What it is told within, where more of that is told after it."""
    undone: int | None = None
    """Place of the first change gathered with it that is undone, and so never told, if any is."""

    @property
    def begun(self) -> int:
        """Place of the first change to read again for it and what comes after it."""
        return self.first.seq if self.undone is None else min(self.first.seq, self.undone)

    @property
    def place(self) -> Place:
        """Where to go on after it."""
        return Place(self.last.seq, self.batch)

    @classmethod
    def one(cls, event: PublishedEvent) -> "Told":
        """Return a change that is told by itself."""
        return cls(event, event, 1)

    def then(self, later: "Told") -> "Told":
        """Return this and a later change as one."""
        return Told(self.first, later.last, self.number + later.number)


def in_order(gathered: Iterable[Told]) -> list[Told]:
    """Return all that was gathered, by its last places, and each with the batch that it is within.

    Whatever is followed by nothing that began before it is as good as told by itself.
    """
    ordered = sorted(gathered, key=lambda told: told.last.seq)
    if not ordered:
        return ordered
    batch = Batch(min(told.first.seq for told in ordered) - 1, ordered[-1].last.seq)
    begun = batch.until + 1
    for index in range(len(ordered) - 1, -1, -1):
        told = ordered[index]
        if begun < told.last.seq:
            ordered[index] = told._replace(batch=batch)
        begun = min(begun, told.first.seq)
    return ordered


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
    known: int = 0,
) -> AsyncGenerator[list[PublishedEvent], None]:
    """Yield what the log has after one place and up to another, in pages, in order.

    Raises:
        SubscriberLagged: events after ``after`` are not kept any more.
        Invalid: no event ever had a place as high as ``after``, or as ``known``.

    """
    while after != until:
        page = await log.read(
            company_id=company_id, topics=topics, after=after, until=until, index=index
        )
        if max(after, known) > page.last:
            raise Invalid(
                "after is a cursor that was not given yet; cursors come from extensions.seq.",
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
