"""What a read or a command is given: who asks, connections, loaders, clock, counters."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from resolvers.core.broker import Broker
from resolvers.core.clock import Clock
from resolvers.core.principal import Principal, RowScope
from resolvers.core.reference import ReferenceCache
from resolvers.core.statement import Statement
from resolvers.core.stream import Log
from resolvers.core.trace import Trace


@dataclass(slots=True)
class OperationStats:
    """Counters of one operation, read by metrics, logs and the statement-count tests."""

    statements: int = 0
    rows: int = 0
    batches: int = 0
    batched_keys: int = 0
    cache_hits: int = 0
    """Loads answered by a key already loaded or on its way."""
    database_seconds: float = 0.0
    loaders: dict[str, int] = field(default_factory=dict)
    """Batches per loader name."""
    retries: int = 0
    """Times a command was run again because it and another one were in each other's way."""
    statements_by_name: dict[str, int] = field(default_factory=dict)
    """Reading statements by what they read."""
    pieces: int = 0
    """Pieces that a large answer was made in, each of which asks by itself; 0 for as a whole."""
    trace: Trace | None = None
    """Where the statements are recorded, if that was asked for."""


class PoolState(NamedTuple):
    """How a connection pool stands at this moment."""

    limit: int
    """Most connections it may open."""
    size: int
    """Connections open now."""
    in_use: int
    """Connections lent out now."""
    waiting: int
    """Callers waiting for one now."""


class Reads(Protocol):
    """Read access of one operation: one connection, set to the caller's rows, used in sequence."""

    @property
    def scope(self) -> RowScope:
        """Return which rows are seen."""
        ...

    @property
    def reference(self) -> ReferenceCache | None:
        """Return what the process keeps of reference data; None where nothing is kept."""
        ...

    async def fetch(
        self, statement: Statement, parameters: Mapping[str, Any]
    ) -> Sequence[Sequence[Any]]:
        """Run ``statement`` and return its rows; counted in the operation's stats.

        Raises:
            Overloaded: no connection became free in time.
            TimedOut: the statement ran into PostgreSQL's statement_timeout.

        """
        ...


class SteadyReads(Reads, Protocol):
    """Reads that can see one moment for as long as is needed."""

    def at_once(self) -> AbstractAsyncContextManager[None]:
        """Open a block within which everything that is read sees the same moment."""
        ...


class Writes(Protocol):
    """Write access: opens the one short transaction of a command."""

    def begin(self, rows: RowScope) -> AbstractAsyncContextManager[Any]:
        """Open a transaction set to ``rows``; commits on a clean exit, rolls back otherwise."""
        ...

    async def call(
        self, rows: RowScope, statement: Statement, parameters: Mapping[str, Any]
    ) -> Any:
        """Run a statement that is a transaction of its own, set to ``rows``; return its value.

        Raises:
            Overloaded: no connection became free in time.

        """
        ...

    def rehearse(
        self, rows: RowScope, seen: RowScope
    ) -> AbstractAsyncContextManager[tuple[Any, Reads]]:
        """Open a transaction that is rolled back in any case, and the reads that see into it.

        It is set to ``rows``, and the reads to those ``seen`` by the caller. Once something was
        read, nothing more may be written.
        """
        ...


class Context:
    """One per query or mutation, and one per event of a subscription; never shared between them.

    Loaders therefore never outlive the operation or event they serve, so a live socket cannot
    answer with stock it read earlier.
    """

    __slots__ = (
        "_committed",
        "alone",
        "broker",
        "clock",
        "denied",
        "loaders",
        "log",
        "pools",
        "ports",
        "principal",
        "reads",
        "rehearsal",
        "rehearsing",
        "request_id",
        "resumes_after",
        "selections",
        "stats",
        "turns",
        "wake_relay",
        "writes",
    )

    def __init__(
        self,
        *,
        principal: Principal,
        request_id: str,
        clock: Clock,
        reads: Reads,
        writes: Writes,
        broker: Broker,
        log: Log,
        wake_relay: Callable[[], None],
        stats: OperationStats,
        pools: Mapping[str, Callable[[], PoolState]] | None = None,
        ports: Mapping[Any, Any] | None = None,
    ) -> None:
        self.principal = principal
        self.request_id = request_id
        self.clock = clock
        self.reads = reads
        self.writes = writes
        self.rehearsing = False
        """Whether commands are to be rolled back, and told of as if they had not been."""
        self.rehearsal: AsyncExitStack | None = None
        """What undoes a rehearsed command, until that is done; see `end_rehearsal`."""
        self._committed = reads
        """What is read from again when a rehearsal is over."""
        self.broker = broker
        self.log = log
        self.wake_relay = wake_relay
        """Tells the relay, after a commit, that events wait; it would find them itself, later."""
        self.stats = stats
        self.pools = pools or {}
        """How each pool of connections of the process stands, when it is asked."""
        self.ports = ports or {}
        """What modules need of the process, by the protocol in their ``ports.py``."""
        self.resumes_after: str | None = None
        """Cursor of a subscription that goes on, where the transport was told one."""
        self.alone = False
        """Whether nothing else is loaded at the same time: there is nothing to batch with."""
        self.turns: tuple[int, int] | None = None
        """Of a large answer: its place among those being made, and the turns it took so far."""
        self.loaders: dict[Any, Any] = {}
        self.selections: dict[Any, frozenset[str]] = {}
        """Columns already found for a place in the operation."""
        self.denied: dict[Any, Any] = {}
        """What the caller may not see, by its place in the operation."""

    def loader(self, key: Any, make: Callable[["Context"], Any]) -> Any:
        """Return the loader filed under ``key``, made on first use."""
        found = self.loaders.get(key)
        if found is None:
            found = self.loaders[key] = make(self)
        return found

    def see(self, rehearsal: AsyncExitStack, reads: Reads) -> None:
        """Read what a rehearsed command did, until `end_rehearsal`, which closes ``rehearsal``."""
        self.rehearsal = rehearsal
        self._committed, self.reads = self.reads, reads
        self.forget()

    async def end_rehearsal(self) -> None:
        """Undo what a rehearsed command did, if one was, and read what is committed again."""
        self.rehearsing = False
        rehearsal, self.rehearsal = self.rehearsal, None
        if rehearsal is not None:
            self.reads = self._committed
            self.forget()
            await rehearsal.aclose()

    def forget(self) -> None:
        """Load anew from now on, because what was loaded before may have been changed."""
        # under keys nobody asks for: they still end with the operation
        self.loaders = {object(): loader for loader in self.loaders.values()}
