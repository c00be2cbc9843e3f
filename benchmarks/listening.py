"""Clients of streams: many sockets in one process that takes little for each message.

A process of its own, so that what it costs is not counted to the server:
``python -m benchmarks.listening`` reads a `Job` as a line of JSON from standard input, then a
command a line, and prints a line of JSON for each. It speaks graphql-transport-ws, and reads no
more of a message than how long it is and which event it tells of.
"""

import asyncio
import resource
import struct
import sys
import time
from array import array
from dataclasses import asdict, dataclass
from re import compile as compiled
from typing import Any, Final, cast

import orjson
import uvloop

EVENT: Final = compiled(rb'"onHand": ?"(\d+)')
"""Events are known by the stock on hand that they tell of: no two tell of the same."""
OPENED_AT_ONCE: Final = 50
OPEN_SECONDS: Final = 120.0

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10
_LONG, _LONGEST = 126, 127


@dataclass(frozen=True, slots=True)
class Job:
    """Where to listen, and to what: the sockets take turns with the variables."""

    port: int
    token: str
    document: str
    variables: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Heard:
    """What came since the last ``begin``."""

    messages: int
    least: int
    """Messages of the socket that got fewest."""
    most: int
    last: float
    """When the last message came, on the monotonic clock of this machine."""
    bytes: int
    """Of the messages."""
    problems: list[str]
    """What should not have come; a few of them."""


def allow_sockets() -> int:
    """Let this process, and those it starts, hold as many sockets as the machine allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def masked(opcode: int, payload: bytes) -> bytes:
    """Return a frame of a client, under a mask of zeros."""
    length = len(payload)
    if length < _LONG:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
    else:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | _LONG, length)
    return head + b"\0\0\0\0" + payload


class Ears:
    """What all sockets of this process heard."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self.events = array("q")
        self.times = array("d")
        self.bytes = 0
        self.problems: list[str] = []
        self._wanted = 0
        self._enough: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Forget what was heard."""
        self.events, self.times, self.bytes = array("q"), array("d"), 0
        for listener in self.listeners:
            listener.messages = 0

    def hear(self, event: int, size: int) -> None:
        """Note that a message came."""
        self.bytes += size
        self.events.append(event)
        self.times.append(time.monotonic())
        if len(self.events) == self._wanted and self._enough is not None:
            self._enough.set_result(None)

    def complain(self, problem: str) -> None:
        """Note what should not have come."""
        if len(self.problems) < 5:
            self.problems.append(problem)

    async def until(self, messages: int, seconds: float) -> Heard:
        """Wait for so many messages since the beginning, but not longer than ``seconds``."""
        if len(self.events) < messages:
            self._wanted = messages
            self._enough = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._enough], timeout=seconds)
            self._enough = None
        counts = [listener.messages for listener in self.listeners]
        last = self.times[-1] if self.times else 0.0
        return Heard(len(self.events), min(counts), max(counts), last, self.bytes, self.problems[:])


class Socket(asyncio.Protocol):
    """A WebSocket that takes frames apart and does no more than it must."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._rest: bytes | None = None
        """What came of a frame that is not complete; None before the handshake is."""
        self.transport: asyncio.Transport | None = None

    def hear_open(self) -> None:
        """Called when the handshake is done."""

    def hear_text(self, data: bytes, begin: int, end: int) -> None:
        """Called with a text message: a piece of what came."""

    def hear_end(self, reason: str) -> None:
        """Called when the server closes, or the connection is lost."""

    def send(self, message: Any) -> None:
        """Send a message."""
        assert self.transport is not None
        self.transport.write(masked(_TEXT, orjson.dumps(message)))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are not its subclasses
        self.transport.write(
            (
                f"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
            ).encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell of it."""
        self.hear_end(f"the connection was lost: {exc}")

    def data_received(self, data: bytes) -> None:
        """Take the frames apart."""
        if self._rest is None:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found or not head.startswith(b"HTTP/1.1 101"):
                self.hear_end(f"the handshake was answered with {head[:200]!r}")
                return
            self._rest = b""
            self.hear_open()
        if self._rest:
            data = self._rest + data
        start, end = 0, len(data)
        while end - start >= 2:
            length, begin = data[start + 1], start + 2
            if length == _LONG:
                length, begin = int.from_bytes(data[begin : begin + 2]), begin + 2
            elif length == _LONGEST:
                length, begin = int.from_bytes(data[begin : begin + 8]), begin + 8
            if begin + length > end:
                break
            self._read(data[start] & 15, data, begin, begin + length)
            start = begin + length
        self._rest = data[start:] if start < end else b""

    def _read(self, opcode: int, data: bytes, begin: int, end: int) -> None:
        if opcode == _TEXT:
            self.hear_text(data, begin, end)
        elif opcode == _PING:
            assert self.transport is not None
            self.transport.write(masked(_PONG, data[begin:end]))
        elif opcode == _CLOSE:
            self.hear_end(f"closed: {data[begin:end]!r}")


class Listener(Socket):
    """A socket with one subscription."""

    def __init__(self, ears: Ears, job: Job, number: int) -> None:
        super().__init__(job.port)
        self._ears = ears
        self._introduction = {"Authorization": f"Bearer {job.token}"}
        variables = job.variables[number % len(job.variables)]
        self._request = {"query": job.document, "variables": variables}
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once the subscription was asked for."""
        self.messages = 0
        self.told = 0

    def hear_open(self) -> None:
        """Introduce the caller."""
        self.send({"type": "connection_init", "payload": self._introduction})

    def hear_text(self, data: bytes, begin: int, end: int) -> None:
        """Count an event."""
        event = EVENT.search(data, begin, end)
        if event is not None:
            told = int(event[1])
            if told <= self.told:
                self._ears.complain("events came out of order")
            self.told = told
            self.messages += 1
            self._ears.hear(told, end - begin)
        elif data.find(b"connection_ack", begin, end) >= 0:
            self.send({"id": "1", "type": "subscribe", "payload": self._request})
            self.opened.set_result(None)
        else:
            self._ears.complain(data[begin:end].decode()[:300])

    def hear_end(self, reason: str) -> None:
        """Complain."""
        self._ears.complain(reason)
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(reason))


