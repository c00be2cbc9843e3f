"""Asking the small application, from outside, and byte by byte."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpx2

from tests.fixtures.servers import Address
from tests.gateway.transports.site import SALES

GRACE = 5.0
"""Seconds a loaded machine may take for what takes no time."""
BODY = b'{"query":"{ hello }"}'


def request(
    *headers: bytes, body: bytes = BODY, target: bytes = b"/graphql", method: bytes = b"POST"
) -> bytes:
    """Return a whole request."""
    head = [
        method + b" " + target + b" HTTP/1.1",
        b"Host: erp.example",
        b"Authorization: Bearer sales",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
        *headers,
    ]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def failures(logs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what failed by a log; a gateway of other tests may say there that the loop waited."""
    return [line["event"] for line in logs if line["log_level"] == "error"]


async def counts(address: Address) -> dict[str, int]:
    """Ask the server what it runs."""
    async with httpx2.AsyncClient(headers=SALES) as client:
        query = {"query": "{ counts { sleeping canceled live } }"}
        response = await client.post(address.graphql, json=query)
        found: dict[str, int] = response.json()["data"]["counts"]
        return found


async def until(
    address: Address, holds: Callable[[dict[str, int]], bool], within: float = GRACE
) -> float:
    """Wait until what the server runs is as told; return the seconds it took."""
    started = time.monotonic()
    while not holds(found := await counts(address)):
        assert time.monotonic() - started < within, found
        await asyncio.sleep(0.02)
    return time.monotonic() - started


async def until_held_back(made: Callable[[], int]) -> None:
    """Wait until nothing more is made for a while."""
    started = time.monotonic()
    before, now = -1, made()
    while before != now:
        assert time.monotonic() - started < 4 * GRACE, "the source was never held back"
        await asyncio.sleep(0.3)
        before, now = now, made()
