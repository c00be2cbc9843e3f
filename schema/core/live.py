"""Live streams: one evaluation for all who ask the same; everybody is told each change once.

Subscribers with the same document, variables and permissions are a *group*. A group has a *feed*
for each interest among them, which the broker finds by its index. What its feeds are offered while
it works is evaluated together, once, and encoded once; the bytes go to every subscriber.

Where a subscriber begins, its feed's position and the log are joined: what is up to that position
comes from the log, in pages, and what is after it from the feed. No place is in both or in neither.
Who reads too slowly leaves its feed, and nothing is kept for it in memory: what it has not read is
in the log.
"""

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from datetime import datetime
from random import getrandbits
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol

import orjson
from graphql import ExecutionResult, FieldNode, FragmentSpreadNode, Visitor, visit

from resolvers.core.broker import Broker, Interest, PublishedEvent, SubscriberLagged
from resolvers.core.context import Context
from resolvers.core.errors import ErrorCode, LimitExceeded, Overloaded
from resolvers.core.principal import Principal
from resolvers.core.stream import Log, Told, missed
from schema.core.fields import RowType
from schema.core.stream import (
    Opened,
    SlowPolicy,
    SnapshotReason,
    Stream,
    StreamNotice,
    StreamNoticeCode,
    coalesced,
)

_QUEUE: Final = 256
"""Most answers that wait for one subscriber; more than come at once, or it would get no turn."""
_BATCH: Final = 200
"""Most changes evaluated together; a page of the log has as many."""
_BUSY: Final = 200
"""Changes waiting for one group from which a backlog of events waits for it."""
_MOST_PENDING: Final = 5_000
"""Changes waiting for one group after which its subscribers go on from the log."""
_MOST_KEYED: Final = 10_000
"""Most things of which changes are gathered to become one."""
_TURN_SECONDS: Final = 0.005
"""Longest the event loop is held while an answer goes to its subscribers."""
_PATIENCE_SECONDS: Final = 60.0
"""Longest that a change waits for the database to be there again, before its subscribers end."""
_RETRY_SECONDS: Final = (0.05, 1.0)
"""Shortest and longest wait before a change is evaluated again."""
_PASSING: Final = frozenset({ErrorCode.OVERLOADED.value, ErrorCode.TIMEOUT.value})
"""Codes of what may be over when the same is tried again."""
_ID_BITS: Final = 62
"""Bits of the number a subscriber is known by: so many that no two have the same."""
_TURN_CHECK: Final = 32
"""Subscribers told between two looks at the clock."""


class Delivery(NamedTuple):
    """One answer of a subscription, encoded; shared by all who are told it."""

    body: bytes
    """The response map as JSON."""
    cursor: str | None = None
    """Where to resume after it, if it can be."""
    seq: int = 0
    event_id: str = ""
    over: bool = False
    """Whether nothing comes after it."""


Push = Callable[[Delivery], bool]
"""Sends an answer at once; False where it has to wait, and is then taken from the iterator."""


class Evaluates(Protocol):
    """What an executor does for streams; ``prepared`` and ``contexts`` are as it knows them."""

    async def open_source(self, prepared: Any, context: Context) -> Any:
        """Return what a subscription's resolver returns, or the result that refuses it."""
        ...

    async def answers(self, prepared: Any, contexts: Any, items: Sequence[RowType]) -> list[Any]:
        """Return the answers to what is told, each with ``body()``; never raises."""
        ...

    async def answer_event(self, prepared: Any, contexts: Any, event: object) -> Any:
        """Return the answer to one event of a source of its own; never raises."""
        ...

    async def snapshot(
        self, prepared: Any, contexts: Any, opened: Opened, reason: SnapshotReason
    ) -> tuple[int, frozenset[str], Any]:
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


