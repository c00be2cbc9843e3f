"""The load generator: keep-alive connections that each ask again as soon as they are answered.

A process of its own, so that what it costs is not counted to the server:
``python -m benchmarks.load`` reads a `Job` as JSON from standard input and prints a `Load`.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import Any, cast

import httptools
import orjson
import uvloop

from benchmarks.processes import core_seconds_busy, family_seconds_used, seconds_used

OK = 200


class WrongAnswer(Exception):
    """The server answered something else than it did when the answers were compared."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as it goes over the wire, and the length of the body it is answered with."""

    request: str
    length: int


@dataclass(frozen=True, slots=True)
class Job:
    """What to send, where, and whose CPU time to read while it is answered."""

    port: int
    asks: Sequence[Ask]
    connections: int
    warm_seconds: float
    seconds: float
    server: int
    """Process id of the server."""
    postgres: int
    """Process id of the PostgreSQL server, the parent of its connections."""
    core: int
    """Core the server runs on."""


@dataclass(frozen=True, slots=True)
class Load:
    """What was measured from the first request behind the warm-up to the last answer."""

    seconds: float
    latencies: list[int]
    """Microseconds, one per request."""
    server_cpu: float
    postgres_cpu: float
    core_busy: float
    """Seconds the server's core was busy, with the server or anything else."""
    began: float
    """On the monotonic clock of this machine."""


class Connection(asyncio.Protocol):
    """One keep-alive connection of a client that sends its next request when it has an answer."""

    def __init__(self, asks: Sequence[Ask], offset: int) -> None:
        self.latencies: list[int] = []
        self._asks = cycle([(ask.request.encode(), ask.length) for ask in _from(asks, offset)])
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._until = 0.0
        self._sent = 0.0
        self._length = 0
        self._expected = 0
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def drive(self, seconds: float) -> list[int]:
        """Ask until ``seconds`` are over; return the latencies once the last answer is here.

        Raises:
            WrongAnswer: an answer had another status or length than expected.

        """
        self.latencies = []
        self._done = asyncio.get_running_loop().create_future()
        self._until = time.perf_counter() + seconds
        self._ask()
        await self._done
        return self.latencies

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def _ask(self) -> None:
        assert self._transport is not None
        request, self._expected = next(self._asks)
        self._length = 0
        self._sent = time.perf_counter()
        self._transport.write(request)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not its subclasses

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail who waits for an answer."""
        if not self._done.done():
            self._done.set_exception(exc or WrongAnswer("The server closed the connection."))

    # httptools

    def on_body(self, body: bytes) -> None:
        """Count the bytes of the answer."""
        self._length += len(body)

    def on_message_complete(self) -> None:
        """Take the time, check the answer, ask again."""
        now = time.perf_counter()
        self.latencies.append(round((now - self._sent) * 1e6))
        status = self._parser.get_status_code()
        if status != OK or self._length != self._expected:
            problem = f"status {status}, {self._length} bytes instead of {self._expected}"
            self._done.set_exception(WrongAnswer(f"An answer was different: {problem}."))
        elif now < self._until:
            self._ask()
        else:
            self._done.set_result(None)


def _from(asks: Sequence[Ask], offset: int) -> Sequence[Ask]:
    """Return ``asks`` begun elsewhere, so that connections do not ask the same at the same time."""
    offset %= len(asks)
    return [*asks[offset:], *asks[:offset]]


@asynccontextmanager
async def connected(job: Job) -> AsyncIterator[list[Connection]]:
    """Open the connections of a job for as long as the block lasts."""
    loop = asyncio.get_running_loop()
    connections: list[Connection] = []
    try:
        for number in range(job.connections):
            connection = Connection(job.asks, number * len(job.asks) // job.connections)
            connections.append(connection)
            await loop.create_connection(lambda made=connection: made, "127.0.0.1", job.port)  # type: ignore[misc]
        yield connections
    finally:
        for connection in connections:
            connection.close()
        await asyncio.sleep(0)


async def drive(connections: Sequence[Connection], seconds: float) -> list[int]:
    """Keep all connections asking; return their latencies once all are answered.

    Raises:
        WrongAnswer: one had an answer of another status or length than expected.

    """
    driven = (connection.drive(seconds) for connection in connections)
    latencies: list[int] = []
    for result in await asyncio.gather(*driven, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
        latencies += result
    return sorted(latencies)


async def run(job: Job) -> Load:
    """Warm the server up, then measure.

    Raises:
        WrongAnswer: an answer had another status or length than expected.
        OSError: the server cannot be reached.

    """
    async with connected(job) as connections:
        await drive(connections, job.warm_seconds)
        core, postgres = core_seconds_busy(job.core), family_seconds_used(job.postgres)
        server, began = seconds_used(job.server), time.monotonic()
        latencies = await drive(connections, job.seconds)
        ended, server = time.monotonic(), seconds_used(job.server) - server
        return Load(
            seconds=ended - began,
            latencies=latencies,
            server_cpu=server,
            postgres_cpu=family_seconds_used(job.postgres) - postgres,
            core_busy=core_seconds_busy(job.core) - core,
            began=began,
        )


def main() -> None:
    """Do the job on standard input."""
    given: dict[str, Any] = orjson.loads(sys.stdin.buffer.read())
    job = Job(**{**given, "asks": [Ask(**ask) for ask in given["asks"]]})
    sys.stdout.buffer.write(orjson.dumps(asdict(uvloop.run(run(job)))))


if __name__ == "__main__":
    main()
