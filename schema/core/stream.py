"""How a subscription is declared: arguments in, a `Stream` out; what all streams share is here.

A declaration says which events are wanted and what is told of one. Everything else is done once for
all of them, in `schema.core.live`: one evaluation for all who ask the same, resuming, snapshots,
coalescing, and what happens to those who read too slowly.
"""

import inspect
import re
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Any, Final, TypeAlias

from resolvers.core.broker import Interest, PublishedEvent
from resolvers.core.context import Context
from resolvers.core.errors import Invalid
from resolvers.core.stream import Place, Told, in_order
from schema.core.enums import describe_enum
from schema.core.fields import RowType, argument, column, declare_field, with_arguments_of
from schema.core.ids import encode_id
from schema.core.info import Info, core_info
from schema.core.node import row_type
from schema.core.selection import included_names

_LONGEST_COALESCING: Final = 60_000
_DOCUMENT: Final = re.compile(r"([A-Za-z]+):([0-9]{1,18})", re.ASCII)
_POSITIONAL: Final = inspect.Parameter.POSITIONAL_OR_KEYWORD

After = Annotated[
    str | None,
    argument(
        "Resume: the seq in the extensions of the last answer you got. What happened since is told "
        "first, in order, then what happens. Without it you are told what happens from now on."
    ),
]
"""Argument of subscriptions that can be resumed."""

CoalesceMs = Annotated[
    int | None,
    argument(
        "Tell at most this often, in milliseconds, up to 60000: several changes of the same thing "
        "become one, from the state before the first to the state after the last. Stock and orders "
        "that are in the end what they were are not told."
    ),
]
"""Argument of subscriptions whose changes can become one."""


class SlowPolicy(StrEnum):
    """What a stream does when what waits for its subscriber passes the bound."""

    REPLAY = "REPLAY"
    COALESCE = "COALESCE"
    DROP = "DROP"
    CLOSE = "CLOSE"


describe_enum(
    SlowPolicy,
    "What happens when you read more slowly than things change.",
    {
        "REPLAY": "You are told all of it, later, from the log: nothing is left out.",
        "COALESCE": "Of what you missed you are told the latest of each thing, with their number.",
        "DROP": "You are told how many changes you missed, and go on with what happens. Where the "
        "stream has no notices, it ends as with CLOSE.",
        "CLOSE": "The subscription ends with the error SUBSCRIBER_LAGGED.",
    },
)

WhenSlow = Annotated[
    SlowPolicy, argument("What happens when you read more slowly than things change.")
]
"""Argument of every subscription to the log."""

WithSnapshot = Annotated[
    bool,
    argument(
        "Begin with the state: first you are told what is, then what changes after that, and "
        "nothing that the state shows already. Ignored when you resume."
    ),
]
"""Argument of subscriptions that know the state their changes apply to."""

CaughtUp = Annotated[
    bool,
    argument(
        "When you resume: be told a notice with the code CAUGHT_UP as soon as you were told all "
        "that you missed, also if that is nothing."
    ),
]
"""Argument of subscriptions that can be resumed and have notices."""


class SnapshotReason(StrEnum):
    """Why a stream tells the state."""

    STARTED = "STARTED"
    TOO_OLD = "TOO_OLD"


describe_enum(
    SnapshotReason,
    "Why you are told the state.",
    {
        "STARTED": "You asked to begin with it.",
        "TOO_OLD": "Changes after your cursor are not kept any more: replace what you have.",
    },
)


class StreamNoticeCode(StrEnum):
    """What a notice of a stream tells."""

    DROPPED = "DROPPED"
    CAUGHT_UP = "CAUGHT_UP"


describe_enum(
    StreamNoticeCode,
    "What a notice tells.",
    {
        "DROPPED": "You read too slowly; some changes are not told.",
        "CAUGHT_UP": "You resumed, and were told all that you missed; what comes is new.",
    },
)