class Live:
    """The live streams of one process; the counters are totals since the start, for metrics."""

    def __init__(self, *, queue: int = _QUEUE) -> None:
        self.queue = queue
        self.on_work: Callable[[str, int], object] = lambda _work, _amount: None
        """Told of what was done, for metrics: ``evaluated`` changes, ``slow`` subscribers."""
        self.evaluated = 0
        """Changes evaluated."""
        self.delivered = 0
        """Answers told."""
        self.lagged = 0
        """Times a subscriber read too slowly."""
        self.subscribers: dict[Subscriber, None] = {}
        """Those that run, in the order they began."""
        self._groups: dict[Any, _Group] = {}

    @property
    def groups(self) -> int:
        """Number of groups of subscribers that share their evaluations."""
        return len(self._groups)

    def busy(self) -> bool:
        """Tell whether a group has so much to do that a backlog is to wait."""
        return any(group.pending > _BUSY for group in self._groups.values())

    def group(self, key: Any, make: Callable[[], "_Group"]) -> "_Group":
        """Return the group filed under ``key``, made on first use."""
        found = self._groups.get(key)
        if found is None:
            found = self._groups[key] = make()
        return found

    def forget(self, group: "_Group") -> None:
        """Forget a group that has no subscriber."""
        if self._groups.get(group.key) is group:
            del self._groups[group.key]


class _Request:
    """Changes to evaluate for one interest, and who gets the answers; or the end of a feed."""

    __slots__ = ("error", "feed", "future", "interest", "stream", "told")

    def __init__(
        self,
        stream: Stream,
        interest: Interest,
        told: Sequence[Told],
        *,
        feed: "_Feed | None" = None,
        future: "asyncio.Future[list[Delivery]] | None" = None,
    ) -> None:
        self.stream = stream
        self.interest = interest
        self.told = told
        self.feed = feed
        self.future = future
        self.error: Exception | None = None


