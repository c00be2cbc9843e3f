"""GraphQL over server-sent events in single connection mode: one stream for many operations.

https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md

A client reserves a stream, opens it with the token it got for that, and starts and ends operations
by requests of their own; their answers come on the stream, each with the id of its operation. All
of it is kept by the process that made the reservation: others know nothing of its token.
"""

import asyncio
import secrets
from collections import Counter
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog
from graphql import OperationType

from gateway.callers import Callers
from gateway.transports.connection import ClientGone
from gateway.transports.faults import HttpFault, error_entry, internal_error
from gateway.transports.operations import Operations
from gateway.transports.sse import EventStream
from gateway.transports.statuses import Fault
from resolvers.core.errors import ErpError
from resolvers.core.metrics import Metrics
from resolvers.core.principal import Principal, same_rights
from resolvers.operations.rules import StreamTransport
from schema.core.execution import ContextFactory, Prepared
from schema.core.live import Delivery, Subscriber

TOKEN_HEADER: Final = b"x-graphql-event-stream-token"
RESERVED_SECONDS: Final = 30.0
"""How long a reservation waits for its stream to be opened."""
LONGEST_ID: Final = 200
"""Most characters of an operation's id."""

_END: Final = b"}\n\n"
_NOT_HERE: Final = "No stream of yours has this token here; reserve one with PUT."

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How many streams a caller may hold per process, and how many operations a stream."""

    streams_per_caller: int
    operations: int


class SharedStreams:
    """The streams of one process, by their tokens."""

    def __init__(
        self, operations: Operations, callers: Callers, limits: StreamLimits, metrics: Metrics
    ) -> None:
        self.operations = operations
        self.callers = callers
        self.limits = limits
        self.metrics = metrics
        self._streams: dict[str, SharedStream] = {}
        self._held: Counter[str] = Counter()
        """Streams by their callers."""

    async def reserve(self, authorization: str | None, company: str | None) -> str:
        """Reserve a stream for a caller; return the token to open it with.

        Raises:
            ErpError: the credential does not hold.
            HttpFault: the caller has too many.

        """
        token = secrets.token_urlsafe(32)
        stream = SharedStream(self, token)
        principal = stream.principal = await self.callers.enter(stream, authorization, company)
        most = self.limits.streams_per_caller
        if self._held[principal.actor] >= most:
            self.callers.leave(stream)
            details = {"limit": "streams per caller", "maximum": most}
            message = f"A caller may hold {most} streams at a time."
            raise HttpFault(Fault.RATE_LIMITED, message, details=details)
        self._held[principal.actor] += 1
        self._streams[token] = stream
        stream.wait()
        return token

    def find(self, token: str, principal: Principal | None) -> "SharedStream":
        """Return the stream of a token; ``principal`` None is one who shows nothing else.

        Raises:
            HttpFault: there is none, or it is of another credential.

        """
        stream = self._streams.get(token)
        if stream is None or (principal is not None and not stream.belongs_to(principal)):
            raise HttpFault(Fault.NOT_FOUND, _NOT_HERE)
        return stream

    def forget(self, token: str) -> None:
        """Forget a stream that has ended."""
        stream = self._streams.pop(token, None)
        if stream is not None:
            self.callers.leave(stream)
            actor = stream.principal.actor
            self._held[actor] -= 1
            if not self._held[actor]:
                del self._held[actor]


class SharedStream:
    """One reservation, the stream that fulfills it, and the operations that answer on it.

    Operations may be started before it is open, and run once it is.
    """

    principal: Principal
    """Who reserved it, as they are now."""

    def __init__(self, streams: SharedStreams, token: str) -> None:
        self._streams = streams
        self._token = token
        self._out: EventStream | None = None
        self._opened = asyncio.Event()
        self._active: dict[str, asyncio.Task[None]] = {}
        """What runs, by the ids the client gave."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscribers: dict[Subscriber, str] = {}
        """The running subscriptions, and the id of each's request."""
        self._expiry: asyncio.TimerHandle | None = None
        self._over = False

    def wait(self) -> None:
        """Wait to be opened, for a while."""
        loop = asyncio.get_running_loop()
        self._expiry = loop.call_later(RESERVED_SECONDS, self._end)

    def changed(self, principal: Principal) -> None:
        """Go on as the same caller with other rights."""
        before, self.principal = self.principal, principal
        if not same_rights(before, principal):
            for subscriber, request_id in self._subscribers.items():
                subscriber.move(self._streams.operations.contexts_of(principal, request_id))

    def refused(self, error: ErpError) -> None:
        """Tell the caller nothing more than why, for every operation, and end."""
        body = {"errors": [error_entry(error.message, error.code)]}
        last = b"".join(
            _next(operation_id) + orjson.dumps(body) + _END + _complete(operation_id)
            for operation_id in self._active
        )
        if self._out is None:
            self._end()
        else:
            self._out.cut(last)

    def belongs_to(self, principal: Principal) -> bool:
        """Tell whether a caller is the one who reserved it."""
        mine = self.principal
        return (principal.credential, principal.company_id) == (mine.credential, mine.company_id)

    async def serve(self, out: EventStream) -> None:
        """Be open until the client leaves, the caller's token ends or the server stops.

        Raises:
            HttpFault: it is open already.
            ClientGone: the client left, or stopped reading.

        """
        if self._out is not None:
            raise HttpFault(Fault.CONFLICT, "This stream is open already.")
        if self._expiry is not None:
            self._expiry.cancel()
        self._out = out
        self._opened.set()
        try:
            await out.stay_open(self.principal)
        finally:
            self._end()

    def start(self, operation_id: Any, prepared: Prepared, request_id: str) -> None:
        """Start an operation that answers on the stream.

        Raises:
            HttpFault: it has no id, its id is in use, too many run, or the stream has ended.

        """
        if self._over:
            raise HttpFault(Fault.NOT_FOUND, _NOT_HERE)
        if type(operation_id) is not str or not 0 < len(operation_id) <= LONGEST_ID:
            message = f"extensions.operationId must be a string of 1 to {LONGEST_ID} characters."
            raise HttpFault(Fault.MALFORMED, message)
        if operation_id in self._active:
            raise HttpFault(Fault.CONFLICT, "An operation with this operationId runs already.")
        most = self._streams.limits.operations
        if len(self._tasks) >= most:
            details = {"limit": "operations per stream", "maximum": most}
            message = f"A stream may run {most} operations at a time."
            raise HttpFault(Fault.RATE_LIMITED, message, details=details)
        task = asyncio.create_task(self._run(operation_id, prepared, request_id))
        self._active[operation_id] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self, operation_id: str) -> None:
        """End an operation; nothing if it is over."""
        task = self._active.pop(operation_id, None)
        if task is not None:
            task.cancel()

    def _end(self) -> None:
        """End all operations, and forget the reservation."""
        self._over = True
        if self._expiry is not None:
            self._expiry.cancel()
        self._streams.forget(self._token)
        for task in self._tasks:
            task.cancel()

    async def _run(self, operation_id: str, prepared: Prepared, request_id: str) -> None:
        """Run an operation to its end, and tell of the end."""
        await self._opened.wait()
        out, operations = self._out, self._streams.operations
        assert out is not None
        before = _next(operation_id)
        contexts = operations.contexts(self.principal, request_id, "sse")
        try:
            try:
                if prepared.operation_type is OperationType.SUBSCRIPTION:
                    await self._follow(out, before, prepared, contexts, request_id)
                else:
                    answer = await operations.execute(prepared, contexts)
                    await out.send(before + orjson.dumps(answer.body()) + _END)
            except ClientGone:
                raise
            except Exception:
                log.exception("operation failed")
                body = {"errors": [internal_error(operation_id)]}
                await out.send(before + orjson.dumps(body) + _END)
            if self._active.get(operation_id) is asyncio.current_task():
                # once it has read this, the client may use the id again
                del self._active[operation_id]
                await out.send(_complete(operation_id))
        except ClientGone:
            return

    async def _follow(
        self,
        out: EventStream,
        before: bytes,
        prepared: Prepared,
        contexts: ContextFactory,
        request_id: str,
    ) -> None:
        """Send the answers of a subscription."""
        metrics = self._streams.metrics
        metrics.subscription_started("sse")

        def send_now(answer: Delivery) -> bool:
            if not out.push(before + answer.body + _END):
                return False
            metrics.event_sent("sse")
            return True

        answers = self._streams.operations.subscribe(prepared, contexts, StreamTransport.SSE)
        self._subscribers[answers] = request_id
        try:
            async with aclosing(answers):
                answers.push = send_now
                async for answer in answers:
                    await out.send(before + answer.body + _END)
                    metrics.event_sent("sse")
        finally:
            del self._subscribers[answers]
            metrics.subscription_ended("sse")


def _next(operation_id: str) -> bytes:
    """Return what stands before a result in its event."""
    return b'event: next\ndata: {"id":%b,"payload":' % orjson.dumps(operation_id)


def _complete(operation_id: str) -> bytes:
    """Return the end of an operation."""
    return b"event: complete\ndata: " + orjson.dumps({"id": operation_id}) + b"\n\n"
