"""The load generator counts what it is answered, and does not count wrong answers."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from benchmarks.load import Ask, Job, WrongAnswer, run
from benchmarks.processes import seconds_used

REQUEST = "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


@asynccontextmanager
async def server(status: str, body: bytes) -> AsyncIterator[tuple[int, list[int]]]:
    """Serve one answer to every request; yield the port and a list with a place per request."""
    asked: list[int] = []
    answering: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.add(asyncio.current_task())  # type: ignore[arg-type]
        while await reader.readline():
            while await reader.readline() != b"\r\n":
                pass
            asked.append(1)
            length = f"content-length: {len(body)}"
            writer.write(f"HTTP/1.1 {status}\r\n{length}\r\n\r\n".encode() + body)
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1], asked
    finally:
        listening.close()
        await asyncio.gather(*answering)


def job(port: int, length: int) -> Job:
    """Return a short job on this very process."""
    return Job(
        port=port,
        asks=[Ask(REQUEST, length)],
        connections=3,
        warm_seconds=0.05,
        seconds=0.1,
        server=os.getpid(),
        postgres=os.getpid(),
        core=min(os.sched_getaffinity(0)),
    )


async def test_every_answer_is_counted_and_timed() -> None:
    """Requests of the warm-up are sent but not counted; CPU time is the server's."""
    async with server("200 OK", b"four") as (port, asked):
        load = await run(job(port, 4))
    assert 0 < len(load.latencies) < len(asked)
    assert load.latencies == sorted(load.latencies)
    assert load.seconds >= 0.1
    assert 0 < load.server_cpu <= seconds_used(os.getpid())


@pytest.mark.parametrize(("status", "length"), [("200 OK", 5), ("500 Oh", 4)])
async def test_a_wrong_answer_ends_the_measurement(status: str, length: int) -> None:
    """Speed at giving wrong answers is worth nothing."""
    async with server(status, b"four") as (port, _):
        with pytest.raises(WrongAnswer, match=r"status \d+, 4 bytes"):
            await run(job(port, length))