class _Group:
    """Subscribers that are told the same of a change, and what is to be evaluated for them."""

    def __init__(
        self, live: Live, evaluates: Evaluates, key: Any, prepared: Any, contexts: Any
    ) -> None:
        self.key = key
        self.members = 0
        self.pending = 0
        self._live = live
        self._evaluates = evaluates
        self._prepared = prepared
        self._contexts = contexts
        self._feeds: dict[Any, _Feed] = {}
        self._requests: deque[_Request] = deque()
        self._states: dict[Any, asyncio.Task[tuple[int, frozenset[str], Any]]] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def works(self) -> bool:
        """Tell whether something is evaluated, or waits for it."""
        return self._task is not None or bool(self._requests)

    def feed(self, broker: Broker, opened: Opened) -> "_Feed":
        """Return the feed of an interest; it listens from now on."""
        stream = opened.stream
        key = (stream.topics, stream.interest, opened.coalesce_seconds)
        found = self._feeds.get(key)
        if found is None:
            found = self._feeds[key] = _Feed(self, broker, key, opened)
            found.listen()
        return found

    def forget(self, feed: "_Feed") -> None:
        """Forget a feed that has no subscriber."""
        if self._feeds.get(feed.key) is feed:
            del self._feeds[feed.key]

    def leave(self) -> None:
        """Let a subscriber go; the group ends with its last."""
        self.members -= 1
        if not self.members:
            self._live.forget(self)
            self._requests.clear()
            if self._task is not None:
                self._task.cancel()

    def ask(self, *requests: _Request) -> None:
        """Have changes evaluated soon, after those asked for before."""
        if self.pending >= _MOST_PENDING and any(one.feed and one.told for one in requests):
            self._fall_behind()
            return
        self._requests += requests
        self.pending += sum(len(one.told) for one in requests)
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    def _fall_behind(self) -> None:
        """Have all subscribers go on from the log; nobody is told what waits for feeds."""
        for feed in list(self._feeds.values()):
            feed.fall_behind()
        self._requests = deque(one for one in self._requests if one.feed is None or not one.told)
        self.pending = sum(len(one.told) for one in self._requests)

    async def evaluate(self, stream: Stream, told: Sequence[Told]) -> list[Delivery]:
        """Return what is told of changes, together with what others of the group ask for."""
        future: asyncio.Future[list[Delivery]] = asyncio.get_running_loop().create_future()
        self.ask(_Request(stream, stream.interest, told, future=future))
        return await future

    async def state(
        self, opened: Opened, reason: SnapshotReason
    ) -> tuple[int, frozenset[str], Any]:
        """Return the state, read once for all who ask meanwhile; see `Evaluates.snapshot`."""
        key = (opened.stream.interest, reason)
        task = self._states.get(key)
        if task is None:
            task = self._states[key] = asyncio.create_task(self._read_state(opened, reason))
            task.add_done_callback(lambda _: self._states.pop(key, None))
        return await asyncio.shield(task)

    async def _read_state(
        self, opened: Opened, reason: SnapshotReason
    ) -> tuple[int, frozenset[str], Any]:
        """Return the state.

        Raises:
            Overloaded: it could not be read; without it, what comes after it tells nothing.

        """
        found = await self._evaluates.snapshot(self._prepared, self._contexts, opened, reason)
        if passes(found[2]):
            raise Overloaded("The state cannot be read; subscribe again.")
        return found

    async def _work(self) -> None:
        try:
            while self._requests:
                await self._work_batch()
        finally:
            self._task = None

    async def _work_batch(self) -> None:
        batch: list[_Request] = []
        size = 0
        while self._requests and size < _BATCH:
            request = self._requests.popleft()
            size += len(request.told)
            batch.append(request)
        self.pending -= size
        try:
            found = await self._deliveries(batch)
        except Exception as error:  # noqa: BLE001 - told to those it concerns
            for request in batch:
                _fail(request, error)
            return
        for request, deliveries in zip(batch, found, strict=True):
            if request.feed is not None:
                if request.error is not None or not request.told:
                    request.feed.ended(request.error)
                else:
                    await request.feed.deliver(deliveries)
            elif request.future is not None and not request.future.done():
                request.future.set_result(deliveries)

    async def _deliveries(self, batch: Sequence[_Request]) -> list[list[Delivery]]:
        """Return what is told for each request; what is equal is evaluated once."""
        places: dict[Any, int] = {}
        items: list[RowType] = []
        wanted: list[list[tuple[Told, int]]] = []
        for request in batch:
            tell, interest = request.stream.tell, request.interest
            of_request = []
            for told in request.told:
                item = tell(told, interest)
                key = _key(told, item)
                place = places.get(key)
                if place is None:
                    place = places[key] = len(items)
                    items.append(item)
                of_request.append((told, place))
            wanted.append(of_request)
        self._live.evaluated += len(items)
        self._live.on_work("evaluated", len(items))
        answers = await self._answers(items)
        bodies = [orjson.dumps(answer.body()) for answer in answers]
        return [
            [
                Delivery(
                    bodies[place],
                    str(told.last.seq),
                    told.last.seq,
                    told.last.event_id,
                    request.stream.is_over(told.last.payload),
                )
                for told, place in of_request
            ]
            for request, of_request in zip(batch, wanted, strict=True)
        ]

    async def _answers(self, items: Sequence[RowType]) -> list[Any]:
        """Return the answers, once the database is there to give them.

        A change told with an error would be lost to its subscribers: they go on after it.

        Raises:
            Overloaded: it did not come back in time.

        """
        wait, longest = _RETRY_SECONDS
        until = monotonic() + _PATIENCE_SECONDS
        while True:
            answers = await self._evaluates.answers(self._prepared, self._contexts, items)
            if not any(map(passes, answers)):
                return answers
            if monotonic() > until:
                raise Overloaded("Changes cannot be read; subscribe again, after the last one.")
            await asyncio.sleep(wait)
            wait = min(2 * wait, longest)


def passes(answer: Any) -> bool:
    """Tell whether an answer tells of something that may be over when it is tried again."""
    return any(error["extensions"]["code"] in _PASSING for error in answer.errors)


def _key(told: Told, item: RowType) -> Any:
    """Return what is the same for changes that are told the same."""
    key = (told.first.seq, told.last.seq, *item.row.values())
    try:
        hash(key)
    except TypeError:  # it holds a list or an object
        return (told.first.seq, told.last.seq, repr(item.row))
    return key


def _fail(request: _Request, error: Exception) -> None:
    if request.feed is not None:
        request.feed.ended(error)
    elif request.future is not None and not request.future.done():
        request.future.set_exception(error)