@row_type("StreamNotice", "Something about the stream itself, in its order.")
class StreamNotice(RowType):
    """What a subscriber is told of changes that it missed: that they are not told, or all were."""

    seq: str = column("Place in the log up to which the notice tells.")
    code: StreamNoticeCode = column("What happened.")
    message: str = column("What happened, for people.")
    dropped: int = column("Number of changes that are not told.")
    replayed: int = column("Number of changes that you missed and were told, if you caught up.")
    last_seq: str = column("What to resume after, as the seq of the extensions.")


def _of_the_same(event: PublishedEvent) -> Any:
    return event.topic, event.entity_id


Item: TypeAlias = RowType | list[RowType]
"""What a message tells: of a field that is a list several of one type, mostly one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Which events a subscriber wants, and what is told of them."""

    topics: tuple[str, ...]
    interest: Interest
    """Hashable: subscribers whose interests are equal are told the same."""
    tell: Callable[[Told, Any], Item]
    """Makes what is told of a change, from it and the interest; its rows are all plain values."""
    key: Callable[[PublishedEvent], Any] = _of_the_same
    """What a change is of: those of the same can become one."""
    is_undone: Callable[[Told], bool] | None = None
    """Tells of several changes that became one whether they left all as it was: such are not told.
    """
    snapshot: Callable[[Any, str, SnapshotReason, Context], Awaitable[Any]] | None = None
    """Reads the state, by interest, place, reason and context: what is told, None where there is
    nothing."""
    shows: frozenset[str] | None = None
    """Topics of which the state shows what was committed and has no place yet, which then is not
    told; all of them without it."""
    begins: bool = False
    """Whether it always begins with its snapshot."""
    notice: Callable[[Mapping[str, Any]], RowType] | None = None
    """Makes what it tells in place of changes, of a row of `StreamNotice`; None if it cannot."""
    resumes: bool = True
    """Whether a subscriber can go on after a place in the log; said where it is declared."""
    coalesce_seconds: float = 0.0
    """Least time between what is told, unless the client asks for more."""
    distinct: bool = False
    """Whether what is told like the last time is not told."""
    over: Callable[[Mapping[str, Any]], bool] | None = None
    """Tells of the payload of an event, or of the row of the state, whether nothing comes after."""

    def become(self, gathered: Mapping[Any, Told]) -> list[Told]:
        """Return what is told of changes that were gathered, in order.

        What is undone is still within the batch of the others: who resumes there finds it undone
        again, and not its end alone.
        """
        ordered = in_order(gathered.values())
        if self.is_undone is None:
            return ordered
        told: list[Told] = []
        undone: int | None = None
        for one in ordered:
            if not self.is_undone(one):
                told.append(one if undone is None else one._replace(undone=undone))
            elif undone is None or one.first.seq < undone:
                undone = one.first.seq
        return told

    def is_over(self, told: Mapping[str, Any] | None) -> bool:
        """Tell whether nothing comes after an event with this payload, or after this state."""
        return self.over is not None and (told is None or self.over(told))


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened(AsyncIterator[Any]):
    """A stream as one subscriber asked for it; what a subscription's resolver returns.

    An iterator by name only, which graphql-core insists on; `schema.core.live` reads its parts.
    """

    stream: Stream
    company_id: int
    after: Place | None
    snapshot: bool
    coalesce_seconds: float
    when_slow: SlowPolicy
    context: Context = field(repr=False)
    caught_up: bool = False
    """Whether a notice is to tell that nothing is left of what was missed."""

    def __anext__(self) -> Any:
        """Fail: it is not to be iterated over."""
        raise TypeError("a stream is read by schema.core.live, and not iterated over")


