"""Subscribers that lose their connections and go on: a record each of what they were told.

A process of its own: ``python -m benchmarks.following`` reads a `Job` as a line of JSON from
standard input, then a command a line. Half of the subscribers use WebSockets and half event
streams. Each is cut off at random, and whenever its gateway goes, and comes back to any gateway
with the cursor it was at. Who begins with the state breaks off right after every other one, and
begins anew now and then.
"""

import asyncio
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, cast

import httptools
import orjson
import uvloop

from benchmarks.listening import Socket, allow_sockets

RETRY_SECONDS: Final = (0.05, 0.5)
_ANEW: Final = 0.5
"""How likely one who keeps the state begins with it anew when it comes back."""
SOCKET, STREAM = "ws", "sse"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a subscriber listens to."""

    document: str
    variables: dict[str, Any]
    snapshot: bool
    """Whether it begins with the state, and keeps it."""


@dataclass(frozen=True, slots=True)
class Job:
    """Who listens to what, beginning where; subscribers take turns with the wishes."""

    token: str
    company: str
    subscribers: int
    wishes: list[Wish]
    after: str
    cut_seconds: float
    """How long a connection lasts on average."""
    seed: int


@dataclass(slots=True)
class Part:
    """What a subscriber was told since it began, or began anew."""

    told: list[int] = field(default_factory=list)
    """Places, in the order they came."""
    begun: int | None = None
    """Place of the snapshot it began with; None for one who began without."""
    versions: dict[str, int] = field(default_factory=dict)
    """Versions of the levels that the snapshot showed."""


@dataclass(slots=True)
class Record:
    """What a subscriber was told."""

    transport: str
    wish: int
    parts: list[Part] = field(default_factory=lambda: [Part()])
    """Each but the last up to where it began anew."""
    levels: dict[str, list[str]] = field(default_factory=dict)
    """What it takes the stock to be: by id, on hand and available."""
    left: int = 0
    """How often it broke off right after a snapshot."""
    cuts: int = 0
    """How often its connection ended."""
    problems: list[str] = field(default_factory=list)


class Subscriber:
    """One who wants to be told everything once, in order."""

    def __init__(self, job: Job, wish: int, transport: str) -> None:
        self.wish = job.wishes[wish]
        self.record = Record(transport, wish)
        self.cursor = None if self.wish.snapshot else job.after
        """Where it goes on; None where it begins with the state."""

    @property
    def has_begun(self) -> bool:
        """Whether it was told anything."""
        return any(part.told or part.begun is not None for part in self.record.parts)

    def begin_anew(self) -> None:
        """Begin with the state once more, if it was told one since it did."""
        if self.wish.snapshot and self.cursor is not None:
            self.cursor = None
            self.record.parts.append(Part())
            self.record.levels = {}

    def is_at(self, place: int | None, levels: dict[str, list[str]]) -> bool:
        """Tell whether a place was the last it was told of; whether the state it keeps is this."""
        if not self.wish.snapshot:
            told = self.record.parts[-1].told
            return (told[-1] if told else None) == place
        kept = self.record.levels
        return kept.keys() == levels.keys() and all(
            list(map(Decimal, kept[id_])) == list(map(Decimal, levels[id_])) for id_ in kept
        )

    def request(self) -> dict[str, Any]:
        """Return what it asks for when it connects."""
        variables = dict(self.wish.variables)
        if self.cursor is None:
            variables["snapshot"] = True
        else:
            variables["after"] = self.cursor
        return {"query": self.wish.document, "variables": variables}

    def hear(self, answer: Any) -> bool:
        """Write down what an answer tells; return whether to break off now."""
        record = self.record
        part = record.parts[-1]
        if "errors" in answer:
            codes = {error["extensions"]["code"] for error in answer["errors"]}
            if self.cursor is None and codes == {"OVERLOADED"}:
                return True  # there is no state while the database is away
            record.problems.append(str(answer)[:300])
            return False
        item = answer["data"]["stockChanged"]
        seq, before, self.cursor = int(item["seq"]), self.cursor, answer["extensions"]["seq"]
        if "levels" in item:
            if before is not None:
                record.problems.append(f"a second snapshot: {str(item)[:200]}")
            part.begun = seq
            part.versions = {level["id"]: int(level["version"]) for level in item["levels"]}
            record.levels = {
                level["id"]: [level["onHand"], level["available"]] for level in item["levels"]
            }
            leaves = len(record.parts) % 2 == 1
            record.left += leaves
            return leaves
        if "dropped" in item:
            record.problems.append(str(item)[:200])
        else:
            part.told.append(seq)
            if self.wish.snapshot:
                record.levels[item["level"]["id"]] = [item["onHand"], item["available"]]
        return False


class SocketLine(Socket):
    """A connection of a subscriber by WebSocket."""

    def __init__(self, port: int, job: Job, subscriber: Subscriber) -> None:
        super().__init__(port)
        self._introduction = {"Authorization": f"Bearer {job.token}", "X-Company": job.company}
        self._subscriber = subscriber
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def hear_open(self) -> None:
        """Introduce the caller."""
        self.send({"type": "connection_init", "payload": self._introduction})

    def hear_text(self, data: bytes, begin: int, end: int) -> None:
        """Hear an answer."""
        message = orjson.loads(data[begin:end])
        if self.ended.done():
            return
        match message["type"]:
            case "next":
                if self._subscriber.hear(message["payload"]):
                    self.cut()
            case "connection_ack":
                self.send({"id": "1", "type": "subscribe", "payload": self._subscriber.request()})
            case "error":
                self._subscriber.record.problems.append(str(message)[:300])
                self.hear_end("error")
            case "complete":
                self.hear_end("complete")

    def hear_end(self, reason: str) -> None:
        """Tell whoever waits for it."""
        del reason
        if not self.ended.done():
            self.ended.set_result(None)

    def cut(self) -> None:
        """Drop the connection without a word."""
        self.hear_end("cut")
        if self.transport is not None:
            self.transport.abort()


class StreamLine(asyncio.Protocol):
    """A connection of a subscriber by server-sent events."""

    def __init__(self, port: int, job: Job, subscriber: Subscriber) -> None:
        self._port = port
        self._job = job
        self._subscriber = subscriber
        self._parser = httptools.HttpResponseParser(self)
        self._rest = b""
        self.transport: asyncio.Transport | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are not its subclasses
        request = self._subscriber.request()
        # as a browser does: the request as it was, and how far it came in a header
        last = request["variables"].pop("after", None)
        body = orjson.dumps(request)
        resumes = "" if last is None else f"Last-Event-ID: {last}\r\n"
        self.transport.write(
            (
                f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n{resumes}"
                f"Authorization: Bearer {self._job.token}\r\nX-Company: {self._job.company}\r\n"
                "Accept: text/event-stream\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            ).encode()
            + body
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits for it."""
        del exc
        if not self.ended.done():
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if not self.ended.done():
            self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        """Give up where there is no stream."""
        if self._parser.get_status_code() != 200:
            self.cut()

    def on_body(self, data: bytes) -> None:
        """Take the events apart."""
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for event in events:
            id_ = None
            for line in event.split(b"\n"):
                if line.startswith(b"id: "):
                    id_ = line[4:].decode()
                elif line.startswith(b"data: "):
                    leaves = self._subscriber.hear(orjson.loads(line[6:]))
                    cursor = self._subscriber.cursor
                    if id_ != cursor:
                        problem = f"id {id_} of an event with the cursor {cursor}"
                        self._subscriber.record.problems.append(problem)
                    if leaves:
                        self.cut()
                        return

    def cut(self) -> None:
        """Drop the connection without a word."""
        if not self.ended.done():
            self.ended.set_result(None)
        if self.transport is not None:
            self.transport.abort()