class _Feed:
    """What the subscribers of a group with one interest are told; a listener of the broker."""

    def __init__(self, group: _Group, broker: Broker, key: Any, opened: Opened) -> None:
        self.group = group
        self.key = key
        self.members: dict[Subscriber, None] = {}
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

    def join(self, member: "Subscriber") -> int:
        """Tell a subscriber what is published from now on; return the place of what was before."""
        # what was gathered is no business of one who comes now
        self._flush()
        self.members[member] = None
        return self._broker.position

    def leave(self, member: "Subscriber") -> None:
        """Tell a subscriber nothing more; the feed ends with its last."""
        self.members.pop(member, None)
        if not self.members:
            self._stop()

    def offer(self, event: PublishedEvent) -> None:
        """Take an event: have it evaluated, or gather it until it is time."""
        if not self._waiting and not self._gathered:
            self._given = event.seq - 1
        told = Told.one(event)
        if not self._seconds:
            self._ask((told,))
            return
        coalesced(self._gathered, [told], self._stream.key)
        if len(self._gathered) >= _MOST_KEYED:
            self._flush()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._seconds, self._flush)

    def end(self, error: Exception | None) -> None:
        """End the subscribers, after what they are still to be told."""
        self._flush()
        request = _Request(self._stream, self._stream.interest, (), feed=self)
        request.error = error
        self.group.ask(request)

    def ended(self, error: Exception | None) -> None:
        """End the subscribers now."""
        members = list(self.members)
        self.members.clear()
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
        self.group.ask(*(_Request(stream, stream.interest, part, feed=self) for part in parts))

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gathered:
            gathered = sorted(self._gathered.values(), key=_place)
            self._gathered = {}
            self._ask(*_batches(gathered))

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._gathered = {}
        self._broker.leave(self)
        self.group.forget(self)


def _place(told: Told) -> int:
    return told.last.seq


def _batches(told: Sequence[Told]) -> Iterable[Sequence[Told]]:
    """Part changes into what is evaluated together."""
    return (told[start : start + _BATCH] for start in range(0, len(told), _BATCH))


