"""Stopping: what was asked for is answered, what would not end is ended, and the process leaves."""

import asyncio
import json
import os
import signal
import time

import httpx2
import pytest

from tests.fixtures.servers import ServerProcess, server_process
from tests.gateway.transports import site
from tests.gateway.transports.clients import STREAM, entered, events
from tests.gateway.transports.probing import GRACE, until


async def connected_until_refused(process: ServerProcess) -> None:
    """Connect again and again.

    Raises:
        OSError: it is not possible any more.

    """
    async with asyncio.timeout(GRACE):
        while True:
            _, writer = await process.connect()
            writer.close()
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
async def test_running_requests_are_finished(sig: signal.Signals) -> None:
    """A mutation under way is answered, while new connections are refused; exit code 0."""
    async with (
        server_process(site.__file__) as process,
        httpx2.AsyncClient(base_url=process.url, headers=site.SALES) as client,
    ):
        body = {"query": 'mutation { save(text: "kept", seconds: 1) }'}
        running = asyncio.create_task(client.post("/graphql", json=body))
        await until(process, lambda found: found["sleeping"] == 1)
        stopping = asyncio.create_task(process.stop(sig))
        with pytest.raises(OSError, match="Connect call failed"):
            await connected_until_refused(process)
        assert (await running).json() == {"data": {"save": "kept"}}
        assert await stopping == 0


async def test_sockets_are_closed_as_going_away() -> None:
    """1001, subscriptions first; an operation under way on a socket is answered before."""
    async with (
        server_process(site.__file__) as process,
        entered(process) as busy,
        entered(process) as idle,
    ):
        await busy.subscribe("m", 'mutation { save(text: "kept", seconds: 1) }')
        await idle.subscribe("s", "subscription { ticks(pause: 30) }")
        assert (await idle.receive())["type"] == "next"
        await until(process, lambda found: (found["sleeping"], found["live"]) == (1, 1))
        started = time.monotonic()
        stopping = asyncio.create_task(process.stop())
        assert await idle.closed() == (1001, "The server is shutting down")
        assert (await busy.receive())["payload"] == {"data": {"save": "kept"}}
        assert (await busy.receive())["type"] == "complete"
        assert (await busy.closed())[0] == 1001
        assert await stopping == 0
        assert time.monotonic() - started < 3 + GRACE


async def test_event_streams_are_ended() -> None:
    """The response ends properly but without complete, so that clients come back elsewhere."""
    async with (
        server_process(site.__file__) as process,
        httpx2.AsyncClient(base_url=process.url, headers=site.SALES) as client,
    ):
        body = {"query": "subscription { ticks(pause: 30) }"}
        async with client.stream("POST", "/graphql", json=body, headers=STREAM) as response:
            found = events(response)
            assert [(await anext(found))[0] for _ in range(2)] == [":", "next"]
            started = time.monotonic()
            stopping = asyncio.create_task(process.stop())
            assert [name async for name, _ in found if name != ":"] == []
        assert await stopping == 0
        assert time.monotonic() - started < GRACE


async def test_what_takes_too_long_is_cut_off() -> None:
    """After the time given the process leaves, whatever still runs."""
    settings = json.dumps({"shutdown_seconds": 1.0, "operation_timeout_seconds": 60})
    async with (
        server_process(site.__file__, settings) as process,
        httpx2.AsyncClient(base_url=process.url, headers=site.SALES) as client,
        entered(process) as busy,
    ):
        body = {"query": "{ sleep(seconds: 60) }"}
        running = asyncio.create_task(client.post("/graphql", json=body, timeout=30))
        await busy.subscribe("q", "{ sleep(seconds: 60) }")
        await until(process, lambda found: found["sleeping"] == 2)
        started = time.monotonic()
        assert await process.stop() == 0
        assert time.monotonic() - started < 1 + GRACE
        assert (await busy.closed())[0] == 1001
        refused = await running
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["errors"][0]["extensions"]["code"] == "OVERLOADED"


async def test_several_workers_share_the_port_and_stop_together() -> None:
    """Each is a process of its own; the signal goes to the first and ends them all."""
    async with server_process(site.__file__, json.dumps({"workers": 2})) as process:
        query = {"query": "{ process }"}

        async def pid() -> int:
            async with httpx2.AsyncClient(headers=site.SALES, timeout=30) as client:
                answer = await client.post(process.graphql, json=query)
                return int(answer.json()["data"]["process"])

        seen: set[int] = set()
        async with asyncio.timeout(30):
            while len(seen) < 2:
                seen |= set(await asyncio.gather(*(pid() for _ in range(10))))
        assert process.process.pid not in seen
        assert await process.stop() == 0
        for worker in seen:
            with pytest.raises(ProcessLookupError):
                os.kill(worker, 0)
