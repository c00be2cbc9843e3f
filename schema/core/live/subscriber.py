"""One running subscription: where it begins, what it missed, what happens, and how it ends."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime
from random import getrandbits
from typing import Any, Final

import orjson
from graphql import ExecutionResult, FieldNode, FragmentSpreadNode

from resolvers.core.broker import Broker, PublishedEvent, SubscriberLagged
from resolvers.core.context import Context
from resolvers.core.errors import Invalid, LimitExceeded
from resolvers.core.principal import Principal
from resolvers.core.stream import Batch, Log, Place, Shown, Told, missed
from schema.core.live.delivery import Delivery, Evaluates, Push, caught_up, encoded, showing
from schema.core.live.feed import MOST_KEYED, Feed, parts
from schema.core.live.group import Group, Groups
from schema.core.live.sharing import group_key
from schema.core.stream import (
    Opened,
    SlowPolicy,
    SnapshotReason,
    Stream,
    StreamNoticeCode,
    coalesced,
)

_ID_BITS: Final = 62
"""Bits of the number a subscriber is known by: so many that no two have the same."""
_AHEAD_SECONDS: Final = 0.02
"""Between two looks whether this process has come to where another one was."""
_AHEAD_TRIES: Final = 100
"""Such looks after which it is asked whether the log has, or ever had, that place."""


class Subscriber(AsyncIterator[Delivery]):
    """One running subscription: an iterator over its answers, for one consumer; close it.

    A transport that can send without waiting sets ``push``: while nothing waits for the consumer,
    answers go that way, and the iterator yields the others. While it runs, it is in ``running``.
    """

    def __init__(
        self,
        groups: Groups,
        evaluates: Evaluates,
        prepared: Any,
        contexts: Any,
        *,
        running: "dict[Subscriber, None]",
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
        self._groups = groups
        self._running = running
        self._evaluates = evaluates
        self._contexts = contexts
        self._resumes_after = resumes_after
        self._group: Group | None = None
        self._feed: Feed | None = None
        self._opened: Opened | None = None
        self._queue: deque[Delivery] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._told: int | None = None
        """Place up to which everything was told, or is not for this subscriber."""
        self._batch: Batch | None = None
        """What it is told within, if it is: then that holds of some of the batch only."""
        self._reading = False
        """Whether it reads the log, and what its feed tells waits."""
        self._returning: int | None = None
        """Changes it was told of those it missed; None once it knows, and for who begins."""
        self._since = 0
        """Place of the last event published before the feed was joined, or of the batch it is in:
        up to there the log is read."""
        self.shown: Shown | None = None
        """The events that a state showed to it and that had no place yet, while one may be told."""
        self._behind = False
        self._merging = False
        self._closed = False
        """Whether it ends because it read too slowly."""
        self._body = b""
        """What was told last."""
        self._paced = False
        """Whether its stream tells the latest only, and not too often."""
        self._due = 0.0
        """When the next answer may be told, if it is paced."""
        self._dropped = 0
        self._dropped_to = Place(0)
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
    def place(self) -> Place | None:
        """Place up to which all was told that is for this subscriber; None while it is not known.

        Some of what a state showed may come after it.
        """
        waits, feed = self._waiter is not None and not self._waiter.done(), self._feed
        if waits and not self._queue and feed is not None and feed.is_idle:
            shown = None if feed.has_published(self.shown) else self.shown
            return Place(feed.position, None, shown)
        return None

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

    def take(self, delivery: Delivery, feed: Feed) -> None:
        """Be told an answer by the feed; never blocks."""
        seq = delivery.seq
        told = self._told
        if feed is not self._feed or seq <= self._since or (told is not None and seq <= told):
            return
        own = delivery
        if self.shown is not None:
            if delivery.written in self.shown.written:
                return
            own = self._own(delivery)
        waiter = self._waiter
        idle = waiter is not None and not waiter.done() and not self._queue and not self._paced
        if idle and self._repeats(delivery):
            self._told = seq
            self._batch = delivery.batch
        elif idle and self._pushes(own):
            self._told = seq
            self._batch = delivery.batch
            self._body = delivery.body
            if self.shown is not None:
                self._pass(delivery)
            self._count()
            if delivery.over:
                self._leave_feed()
                self.end(None)
        elif self._dropped:
            self._drop(delivery)
        else:
            self._keep(delivery)

    def _keep(self, delivery: Delivery) -> None:
        """Have an answer wait for its consumer, or for its time."""
        if self._paced:  # it tells all that the one before it tells
            self._queue.clear()
        if len(self._queue) < self._groups.queue:
            self._queue.append(delivery)
            self._wake()
        else:
            self._overflow(delivery)

    def _own(self, delivery: Delivery) -> Delivery:
        """Return an answer with the cursor that it has for this subscriber."""
        shown = self.shown
        if shown is None or _comes_after(delivery, shown):
            return delivery
        return showing(delivery, shown)

    def _pass(self, delivery: Delivery) -> None:
        """Know that it was told an answer."""
        self._told, self._batch = delivery.seq, delivery.batch
        if self.shown is not None and _comes_after(delivery, self.shown):
            self.shown = None

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
        if self._queue:  # evaluated for the caller that it was
            self._keep_place_before(self._queue[0])
            self._forget_waiting()
        self._contexts = contexts
        self._moving = True
        self._leave_feed()
        self._wake()

    # The stream

    async def _run(self) -> AsyncGenerator[Delivery, None]:
        """Yield the answers; whatever fails is told in the last."""
        context: Context | None = None
        self._running[self] = None
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
                        if self._paced:
                            now = asyncio.get_running_loop().time()
                            self._due = now + source.coalesce_seconds
                        yield delivery
                        if delivery.over:
                            return
                if not self._moving:
                    return
        except Exception as error:  # noqa: BLE001 - told in the last answer
            failed = self._evaluates.failed_source(self.prepared, error, context)
            yield _single(failed)
        finally:
            self._running.pop(self, None)
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
        self._paced = opened.stream.coalesce_seconds > 0
        self._join_group(context)
        async with aclosing(self._first(opened)) as answers:
            async for delivery in answers:
                yield delivery
        while not self._over():
            try:
                await self._join_feed(broker, opened, log)
                async with aclosing(self._replayed(opened, log)) as answers:
                    async for delivery in answers:
                        yield delivery
            except SubscriberLagged as lagged:
                async with aclosing(self._state_instead(opened, lagged)) as answers:
                    async for delivery in answers:
                        yield delivery
                continue
            async for delivery in self._happening():
                yield delivery
        if self._error is not None:
            raise self._error
        if self._closed:  # what was read for it meanwhile was told
            message = "The subscriber read too slowly and missed changes; subscribe again."
            details = {"waiting": self._groups.queue, "last": self._cursor}
            raise SubscriberLagged(message, details=details)

    async def _first(self, opened: Opened) -> AsyncGenerator[Delivery, None]:
        """Yield the state to begin with, where one does; else go on where one was."""
        if self._told is None and opened.snapshot and opened.after is None:
            async with aclosing(self._state(opened, SnapshotReason.STARTED)) as answers:
                async for delivery in answers:
                    yield delivery
        elif self._told is None and opened.after is not None:
            self._told, self._batch, self.shown = opened.after
            if self.transport is not None:
                self._returning = 0

    async def _state_instead(
        self, opened: Opened, lagged: SubscriberLagged
    ) -> AsyncGenerator[Delivery, None]:
        """Yield the state in place of changes that are gone.

        Raises:
            SubscriberLagged: there is none, or it is too large.

        """
        self._returning = None
        self._leave_feed()
        if opened.stream.snapshot is None:
            raise lagged
        self._forget_waiting()
        try:
            async with aclosing(self._state(opened, SnapshotReason.TOO_OLD)) as answers:
                async for delivery in answers:
                    yield delivery
        except LimitExceeded as limit:
            raise SubscriberLagged(
                f"{lagged.message} {limit.message}", details={**lagged.details, **limit.details}
            ) from None

    async def _replayed(self, opened: Opened, log: Log) -> AsyncGenerator[Delivery, None]:
        """Yield what was missed; who resumes is told where that ends."""
        held: Delivery | None = None
        before = last = self._told, self._batch, self.shown
        async with aclosing(self._missed(opened, log)) as answers:
            async for delivery in answers:
                if self._returning is None or opened.caught_up:
                    yield delivery
                    continue
                if held is not None:
                    yield held
                held, before, last = delivery, last, (self._told, self._batch, self.shown)
        if held is not None and self._returning is not None and self._moving:
            self._told, self._batch, self.shown = before
            self._returning -= held.number
        elif held is not None:
            if self._returning is not None and not self._over():
                held, self._returning = caught_up(held, self._returning), None
            yield held
        elif self._returning is not None and opened.caught_up and not self._over():
            yield await self._notice_caught_up()

    def _over(self) -> bool:
        """Tell whether it ended, or goes on in another group."""
        return self._moving or self._ended

    async def _missed(self, opened: Opened, log: Log) -> AsyncGenerator[Delivery, None]:
        """Yield what the log has between what was told and what the feed tells."""
        assert self._told is not None
        stream = opened.stream
        merging, self._merging = self._merging or opened.coalesce_seconds > 0, False
        gathered: dict[Any, Told] = {}
        self._reading = True
        try:
            batch = self._batch
            if batch is not None:
                rest = await self._rest_of(batch, opened, log)
                async for delivery in self._evaluated(stream, rest):
                    yield delivery
                if self._moving:
                    return
                self._advance(batch.until)
            async with aclosing(self._pages(opened, log, self._told, self._since)) as pages:
                async for events in pages:
                    wanted = self._wanted(events, stream)
                    if merging:
                        coalesced(gathered, wanted, stream.key)
                        if len(gathered) < MOST_KEYED:
                            continue
                        wanted, gathered = stream.become(gathered), {}
                    async for delivery in self._evaluated(stream, wanted):
                        yield delivery
                    if self._moving:  # it is read again, as the caller that it is now
                        return
                    self._told, self._batch = events[-1].seq, None
            async for delivery in self._evaluated(stream, stream.become(gathered)):
                yield delivery
        finally:
            self._reading = False
            self._merging = self._merging or (merging and self._moving)

    async def _rest_of(self, batch: Batch, opened: Opened, log: Log) -> list[Told]:
        """Return what of a batch was not told.

        Raises:
            Invalid: nothing was ever told within such a batch.

        """
        stream = opened.stream
        gathered: dict[Any, Told] = {}
        async with aclosing(self._pages(opened, log, batch.before, batch.until)) as pages:
            async for events in pages:
                coalesced(gathered, self._wanted(events, stream), stream.key)
                if len(gathered) > 2 * MOST_KEYED:
                    raise Invalid(
                        "after is not a cursor of this stream; cursors come from extensions.seq.",
                        path=("after",),
                    )
        told = self._told or 0
        return [one for one in stream.become(gathered) if one.last.seq > told]

    def _pages(
        self, opened: Opened, log: Log, after: int, until: int
    ) -> AsyncGenerator[list[PublishedEvent], None]:
        """Yield what the log has for this stream, in pages."""
        return missed(
            log,
            company_id=opened.company_id,
            topics=opened.stream.topics,
            after=after,
            until=until,
            index=opened.stream.interest.index,
            known=0 if self._batch is None else self._batch.until,
        )

    async def _evaluated(
        self, stream: Stream, wanted: Sequence[Told]
    ) -> AsyncGenerator[Delivery, None]:
        """Yield what is told of changes, while it is for the caller that it was read for."""
        assert self._group is not None
        for part in parts(wanted):
            deliveries = await self._group.evaluate(stream, part)
            for delivery in deliveries:
                if self._paced:
                    await self._until_due()
                if self._moving:
                    return
                own = self._own(delivery)
                self._pass(delivery)
                if self._returning is not None:
                    self._returning += delivery.number
                yield own

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
        self._advance(self._since)
        push = self.push
        if self._returning is not None:  # the first says that nothing was missed, to this one only
            self.push = None
        try:
            while True:
                while queue and (not self._paced or await self._until_due()):
                    delivery = queue.popleft()
                    own = self._own(delivery)
                    self._pass(delivery)
                    if self._returning is not None:
                        own = caught_up(own, self._returning)
                        self._returning, self.push = None, push
                    yield own
                if self._dropped:
                    yield await self._notice_dropped()
                    continue
                if self._behind or self._over():
                    self._behind = False
                    return
                await self._wait()
        finally:
            self.push = push

    async def _state(
        self, opened: Opened, reason: SnapshotReason
    ) -> AsyncGenerator[Delivery, None]:
        """Yield the state; what comes after it is told next. Who is moved reads it anew."""
        assert self._group is not None
        state = await self._group.state(opened, reason)
        if self._moving:
            return
        self._told, self._batch, self.shown = state.place, None, state.shown
        yield state.delivery

    def _wanted(self, events: Sequence[PublishedEvent], stream: Stream) -> list[Told]:
        return [Told.one(event) for event in events if self._wants(event, stream)]

    def _wants(self, event: PublishedEvent, stream: Stream) -> bool:
        shown = self.shown
        if shown is not None and event.written_seq in shown.written:
            return False
        return stream.interest.accepts(event)

    # Groups and feeds

    def _join_group(self, context: Context) -> None:
        self._leave()
        key = group_key(self.prepared, context)
        group = self._groups.group(
            key,
            lambda: Group(self._groups, self._evaluates, key, self.prepared, self._contexts),
        )
        group.members += 1
        self._group = group

    async def _join_feed(self, broker: Broker, opened: Opened, log: Log) -> None:
        """Be told what is published from now on.

        Raises:
            Invalid: what it gathers begins after a place that no event ever had.
            SubscriberLagged: or after one that is not kept any more.

        """
        assert self._group is not None
        await broker.begun()
        if opened.coalesce_seconds:
            await self._catch_up_with(opened, broker, log)
        self._opened = opened
        feed = self._feed = self._group.feed(broker, opened)
        self._since = feed.join(self)
        if self._batch is not None:  # its rest is read, also what this process still is to hear of
            self._since = max(self._since, self._batch.until)
        if self._told is None:
            self._told = self._since

    async def _catch_up_with(self, opened: Opened, broker: Broker, log: Log) -> None:
        """Wait until this process has heard of all that another one told, however long that takes.

        Gathered here with what follows, that would be told once more, or be undone with it and
        leave a change untold. Without gathering it is known by its place alone, and left out.
        """
        reached = (self._told or 0) if self._batch is None else self._batch.until
        looks = 0
        while broker.position < reached and not self._over():
            await asyncio.sleep(_AHEAD_SECONDS)
            looks += 1
            if looks % _AHEAD_TRIES == 0:
                async with aclosing(self._pages(opened, log, reached, broker.position)) as pages:
                    async for _ in pages:  # there are none: only the ends of the log are looked at
                        pass

    def _keep_place(self, *, publishing: bool) -> None:
        """Remember how far it is: what it was told last may not be in the log any more."""
        waits = self._waiter is not None and not self._queue and not self._reading
        if waits and self._feed is not None:
            self._advance(self._feed.given(publishing=publishing))

    def _keep_place_before(self, oldest: Delivery) -> None:
        """Remember how far it is: what is before the oldest that waits was told, or is not its."""
        if not self._reading and self._batch is None:
            before = oldest.first - 1
            self._advance(before if oldest.batch is None else min(before, oldest.batch.before))

    def _advance(self, place: int) -> None:
        """Know that up to a place nothing is left to be told."""
        if self._told is None or place > self._told:
            self._told, self._batch = place, None

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
        self._groups.lagged += 1
        self._groups.on_work("slow", 1)
        assert self._opened is not None
        policy = self._opened.when_slow
        if policy is SlowPolicy.DROP and self._opened.stream.notice is not None:
            self._drop(delivery)
            return
        self._keep_place_before(self._queue[0])
        self._queue.clear()
        self._leave_feed()
        if policy in (SlowPolicy.DROP, SlowPolicy.CLOSE):
            self._closed = True
            self.end(None)
            return
        self._merging = policy is SlowPolicy.COALESCE
        self._behind = True
        self._wake()

    def _drop(self, delivery: Delivery) -> None:
        self._dropped += delivery.number
        self._dropped_to = Place(delivery.seq, delivery.batch)

    async def _notice_dropped(self) -> Delivery:
        """Return the notice of what was dropped since the last."""
        dropped, self._dropped = self._dropped, 0
        self._told, self._batch, _ = self._dropped_to
        message = f"You read too slowly: {dropped} changes are not told."
        return await self._notice(StreamNoticeCode.DROPPED, message, dropped=dropped)

    async def _notice_caught_up(self) -> Delivery:
        """Return the notice that nothing is left of what was missed."""
        replayed, self._returning = self._returning or 0, None
        self._advance(self._since)
        message = f"You were told all that you missed: {replayed} changes."
        code = StreamNoticeCode.CAUGHT_UP
        return caught_up(await self._notice(code, message, replayed=replayed), replayed)

    async def _notice(
        self, code: StreamNoticeCode, message: str, *, dropped: int = 0, replayed: int = 0
    ) -> Delivery:
        """Return a notice, told where this subscriber is now."""
        assert self._opened is not None
        make = self._opened.stream.notice
        assert make is not None, "without, nothing is dropped, and none is asked for"
        cursor = self._cursor
        row = {
            "seq": str(self._told),
            "code": code,
            "message": message,
            "dropped": dropped,
            "replayed": replayed,
            "last_seq": cursor,
        }
        [answer] = await self._evaluates.answers(self.prepared, self._contexts, [make(row)])
        return Delivery(encoded(answer, cursor), cursor, self._told or 0)

    @property
    def _cursor(self) -> str:
        """Where to go on after what it was told."""
        assert self._told is not None, "it is told nothing before it knows where it begins"
        return Place(self._told, self._batch, self.shown).text

    def _count(self) -> None:
        self.delivered += 1
        self._groups.delivered += 1

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _until_due(self) -> bool:
        """Wait until an answer may be told, or all is over; tell whether one still waits then."""
        loop = asyncio.get_running_loop()
        while not self._over() and loop.time() < self._due:
            timer = loop.call_at(self._due, self._wake)
            try:
                await self._wait()
            finally:
                timer.cancel()
        return bool(self._queue)

    async def _wait(self) -> None:
        """Wait for something to do; meanwhile answers may be pushed."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


def _comes_after(delivery: Delivery, shown: Shown) -> bool:
    """Tell whether what is told got its place after all that a state showed beyond its own.

    Within a batch some of that may be read again.
    """
    return delivery.batch is None and delivery.written > shown.until


def _single(answer: Any) -> Delivery:
    return Delivery(orjson.dumps(answer.body()))