class Subscriber(AsyncIterator[Delivery]):
    """One running subscription: an iterator over its answers, for one consumer; close it.

    A transport that can send without waiting sets ``push``: while nothing waits for the consumer,
    answers go that way, and the iterator yields the others.
    """

    def __init__(
        self,
        live: Live,
        evaluates: Evaluates,
        prepared: Any,
        contexts: Any,
        *,
        resumes_after: str | None = None,
        transport: str | None = None,
    ) -> None:
        self.id = getrandbits(_ID_BITS)
        """What it is known by outside of this process."""
        self.push: Push | None = None
        self.delivered = 0
        """Answers told so far."""
        self.prepared = prepared
        self.transport = transport
        """How it reaches its client; None where nobody is connected."""
        self.principal: Principal | None = None
        """Whose it is, once it began."""
        self.began_at: datetime | None = None
        """When it began."""
        self._live = live
        self._evaluates = evaluates
        self._contexts = contexts
        self._resumes_after = resumes_after
        self._group: _Group | None = None
        self._feed: _Feed | None = None
        self._opened: Opened | None = None
        self._queue: deque[Delivery] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._told: int | None = None
        """Place up to which everything was told, or is not for this subscriber."""
        self._since = 0
        """Place of the last event published before the feed was joined."""
        self._shown: set[str] = set()
        """Events that the state shows and that had no place yet."""
        self._behind = False
        self._merging = False
        self._body = b""
        """What was told last."""
        self._dropped = 0
        self._dropped_to = 0
        self._ended = False
        self._error: Exception | None = None
        self._moving = False
        self._answers = self._run()

    def __aiter__(self) -> "Subscriber":
        """Return itself."""
        return self

    async def __anext__(self) -> Delivery:
        """Return the next answer that was not pushed.

        Raises:
            StopAsyncIteration: the subscription is over; an error was told in its last answer.

        """
        return await anext(self._answers)

    async def aclose(self) -> None:
        """End the subscription."""
        await self._answers.aclose()

    @property
    def position(self) -> int:
        """Place up to which all was told that is for this subscriber; 0 while that is not known."""
        waits = self._waiter is not None and not self._waiter.done()
        if waits and not self._queue and self._feed is not None and self._feed.is_idle:
            return self._feed.position
        return 0

    @property
    def root_field(self) -> str:
        """What it subscribes to."""
        node = self.prepared.operation.selection_set.selections[0]
        while not isinstance(node, FieldNode):
            if isinstance(node, FragmentSpreadNode):
                node = self.prepared.source.fragments[node.name.value]
            node = node.selection_set.selections[0]
        return str(node.name.value)

    @property
    def is_live(self) -> bool:
        """Whether it is told what happens from now on."""
        return self._feed is not None

    # What happens to it from outside

    def take(self, delivery: Delivery, feed: _Feed) -> None:
        """Be told an answer by the feed; never blocks."""
        seq = delivery.seq
        told = self._told
        if feed is not self._feed or seq <= self._since or (told is not None and seq <= told):
            return
        if self._shown and delivery.event_id in self._shown:
            self._shown.discard(delivery.event_id)
            return
        waiter = self._waiter
        idle = waiter is not None and not waiter.done() and not self._queue
        if idle and self._repeats(delivery):
            self._told = seq
        elif idle and self._pushes(delivery):
            self._told = seq
            self._body = delivery.body
            self._count()
            if delivery.over:
                self._leave_feed()
                self.end(None)
        elif self._dropped:
            self._drop(delivery)
        elif len(self._queue) < self._live.queue:
            self._queue.append(delivery)
            self._wake()
        else:
            self._overflow(delivery)

    def _repeats(self, delivery: Delivery) -> bool:
        """Tell whether it is what was told last, in a stream where that is nothing new."""
        distinct = self._opened is not None and self._opened.stream.distinct
        return distinct and delivery.body == self._body

    def _pushes(self, delivery: Delivery) -> bool:
        """Send an answer at once, if that can be done; no failure of one is to concern others."""
        try:
            return self.push is not None and self.push(delivery)
        except Exception:  # noqa: BLE001 - its consumer finds out, who sends it then
            return False

    def end(self, error: Exception | None) -> None:
        """End once what waits was told; ``error`` is then told."""
        self._ended = True
        self._error = error
        self._wake()

    def stop(self, error: Exception) -> None:
        """End now: of what waits nothing is told, but ``error``."""
        self._ended = True
        self._error = error
        self._forget_waiting()
        # leave whatever is read for it, as who moves does; being ended it does not go on
        self._moving = True
        self._leave_feed()
        self._wake()

    def fall_behind(self) -> None:
        """Go on from the log, once what waits was told."""
        self._keep_place(publishing=True)
        self._behind = True
        self._leave_feed()
        self._wake()

    def move(self, contexts: Any) -> None:
        """Go on as another caller, or as the same one with other permissions: without a gap."""
        self._keep_place(publishing=False)
        self._contexts = contexts
        self._moving = True
        self._leave_feed()
        self._wake()

    # The stream

    async def _run(self) -> AsyncGenerator[Delivery, None]:
        """Yield the answers; whatever fails is told in the last."""
        context: Context | None = None
        self._live.subscribers[self] = None
        try:
            while True:
                # before the contexts are opened: who is moved meanwhile begins once more
                self._moving = False
                async with self._contexts() as context:
                    context.resumes_after = self._resumes_after
                    source = await self._evaluates.open_source(self.prepared, context)
                    self._began(context)
                    if not isinstance(source, Opened):
                        async with aclosing(self._from_source(source, context)) as answers:
                            async for delivery in answers:
                                yield delivery
                        return
                async with aclosing(self._follow(source, context)) as answers:
                    async for delivery in answers:
                        if self._repeats(delivery):
                            continue
                        self._body = delivery.body
                        self._count()
                        yield delivery
                        if delivery.over:
                            return
                if not self._moving:
                    return
        except Exception as error:  # noqa: BLE001 - told in the last answer
            failed = self._evaluates.failed_source(self.prepared, error, context)
            yield _single(failed)
        finally:
            self._live.subscribers.pop(self, None)
            self._leave()

    def _began(self, context: Context) -> None:
        """Know whose it is, and since when."""
        self.principal = context.principal
        if self.began_at is None:
            self.began_at = context.clock()

    async def _from_source(self, source: Any, context: Context) -> AsyncGenerator[Delivery, None]:
        """Yield the answers to a source that is no stream of the log."""
        if isinstance(source, ExecutionResult):
            yield _single(self._evaluates.told_source(source, self.prepared, context))
            return
        events = aiter(source)
        try:
            async for event in events:
                answer = await self._evaluates.answer_event(self.prepared, self._contexts, event)
                yield _single(answer)
        finally:
            close = getattr(events, "aclose", None)
            if close is not None:
                await close()

    async def _follow(self, opened: Opened, context: Context) -> AsyncGenerator[Delivery, None]:
        """Yield what is told: the state, what was missed, then what happens."""
        broker, log = context.broker, context.log
        self._opened = opened
        self._join_group(context)
        state = await self._first(opened)
        if state is not None:
            yield state
        while not self._over():
            await broker.begun()
            self._join_feed(broker, opened)
            try:
                async with aclosing(self._missed(opened, log)) as answers:
                    async for delivery in answers:
                        yield delivery
            except SubscriberLagged as lagged:
                self._leave_feed()
                if opened.stream.snapshot is None:
                    raise
                self._forget_waiting()
                try:
                    state = await self._state(opened, SnapshotReason.TOO_OLD)
                except LimitExceeded:
                    raise lagged from None
                if state is not None:
                    yield state
                continue
            async for delivery in self._happening():
                yield delivery
        if self._error is not None:
            raise self._error

    async def _first(self, opened: Opened) -> Delivery | None:
        """Return the state to begin with, where one does; else go on where one was."""
        if self._told is None and opened.snapshot and opened.after is None:
            return await self._state(opened, SnapshotReason.STARTED)
        if self._told is None:
            self._told = opened.after
        return None

    def _over(self) -> bool:
        """Tell whether it ended, or goes on in another group."""
        return self._moving or self._ended

    async def _missed(self, opened: Opened, log: Log) -> AsyncGenerator[Delivery, None]:
        """Yield what the log has between what was told and what the feed tells."""
        group, stream = self._group, opened.stream
        assert group is not None
        assert self._told is not None
        merging, self._merging = self._merging or opened.coalesce_seconds > 0, False
        told = self._told
        gathered: dict[Any, Told] = {}
        pages = missed(
            log,
            company_id=opened.company_id,
            topics=stream.topics,
            after=self._told,
            until=self._since,
            index=stream.interest.index,
        )
        async with aclosing(pages):
            async for events in pages:
                wanted = [Told.one(event) for event in events if self._wants(event, stream)]
                if merging:
                    coalesced(gathered, wanted, stream.key)
                    if len(gathered) < _MOST_KEYED:
                        continue
                    wanted, gathered = sorted(gathered.values(), key=_place), {}
                async for delivery in self._evaluated(group, stream, wanted):
                    self._told = told = delivery.seq
                    yield delivery
                if self._moving:  # it is read again, as the caller that it is now
                    self._told, self._merging = told, merging
                    return
                self._told = told = events[-1].seq
        last = sorted(gathered.values(), key=_place)
        async for delivery in self._evaluated(group, stream, last):
            self._told = told = delivery.seq
            yield delivery
        if self._moving:
            self._told, self._merging = told, merging

    async def _evaluated(
        self, group: _Group, stream: Stream, wanted: Sequence[Told]
    ) -> AsyncGenerator[Delivery, None]:
        """Yield what is told of changes, while it is for the caller that it was read for."""
        for part in _batches(wanted):
            deliveries = await group.evaluate(stream, part)
            if self._moving:
                return
            for delivery in deliveries:
                yield delivery

    def _forget_waiting(self) -> None:
        """Forget what waits: it is told, or shown, by other means."""
        self._queue.clear()
        self._dropped = 0

    async def _happening(self) -> AsyncGenerator[Delivery, None]:
        """Yield what the feed tells, until this subscriber leaves it."""
        queue = self._queue
        if self._moving:  # what waits comes after what is to be read again, and is read with it
            self._forget_waiting()
            self._behind = False
            return
        self._told = max(self._told or 0, self._since)
        while True:
            while queue:
                delivery = queue.popleft()
                self._told = delivery.seq
                yield delivery
            if self._dropped:
                yield await self._notice()
                continue
            if self._behind or self._over():
                self._behind = False
                return
            await self._wait()

    async def _state(self, opened: Opened, reason: SnapshotReason) -> Delivery | None:
        """Return the state; what comes after it is told next. None for who was moved meanwhile."""
        assert self._group is not None
        place, shown, answer = await self._group.state(opened, reason)
        if self._moving:
            return None
        self._told = place
        self._shown = set(shown)
        return Delivery(orjson.dumps(answer.body()), str(place), place, over=answer.over)

    def _wants(self, event: PublishedEvent, stream: Stream) -> bool:
        # it stays among those shown: who is moved reads the same once more
        if event.event_id in self._shown:
            return False
        return stream.interest.accepts(event)

    # Groups and feeds

    def _join_group(self, context: Context) -> None:
        self._leave()
        key = _group_key(self.prepared, context)
        group = self._live.group(
            key,
            lambda: _Group(self._live, self._evaluates, key, self.prepared, self._contexts),
        )
        group.members += 1
        self._group = group

    def _join_feed(self, broker: Broker, opened: Opened) -> None:
        assert self._group is not None
        self._opened = opened
        feed = self._feed = self._group.feed(broker, opened)
        self._since = feed.join(self)
        if self._told is None:
            self._told = self._since

    def _keep_place(self, *, publishing: bool) -> None:
        """Remember how far it is: what it was told last may not be in the log any more."""
        if self._waiter is not None and not self._queue and self._feed is not None:
            self._told = max(self._told or 0, self._feed.given(publishing=publishing))

    def _leave_feed(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.leave(self)

    def _leave(self) -> None:
        self._leave_feed()
        group, self._group = self._group, None
        if group is not None:
            group.leave()

    # Too slow

    def _overflow(self, delivery: Delivery) -> None:
        """Decide what becomes of what is told, now that the queue is full."""
        self._live.lagged += 1
        self._live.on_work("slow", 1)
        assert self._opened is not None
        policy = self._opened.when_slow
        if policy is SlowPolicy.DROP and self._opened.stream.notices:
            self._drop(delivery)
            return
        # what is before the oldest that waits was told, or is not for this subscriber
        self._told = max(self._told or 0, self._queue[0].seq - 1)
        self._queue.clear()
        self._leave_feed()
        if policy in (SlowPolicy.DROP, SlowPolicy.CLOSE):
            message = "The subscriber read too slowly and missed changes; subscribe again."
            details = {"waiting": self._live.queue, "last": str(self._told)}
            self.end(SubscriberLagged(message, details=details))
            return
        self._merging = policy is SlowPolicy.COALESCE
        self._behind = True
        self._wake()

    def _drop(self, delivery: Delivery) -> None:
        self._dropped += 1
        self._dropped_to = delivery.seq

    async def _notice(self) -> Delivery:
        """Return the notice of what was dropped since the last."""
        dropped, self._dropped = self._dropped, 0
        self._told = place = self._dropped_to
        row = {
            "seq": str(place),
            "code": StreamNoticeCode.DROPPED,
            "message": f"You read too slowly: {dropped} changes are not told.",
            "dropped": dropped,
            "last_seq": str(place),
        }
        notice = [StreamNotice.of(row)]
        [answer] = await self._evaluates.answers(self.prepared, self._contexts, notice)
        return Delivery(orjson.dumps(answer.body()), str(place), place)

    def _count(self) -> None:
        self.delivered += 1
        self._live.delivered += 1

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        """Wait for something to do; meanwhile answers may be pushed."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


def _single(answer: Any) -> Delivery:
    return Delivery(orjson.dumps(answer.body()))


class _Using(Visitor):
    """Finds the variables of what is selected."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: Any, *_: Any) -> None:
        self.names.add(node.name.value)


def _selecting(prepared: Any) -> tuple[str, ...]:
    """Return the variables that decide what is told of a change, apart from which are told.

    Those are all but the ones that only the arguments of root fields use.
    """
    plans: dict[Any, Any] = prepared.source.plans
    key = ("selecting", prepared.operation_name)
    found: tuple[str, ...] | None = plans.get(key)
    if found is None:
        using = _Using()
        for node in prepared.operation.selection_set.selections:
            for directive in node.directives or ():
                visit(directive, using)
            selected = getattr(node, "selection_set", None)
            if selected is not None:
                visit(selected, using)
        for fragment in prepared.source.fragments.values():
            visit(fragment, using)
        found = plans[key] = tuple(sorted(using.names))
    return found


def _group_key(prepared: Any, context: Context) -> Any:
    """Return what decides about what is told of a change.

    Nothing below a subscription depends on who asks but by permissions and rows.
    """
    if prepared.traced:
        return object()
    principal = context.principal
    given: Mapping[str, Any] = prepared.variables
    variables = tuple((name, repr(given.get(name))) for name in _selecting(prepared))
    return (
        prepared.source.text,
        prepared.operation_name,
        variables,
        principal.rows,
        principal.permissions,
    )
