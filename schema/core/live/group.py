"""A group: subscribers who are told the same of a change, which is evaluated once for them."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

from resolvers.core.broker import Broker
from resolvers.core.errors import Overloaded
from resolvers.core.stream import Place, Told
from schema.core.live.delivery import Delivery, Evaluates, State, encoded, passes
from schema.core.live.feed import BATCH, Feed, Request
from schema.core.stream import Item, Opened, SnapshotReason, Stream

_QUEUE: Final = 256
"""Default of the same; more than come at once, or a subscriber would get no turn."""
_BUSY: Final = 200
"""Changes waiting for one group from which a backlog of events waits for it."""
_MOST_PENDING: Final = 5_000
"""Changes waiting for one group after which its subscribers go on from the log."""
_PATIENCE_SECONDS: Final = 60.0
"""Longest that a change waits for the database to be there again, before its subscribers end."""
_RETRY_SECONDS: Final = (0.05, 1.0)
"""Shortest and longest wait before a change is evaluated again."""


class Groups:
    """The groups of one process; the counters are totals since the start, for metrics."""

    def __init__(self) -> None:
        self.queue = _QUEUE
        """Most answers that wait for one subscriber."""
        self.on_work: Callable[[str, int], object] = lambda _work, _amount: None
        """Told of what was done, for metrics: ``evaluated`` changes, ``slow`` subscribers."""
        self.evaluated = 0
        """Changes evaluated."""
        self.delivered = 0
        """Answers told."""
        self.lagged = 0
        """Times a subscriber read too slowly."""
        self._groups: dict[Any, Group] = {}

    @property
    def groups(self) -> int:
        """Number of groups of subscribers that share their evaluations."""
        return len(self._groups)

    def busy(self) -> bool:
        """Tell whether a group has so much to do that a backlog is to wait."""
        return any(group.pending > _BUSY for group in self._groups.values())

    def group(self, key: Any, make: Callable[[], "Group"]) -> "Group":
        """Return the group filed under ``key``, made on first use."""
        found = self._groups.get(key)
        if found is None:
            found = self._groups[key] = make()
        return found

    def forget(self, group: "Group") -> None:
        """Forget a group that has no subscriber."""
        if self._groups.get(group.key) is group:
            del self._groups[group.key]


class Group:
    """Subscribers that are told the same of a change, and what is to be evaluated for them."""

    def __init__(
        self, groups: Groups, evaluates: Evaluates, key: Any, prepared: Any, contexts: Any
    ) -> None:
        self.key = key
        self.members = 0
        self.pending = 0
        self._among = groups
        self._evaluates = evaluates
        self._prepared = prepared
        self._contexts = contexts
        self._feeds: dict[Any, Feed] = {}
        self._requests: deque[Request] = deque()
        self._states: dict[Any, asyncio.Task[State]] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def works(self) -> bool:
        """Tell whether something is evaluated, or waits for it."""
        return self._task is not None or bool(self._requests)

    def feed(self, broker: Broker, opened: Opened) -> Feed:
        """Return the feed of an interest; it listens from now on."""
        stream = opened.stream
        key = (stream.topics, stream.interest, opened.coalesce_seconds)
        found = self._feeds.get(key)
        if found is None:
            found = self._feeds[key] = Feed(self, broker, key, opened)
            found.listen()
        return found

    def forget(self, feed: Feed) -> None:
        """Forget a feed that has no subscriber."""
        if self._feeds.get(feed.key) is feed:
            del self._feeds[feed.key]

    def leave(self) -> None:
        """Let a subscriber go; the group ends with its last."""
        self.members -= 1
        if not self.members:
            self._among.forget(self)
            self._requests.clear()
            if self._task is not None:
                self._task.cancel()

    def ask(self, *requests: Request) -> None:
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
        self.ask(Request(stream, stream.interest, told, future=future))
        return await future

    async def state(self, opened: Opened, reason: SnapshotReason) -> State:
        """Return the state, read and encoded once for all who ask meanwhile."""
        key = (opened.stream.interest, reason)
        task = self._states.get(key)
        if task is None:
            task = self._states[key] = asyncio.create_task(self._read_state(opened, reason))
            task.add_done_callback(lambda _: self._states.pop(key, None))
        return await asyncio.shield(task)

    async def _read_state(self, opened: Opened, reason: SnapshotReason) -> State:
        """Return the state.

        Raises:
            Overloaded: it could not be read; without it, what comes after it tells nothing.

        """
        place, shown, answer = await self._evaluates.snapshot(
            self._prepared, self._contexts, opened, reason
        )
        if passes(answer):
            raise Overloaded("The state cannot be read; subscribe again.")
        cursor = Place(place, None, shown).text if opened.stream.resumes else None
        body = encoded(answer, cursor, reason)
        return State(place, shown, Delivery(body, cursor, place, over=answer.over))

    async def _work(self) -> None:
        try:
            while self._requests:
                await self._work_batch()
        finally:
            self._task = None

    async def _work_batch(self) -> None:
        batch: list[Request] = []
        size = 0
        while self._requests and size < BATCH:
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

    async def _deliveries(self, batch: Sequence[Request]) -> list[list[Delivery]]:
        """Return what is told for each request; what is equal is evaluated once."""
        places: dict[Any, int] = {}
        items: list[Item] = []
        cursors: list[str | None] = []
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
                    cursors.append(told.place.text if request.stream.resumes else None)
                of_request.append((told, place))
            wanted.append(of_request)
        self._among.evaluated += len(items)
        self._among.on_work("evaluated", len(items))
        answers = await self._answers(items)
        bodies = [encoded(*told) for told in zip(answers, cursors, strict=True)]
        return [
            [
                Delivery(
                    bodies[place],
                    cursors[place],
                    told.last.seq,
                    told.begun,
                    told.last.written_seq,
                    request.stream.is_over(told.last.payload),
                    told.number,
                    told.batch,
                )
                for told, place in of_request
            ]
            for request, of_request in zip(batch, wanted, strict=True)
        ]

    async def _answers(self, items: Sequence[Item]) -> list[Any]:
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


def _key(told: Told, item: Item) -> Any:
    """Return what is the same for changes that are told the same."""
    rows = [one.row for one in item] if isinstance(item, list) else [item.row]
    key = (told.first.seq, told.last.seq, told.batch, *(v for row in rows for v in row.values()))
    try:
        hash(key)
    except TypeError:  # it holds a list or an object
        return (told.first.seq, told.last.seq, told.batch, repr(rows))
    return key


def _fail(request: Request, error: Exception) -> None:
    if request.feed is not None:
        request.feed.ended(error)
    elif request.future is not None and not request.future.done():
        request.future.set_exception(error)