def stream(
    description: str,
    *,
    item: Any,
    requires: str | None = None,
    snapshot: bool = False,
    coalesces: bool = True,
    resumes: bool = True,
    notices: bool = False,
    size: int | None = None,
    shown_by: Mapping[str, tuple[str, str | None]] | None = None,
) -> Callable[[Callable[..., Stream]], Any]:
    """Declare a subscription: decorates ``function(context, **arguments)``, which returns a Stream.

    Its other parameters are the field's arguments, beside those that streams share: ``after``,
    ``snapshot``, ``caughtUp``, ``coalesceMs`` and ``whenSlow``. ``item`` is the type told; a stream
    that makes a ``notice`` is declared with ``notices``. ``size`` is how many are expected of a
    list, for the cost of the operation. ``shown_by`` are the fields of the item by which a state
    shows what is, where it shows nothing else, with the topic and the permission that the field
    requires, if any: it counts if it is selected, and not masked.
    """

    def declare(function: Callable[..., Stream]) -> Any:
        async def resolve(root: Any, info: Info, **given: Any) -> Any:
            del root
            context = info.context
            after = place_after(context, given.pop("after", None)) if resumes else None
            wanted = given.pop("snapshot", False)
            seconds = _seconds(given.pop("coalesce_ms", None))
            when_slow = given.pop("when_slow", SlowPolicy.REPLAY)
            caught_up = given.pop("caught_up", False)
            made = replace(function(context, **given), resumes=resumes)
            if shown_by is not None:
                selected = included_names(core_info(info))
                shows = frozenset(
                    topic
                    for name, (topic, permission) in shown_by.items()
                    if name in selected
                    and (permission is None or context.principal.can(permission))
                )
                made = replace(made, shows=shows)
            return Opened(
                stream=made,
                company_id=context.principal.company_id,
                after=after,
                snapshot=wanted or made.begins,
                coalesce_seconds=max(seconds, made.coalesce_seconds),
                when_slow=when_slow,
                context=context,
                caught_up=caught_up,
            )

        shared = [
            *([_parameter("after", After, None)] if resumes else ()),
            *([_parameter("snapshot", WithSnapshot, default=False)] if snapshot else ()),
            *([_parameter("caught_up", CaughtUp, default=False)] if notices else ()),
            *([_parameter("coalesce_ms", CoalesceMs, None)] if coalesces else ()),
            *([_parameter("when_slow", WhenSlow, SlowPolicy.REPLAY)] if resumes else ()),
        ]
        with_arguments_of(function, resolve, given=1, also=shared)
        signature = inspect.signature(resolve)
        told = AsyncGenerator[item, None]
        resolve.__signature__ = signature.replace(return_annotation=told)  # type: ignore[attr-defined]
        return declare_field(
            description,
            requires=requires,
            resolver=resolve,
            metadata={} if size is None else {"assumed_size": size},
            is_subscription=True,
        )

    return declare


def _parameter(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    return inspect.Parameter(name, _POSITIONAL, annotation=annotation, default=default)


def _seconds(milliseconds: int | None) -> float:
    """Return how long changes are gathered, in seconds.

    Raises:
        Invalid: it is not a time to wait.

    """
    if milliseconds is None:
        return 0.0
    if not 0 <= milliseconds <= _LONGEST_COALESCING:
        message = f"coalesceMs must be between 0 and {_LONGEST_COALESCING}."
        raise Invalid(message, path=("coalesceMs",))
    return milliseconds / 1000


def place_after(context: Context, after: str | None) -> Place | None:
    """Return the place to resume after, None for one who begins.

    What the transport was told counts for more than the argument: a client that connects again by
    itself repeats its request, and adds how far it came.

    Raises:
        Invalid: it is not a place.

    """
    name, given = "after", after
    if context.resumes_after is not None:
        name, given = "Last-Event-ID", context.resumes_after
    if given is None:
        return None
    place = Place.read(given)
    if place is None:
        message = f"{name} is not a cursor; cursors come from extensions.seq."
        raise Invalid(message, path=("after",))
    return place


def document_id(document: str | None) -> str | None:
    """Return the id of the document that an event was written for, such as SalesOrder:7."""
    told = _DOCUMENT.fullmatch(document or "")
    return None if told is None else encode_id(told[1], int(told[2]))


def coalesced(keyed: dict[Any, Told], events: Sequence[Told], key: Callable[..., Any]) -> None:
    """Take ``events`` into those that wait, each with the one of the same thing."""
    for told in events:
        of = key(told.last)
        before = keyed.get(of)
        keyed[of] = told if before is None else before.then(told)
