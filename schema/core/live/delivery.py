"""What goes to subscribers, and what an executor does for it."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

import orjson
from graphql import ExecutionResult

from resolvers.core.context import Context
from resolvers.core.errors import ErrorCode
from resolvers.core.stream import Batch, Shown
from schema.core.stream import Item, Opened, SnapshotReason

_PASSING: Final = frozenset({ErrorCode.OVERLOADED.value, ErrorCode.TIMEOUT.value})
"""Codes of what may be over when the same is tried again."""


class Delivery(NamedTuple):
    """One answer of a subscription, encoded; shared by all who are told it."""

    body: bytes
    """The response map as JSON."""
    cursor: str | None = None
    """Where to resume after it, if it can be."""
    seq: int = 0
    first: int = 0
    """Place of the first change to read again where it is not told, with what comes after it."""
    written: int = 0
    """The ``written_seq`` of the last change it tells of."""
    over: bool = False
    """Whether nothing comes after it."""
    number: int = 1
    """Changes that it tells of."""
    batch: Batch | None = None
    """What it is told within, where more of that comes after it."""


class State(NamedTuple):
    """The state that a stream begins with, or goes on from."""

    place: int
    """Its place in the log."""
    shown: Shown | None
    """The events that it shows and that have no place yet."""
    delivery: Delivery
    """What is told of it."""


Push = Callable[[Delivery], bool]
"""Sends an answer at once; False where it has to wait, and is then taken from the iterator."""


class Evaluates(Protocol):
    """What an executor does for streams; ``prepared`` and ``contexts`` are as it knows them."""

    async def open_source(self, prepared: Any, context: Context) -> Any:
        """Return what a subscription's resolver returns, or the result that refuses it."""
        ...

    async def answers(self, prepared: Any, contexts: Any, items: Sequence[Item]) -> list[Any]:
        """Return the answers to what is told, each with ``body()``; never raises."""
        ...

    async def answer_event(self, prepared: Any, contexts: Any, event: object) -> Any:
        """Return the answer to one event of a source of its own; never raises."""
        ...

    async def snapshot(
        self, prepared: Any, contexts: Any, opened: Opened, reason: SnapshotReason
    ) -> tuple[int, Shown | None, Any]:
        """Return the state: its place, the events it shows that have none yet, and the answer.

        Raises:
            Exception: it could not be read.

        """
        ...

    def failed_source(self, prepared: Any, error: Exception, context: Context | None) -> Any:
        """Return the last answer of a subscription whose source failed."""
        ...

    def told_source(self, result: ExecutionResult, prepared: Any, context: Context) -> Any:
        """Return the only answer of a subscription that did not start."""
        ...


def encoded(answer: Any, cursor: str | None, state: SnapshotReason | None = None) -> bytes:
    """Return an answer's response map as JSON; its extensions tell where to resume, at the end.

    Of a state they tell why it is told: what has the same shape as a change is else not known.
    """
    body = answer.body()
    if cursor is not None:
        of_state = {} if state is None else {"snapshot": {"reason": state}}
        body["extensions"] = {**body.get("extensions", {}), **of_state, "seq": cursor}
    return orjson.dumps(body)


def showing(delivery: Delivery, shown: Shown) -> Delivery:
    """Return an answer whose cursor names what a state showed its subscriber, if it has a cursor.

    That is the last thing in it, until it also tells that it caught up.
    """
    if delivery.cursor is None:
        return delivery
    body = b'%b%b"}}' % (delivery.body[:-3], shown.text.encode())
    return delivery._replace(body=body, cursor=delivery.cursor + shown.text)


def caught_up(delivery: Delivery, replayed: int) -> Delivery:
    """Return an answer that also tells its subscriber that nothing of what it missed is left."""
    told = b',"caughtUp":{"replayed":%d}}}' % replayed
    return delivery._replace(body=delivery.body[:-2] + told)


def passes(answer: Any) -> bool:
    """Tell whether an answer tells of something that may be over when it is tried again."""
    return any(error["extensions"]["code"] in _PASSING for error in answer.errors)