LINES: Final[dict[str, Callable[[int, Job, Subscriber], SocketLine | StreamLine]]] = {
    SOCKET: SocketLine,
    STREAM: StreamLine,
}


class Crowd:
    """All subscribers."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.ports: list[int] = []
        """Where gateways answer, as far as the driver knows."""
        self.restless = True
        """Whether connections are cut off at random."""
        self._dice = random.Random(job.seed)
        self.subscribers = [
            Subscriber(job, number // 2 % len(job.wishes), STREAM if number % 2 else SOCKET)
            for number in range(job.subscribers)
        ]
        self._tasks = [asyncio.create_task(self._follow(one)) for one in self.subscribers]

    async def _follow(self, subscriber: Subscriber) -> None:
        """Connect again and again."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._dice.uniform(0, 2))  # not all in one moment
        while True:
            if self.ports:
                port = self._dice.choice(self.ports)
                line = LINES[subscriber.record.transport](port, self.job, subscriber)
                try:
                    await loop.create_connection(
                        lambda line=line: line,  # type: ignore[misc]
                        "127.0.0.1",
                        port,
                    )
                    await self._stay(line)
                except OSError:
                    pass
                finally:
                    line.cut()
                subscriber.record.cuts += 1
                if self.restless and self._dice.random() < _ANEW:
                    subscriber.begin_anew()
            await asyncio.sleep(self._dice.uniform(*RETRY_SECONDS))

    async def _stay(self, line: SocketLine | StreamLine) -> None:
        while True:
            lasts = self._dice.expovariate(1 / self.job.cut_seconds)
            await asyncio.wait([line.ended], timeout=lasts)
            if line.ended.done() or self.restless:
                return

    async def until(
        self, places: list[int | None], states: list[dict[str, list[str]]], seconds: float
    ) -> int:
        """Wait until everybody is at the end of its wish; return how many are not."""
        late = len(self.subscribers)
        for _ in range(int(seconds * 10)):
            late = sum(
                not one.is_at(places[one.record.wish], states[one.record.wish])
                for one in self.subscribers
            )
            if not late:
                break
            await asyncio.sleep(0.1)
        return late

    async def stop(self) -> None:
        """End all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def run() -> None:
    """Do what standard input says, until it ends."""
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    given = orjson.loads(await commands.readline())
    crowd = Crowd(Job(**{**given, "wishes": [Wish(**wish) for wish in given["wishes"]]}))
    while line := await commands.readline():
        command = orjson.loads(line)
        told: Any = None
        match command["do"]:
            case "ports":
                crowd.ports = command["ports"]
            case "begun":
                told = sum(one.has_begun for one in crowd.subscribers)
            case "calm":
                crowd.restless = False
            case "until":
                told = await crowd.until(command["places"], command["states"], command["seconds"])
            case "records":
                await crowd.stop()
                told = [one.record for one in crowd.subscribers]
        sys.stdout.buffer.write(orjson.dumps(told) + b"\n")
        sys.stdout.buffer.flush()


def main() -> None:
    """Follow."""
    allow_sockets()
    uvloop.run(run())


if __name__ == "__main__":
    main()
