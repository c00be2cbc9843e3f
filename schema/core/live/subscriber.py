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
from resolvers.core.errors import LimitExceeded
from resolvers.core.principal import Principal
from resolvers.core.stream import Log, Told, missed
from schema.core.live.delivery import Delivery, Evaluates, Push
from schema.core.live.feed import MOST_KEYED, Feed, batches, place_of
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

    def take(self, delivery: Delivery, feed: Feed) -> None:
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
        elif len(self._queue) < self._groups.queue:
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
                    if len(gathered) < MOST_KEYED:
                        continue
                    wanted, gathered = sorted(gathered.values(), key=place_of), {}
                async for delivery in self._evaluated(group, stream, wanted):
                    self._told = told = delivery.seq
                    yield delivery
                if self._moving:  # it is read again, as the caller that it is now
                    self._told, self._merging = told, merging
                    return
                self._told = told = events[-1].seq
        last = sorted(gathered.values(), key=place_of)
        async for delivery in self._evaluated(group, stream, last):
            self._told = told = delivery.seq
            yield delivery
        if self._moving:
            self._told, self._merging = told, merging

    async def _evaluated(
        self, group: Group, stream: Stream, wanted: Sequence[Told]
    ) -> AsyncGenerator[Delivery, None]:
        """Yield what is told of changes, while it is for the caller that it was read for."""
        for part in batches(wanted):
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
        key = group_key(self.prepared, context)
        group = self._groups.group(
            key,
            lambda: Group(self._groups, self._evaluates, key, self.prepared, self._contexts),
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
        self._groups.lagged += 1
        self._groups.on_work("slow", 1)
        assert self._opened is not None
        policy = self._opened.when_slow
        if policy is SlowPolicy.DROP and self._opened.stream.notice is not None:
            self._drop(delivery)
            return
        # what is before the oldest that waits was told, or is not for this subscriber
        self._told = max(self._told or 0, self._queue[0].seq - 1)
        self._queue.clear()
        self._leave_feed()
        if policy in (SlowPolicy.DROP, SlowPolicy.CLOSE):
            message = "The subscriber read too slowly and missed changes; subscribe again."
            details = {"waiting": self._groups.queue, "last": str(self._told)}
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
        assert self._opened is not None
        make = self._opened.stream.notice
        assert make is not None, "without, nothing is dropped"
        dropped, self._dropped = self._dropped, 0
        self._told = place = self._dropped_to
        row = {
            "seq": str(place),
            "code": StreamNoticeCode.DROPPED,
            "message": f"You read too slowly: {dropped} changes are not told.",
            "dropped": dropped,
            "last_seq": str(place),
        }
        [answer] = await self._evaluates.answers(self.prepared, self._contexts, [make(row)])
        return Delivery(orjson.dumps(answer.body()), str(place), place)

    def _count(self) -> None:
        self.delivered += 1
        self._groups.delivered += 1

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
