"""One `Context` per operation or event: the caller's reads and writes over this process's pools."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol

from gateway.database import OperationReads, ReadPool
from gateway.writing import OperationWrites, WritePool
from resolvers.core.broker import Broker
from resolvers.core.clock import Clock
from resolvers.core.context import Context, OperationStats
from resolvers.core.principal import Principal
from resolvers.core.reference import ReferenceCache
from resolvers.core.stream import Log


class Wakes(Protocol):
    """What tells the relay that there are events to publish."""

    def soon(self) -> None:
        """Wake the relay shortly; called after a commit."""
        ...


class OperationContext:
    """Opens the context of one operation or event and gives its connection back at the end."""

    __slots__ = ("_context", "_reads")

    def __init__(self, context: Context, reads: OperationReads) -> None:
        self._context = context
        self._reads = reads

    async def __aenter__(self) -> Context:
        """Return the context; no connection is taken before the first statement."""
        return self._context

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End batches nobody waits for any more, and give back the connection, if one was taken."""
        context = self._context
        try:
            if context.loaders:
                for loader in context.loaders.values():
                    await loader.aclose()
        finally:
            if context.rehearsal is not None:
                await context.end_rehearsal()
            self._reads.give_back()


class Contexts:
    """Makes contexts; one per process."""

    def __init__(
        self,
        *,
        reads: ReadPool,
        writes: WritePool,
        broker: Broker,
        log: Log,
        wakes: Wakes,
        clock: Clock,
        reference: ReferenceCache | None,
        ports: Mapping[Any, Any] | None = None,
    ) -> None:
        self._reads = reads
        self._writes = writes
        self._broker = broker
        self._log = log
        self._wakes = wakes
        self._clock = clock
        self._reference = reference
        self._ports = ports or {}
        self._pools = {"read": reads.state, "write": writes.state}

    def open(self, principal: Principal, request_id: str) -> OperationContext:
        """Open a context for ``principal``; statements count in its stats."""
        stats = OperationStats()
        reads = OperationReads(self._reads, principal.rows, stats, self._reference)
        context = Context(
            principal=principal,
            request_id=request_id,
            clock=self._clock,
            reads=reads,
            writes=OperationWrites(self._writes, stats),
            broker=self._broker,
            log=self._log,
            wake_relay=self._wakes.soon,
            stats=stats,
            pools=self._pools,
            ports=self._ports,
        )
        return OperationContext(context, reads)