async def open_listeners(ears: Ears, job: Job, count: int) -> None:
    """Open so many more sockets, a few at a time.

    Raises:
        OSError: the server does not take them.

    """
    loop = asyncio.get_running_loop()
    left = [Listener(ears, job, len(ears.listeners) + number) for number in range(count)]
    ears.listeners += left
    left.reverse()

    async def open_some() -> None:
        while left:
            listener = left.pop()
            # more sockets than one address has ports for
            local = f"127.0.0.{2 + len(left) % 4}", 0
            await loop.create_connection(
                lambda made=listener: made,  # type: ignore[misc]
                "127.0.0.1",
                job.port,
                local_addr=local,
            )
            await listener.opened

    async with asyncio.timeout(OPEN_SECONDS):
        await asyncio.gather(*(open_some() for _ in range(OPENED_AT_ONCE)))


async def run() -> None:
    """Do what standard input says, until it ends."""
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    job = Job(**orjson.loads(await commands.readline()))
    ears = Ears()
    while line := await commands.readline():
        command = orjson.loads(line)
        told: Any = None
        match command["do"]:
            case "open":
                await open_listeners(ears, job, command["count"])
                told = len(ears.listeners)
            case "begin":
                ears.begin()
            case "until":
                told = asdict(await ears.until(command["messages"], command["seconds"]))
            case "arrivals":
                told = [ears.events.tolist(), ears.times.tolist()]
        sys.stdout.buffer.write(orjson.dumps(told) + b"\n")
        sys.stdout.buffer.flush()


def main() -> None:
    """Listen."""
    allow_sockets()
    uvloop.run(run())


if __name__ == "__main__":
    main()
