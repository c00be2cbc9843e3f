"""The log of published events, read by those who resume, and what several changes become as one."""

import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from resolvers.core.broker import PublishedEvent, SubscriberLagged
from resolvers.core.errors import Invalid

_LARGEST: Final = 2**63 - 1
_PLACE: Final = re.compile(
    r"([0-9]{1,19})(?:\.([0-9]{1,19})\.([0-9]{1,19}))?(~[-.0-9]+)?", re.ASCII
)
_SHOWN: Final = re.compile(r"~([0-9]{1,19})((?:\.[0-9]{1,19}(?:-[0-9]{1,4})?)+)", re.ASCII)
MOST_SHOWN: Final = 5_000
"""Most events that a cursor names."""
_LONGEST_SHOWN: Final = 2_000
"""Most characters that it names them with: it has to go into a header."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The events that a state shows and that had no place yet: they are not told.

    They are known by their ``written_seq``, which they had from the beginning.
    """

    until: int
    """What was written after this got its place after all of them: it was no part of the state."""
    written: frozenset[int]
    text: str = field(init=False, compare=False)
    """What a cursor says of them: ``until``, then from there down how many numbers are left out
    and, if it is not one, how many follow that are not."""

    def __post_init__(self) -> None:
        """Write the text once: every answer has it until they have their places."""
        object.__setattr__(self, "text", _named(self.until, self.written))

    @property
    def fits(self) -> bool:
        """Tell whether a cursor can name them all."""
        return len(self.written) <= MOST_SHOWN and len(self.text) <= _LONGEST_SHOWN

    @classmethod
    def read(cls, text: str) -> "Shown | None":
        """Return what a cursor names; None for a text that never was in one."""
        # a longer one is not looked at: that takes a hundred times its memory
        found = _SHOWN.fullmatch(text) if len(text) <= _LONGEST_SHOWN else None
        if found is None:
            return None
        written: list[int] = []
        until = int(found[1])
        number = until + 1
        for run in found[2][1:].split("."):
            left_out, _, length = run.partition("-")
            last = number - 1 - int(left_out)
            number = last + 1 - int(length or 1)
            if len(written) + last + 1 - number > MOST_SHOWN:
                return None
            written += range(number, last + 1)
        shown = cls(until, frozenset(written))
        # one text for one set, so that whatever else was never given is refused
        return shown if until <= _LARGEST and number > 0 and shown.text == text else None


def _named(until: int, written: Iterable[int]) -> str:
    """Return how a cursor names numbers up to ``until``."""
    runs: list[list[int]] = []
    lowest = until + 1
    for number in sorted(written, reverse=True):
        left_out = lowest - 1 - number
        if runs and not left_out:
            runs[-1][1] += 1
        else:
            runs.append([left_out, 1])
        lowest = number
    told = (f".{left_out}" if number == 1 else f".{left_out}-{number}" for left_out, number in runs)
    return f"~{until}{''.join(told)}"


class Batch(NamedTuple):
    """Changes that were gathered and are told one after the other, those of a thing as one."""

    before: int
    """Place before the first of them."""
    until: int
    """Place of the last of them."""


class Place(NamedTuple):
    """How far somebody was told: up to ``seq``, or within a batch, and by a state what follows.

    Within a batch, told is what of its things changed last at ``seq`` or before, and nothing of the
    others: so no number alone says what is still to be told.
    """

    seq: int
    batch: Batch | None = None
    shown: Shown | None = None
    """What a state showed beyond its place, while some of that may come after ``seq``."""

    @property
    def text(self) -> str:
        """Return the cursor: the seq, within a batch where that begins and ends, what is shown."""
        batch, shown = self.batch, self.shown
        within = "" if batch is None else f".{batch.before}.{batch.until}"
        return f"{self.seq}{within}{'' if shown is None else shown.text}"

    @classmethod
    def read(cls, text: str) -> "Place | None":
        """Return the place of a cursor; None for a text that never was one."""
        found = _PLACE.fullmatch(text)
        if found is None:
            return None
        *numbers, named = found.groups()
        seq, *within = (int(digits) for digits in numbers if digits is not None)
        shown = None if named is None else Shown.read(named)
        if max(seq, *within, 0) > _LARGEST or (named is not None and shown is None):
            return None
        if not within:
            return cls(seq, None, shown)
        before, until = within
        return cls(seq, Batch(before, until), shown) if before < seq < until else None


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

    Whatever is followed by nothing that began before it is as good as told by itself. Else its
    batch begins with what follows: so nothing before one that is told by itself is read again.
    """
    ordered = sorted(gathered, key=lambda told: told.last.seq)
    if not ordered:
        return ordered
    until = ordered[-1].last.seq
    begun = until + 1
    for index in range(len(ordered) - 1, -1, -1):
        told = ordered[index]
        if begun < told.last.seq:
            ordered[index] = told._replace(batch=Batch(begun - 1, until))
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
