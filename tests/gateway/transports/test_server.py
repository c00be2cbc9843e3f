"""The server below the transports, tried with bare sockets: limits, slowness, hang-ups.

It runs as a process of its own, on uvloop as in production.
"""

import asyncio
import json
import re
import socket
import struct
import time
from contextlib import suppress
from typing import Any

import httpx2
import pytest

from gateway.server import UNACKNOWLEDGED_SECONDS, ListenError, bind
from gateway.settings import Settings
from gateway.transports.http_protocol import LINGER_SECONDS
from tests.fixtures.servers import Address, ServerProcess
from tests.gateway.transports.probing import BODY, GRACE, counts, request, until
from tests.gateway.transports.site import SALES


async def talk(address: Address, data: bytes, *, end: bool = False) -> bytes:
    """Send ``data`` and return all that comes until the server closes."""
    reader, writer = await address.connect()
    try:
        writer.write(data)
        if end:
            writer.write_eof()
        return await asyncio.wait_for(reader.read(), 3 * GRACE)
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, Any]]:
    """Read one response whose length is announced."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), GRACE)
    length = re.search(rb"content-length: (\d+)", head)
    assert length is not None
    body = await asyncio.wait_for(reader.readexactly(int(length[1])), GRACE)
    return int(head.split()[1]), json.loads(body)


def status(response: bytes) -> int:
    """Return the status of a response, which must be complete and end the connection."""
    head, _, body = response.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    assert length is not None
    assert len(body) == int(length[1])
    assert b"connection: close" in head
    assert b"x-request-id: " in head
    assert set(json.loads(body)) == {"errors"}
    return int(head.split()[1])


async def test_an_address_too_long_is_refused(process: ServerProcess) -> None:
    """414 above 4,096 bytes, also when it never ends; the limit itself is allowed."""
    target = b"/graphql?query={hello}&x="
    fits = target + b"x" * (4_096 - len(target))
    reader, writer = await process.connect()
    writer.write(request(target=fits, method=b"GET", body=b""))
    assert (await answer(reader))[0] == 200
    writer.close()
    assert status(await talk(process, request(target=fits + b"x", method=b"GET", body=b""))) == 414
    assert status(await talk(process, b"GET /" + b"x" * 50_000)) == 414


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"X-Large: " + b"x" * 8_192 + b"\r\n\r\n", id="one large"),
        pytest.param(b"X-Many: x\r\n" * 800 + b"\r\n", id="many small"),
        pytest.param(b"X-Endless: " + b"x" * 20_000, id="a value without end"),
        pytest.param(b"X" * 20_000, id="a name without end"),
    ],
)
async def test_a_header_too_large_is_refused(process: ServerProcess, header: bytes) -> None:
    """431 above 8,192 bytes, in whatever way it grows."""
    assert status(await talk(process, b"POST /graphql HTTP/1.1\r\n" + header)) == 431


async def test_a_huge_header_is_cut_off_while_it_is_sent(process: ServerProcess) -> None:
    """The answer comes, and the connection ends, long before 20 MB are through."""
    _, writer = await process.connect()
    writer.write(b"POST /graphql HTTP/1.1\r\nX-Huge: ")
    sent = 0
    with suppress(ConnectionError):
        while sent < 2_000:
            writer.write(b"x" * 10_000)
            await writer.drain()
            sent += 1
            await asyncio.sleep(0.005)
    assert sent < 1_500
    writer.close()


async def test_a_refused_peer_that_still_sends_can_read_why(process: ServerProcess) -> None:
    """The answer is not lost to a reset while the peer is busy sending."""
    reader, writer = await process.connect()
    writer.write(b"POST /graphql HTTP/1.1\r\nX-Huge: " + b"x" * 2_000_000)
    first = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), GRACE)
    assert first.startswith(b"HTTP/1.1 431 ")
    started = time.monotonic()
    await asyncio.wait_for(reader.read(), GRACE)
    writer.close()
    assert time.monotonic() - started < LINGER_SECONDS + GRACE


async def test_trailers_are_bounded_like_headers(process: ServerProcess) -> None:
    """What may follow a chunked body cannot grow without end."""
    head = request(b"Transfer-Encoding: chunked", body=b"").replace(b"Content-Length: 0\r\n", b"")
    body = b"2\r\n{}\r\n0\r\n"
    assert status(await talk(process, head + body + b"X-Many: x\r\n" * 900)) == 431
    assert status(await talk(process, head + body + b"X-Endless: " + b"x" * 20_000)) in (408, 431)


@pytest.mark.parametrize(
    "part", [b"", b"P", b"POST /graphql", b"POST /graphql HTTP/1.1\r\nHost: x"]
)
async def test_a_header_must_come_in_time(process: ServerProcess, part: bytes) -> None:
    """408 to those who began, and a plain close to those who said nothing."""
    started = time.monotonic()
    response = await talk(process, part)
    assert 0.3 < time.monotonic() - started < GRACE
    assert (status(response) if part else response) == (408 if part else b"")


async def test_line_breaks_before_a_request_gain_no_time(process: ServerProcess) -> None:
    """They are allowed by HTTP, and begin nothing."""
    reader, writer = await process.connect()
    started = time.monotonic()
    reading = asyncio.create_task(reader.read())
    while not reading.done() and time.monotonic() - started < GRACE:
        writer.write(b"\r\n")
        await asyncio.sleep(0.05)
    assert await reading == b""
    assert time.monotonic() - started < GRACE
    writer.close()


async def test_a_dripping_header_does_not_extend_its_time(process: ServerProcess) -> None:
    """The time counts from the request's first byte to the end of its header."""
    reader, writer = await process.connect()
    started = time.monotonic()
    writer.write(b"POST /graphql HTTP/1.1\r\nX-Slow: ")
    while not reader.at_eof() and time.monotonic() - started < GRACE:
        writer.write(b"x")
        await asyncio.sleep(0.05)
        if reader._buffer:  # type: ignore[attr-defined]
            break
    assert status(await asyncio.wait_for(reader.read(), GRACE)) == 408
    writer.close()


async def test_a_body_must_come_in_time(process: ServerProcess) -> None:
    """408 when the rest of the body does not come, drip by drip or at all."""
    for pause in (0.05, 10.0):
        reader, writer = await process.connect()
        writer.write(request(body=BODY + b" " * 500)[:-500])
        started = time.monotonic()
        while not reader._buffer and time.monotonic() - started < GRACE:  # type: ignore[attr-defined]
            await asyncio.sleep(0.05)
            if pause < 1:
                writer.write(b" ")
        assert status(await asyncio.wait_for(reader.read(), GRACE)) == 408
        writer.close()


async def test_the_body_of_a_refused_request_must_come_in_time_too(process: ServerProcess) -> None:
    """A request that was answered early does not keep its connection for ever."""
    refused = request(body=b"x" * 1_000).replace(b"Bearer sales", b"Bearer forged")
    reader, writer = await process.connect()
    writer.write(refused[:-900])
    assert (await answer(reader))[0] == 401
    assert await asyncio.wait_for(reader.read(), GRACE) == b""
    writer.close()


async def test_requests_may_follow_each_other_closely(process: ServerProcess) -> None:
    """Pipelined requests are answered in order, also the one that is still incomplete."""
    slow = b'{"query":"{ sleep(seconds: 1) }"}'
    reader, writer = await process.connect()
    third = request()
    writer.write(request(body=slow) + request() + third[:100])
    assert (await answer(reader))[1] == {"data": {"sleep": True}}
    assert (await answer(reader))[1] == {"data": {"hello": "user:sales greets you"}}
    writer.write(third[100:])
    assert (await answer(reader))[1] == {"data": {"hello": "user:sales greets you"}}
    writer.close()


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"nonsense\r\n\r\n",
        b"GET /graphql HTTP/9.9\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /graphql\xff HTTP/1.1\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /graphql HTTP/1.1\r\n\r\n",
        b"GET /graphql HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_refused(process: ServerProcess, data: bytes) -> None:
    """400, and the connection ends."""
    assert status(await talk(process, data)) == 400


async def test_a_client_that_hangs_up_ends_its_operation(process: ServerProcess) -> None:
    """A closed, a half-closed and a reset connection each cancel what they had asked for."""
    slow = request(body=b'{"query":"{ sleep(seconds: 30) }"}')
    before = (await counts(process))["canceled"]
    for way in ("close", "half-close", "reset"):
        reader, writer = await process.connect()
        writer.write(slow)
        await until(process, lambda found: found["sleeping"] == 1)
        if way == "half-close":
            writer.write_eof()
        elif way == "reset":
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        else:
            writer.close()
        assert await until(process, lambda found: found["sleeping"] == 0) < GRACE
        if way == "half-close":
            assert await asyncio.wait_for(reader.read(), GRACE) == b""
            writer.close()
    assert (await counts(process))["canceled"] == before + 3


async def test_fifty_clients_that_hang_up_leave_nothing_behind(process: ServerProcess) -> None:
    """No operation survives its client."""
    slow = request(body=b'{"query":"mutation { save(text: \\"a\\", seconds: 30) }"}')
    connections = [await process.connect() for _ in range(50)]
    for _, writer in connections:
        writer.write(slow)
    await until(process, lambda found: found["sleeping"] == 50)
    for _, writer in connections:
        writer.close()
    await until(process, lambda found: found["sleeping"] == 0)


async def test_a_client_that_stops_reading_a_large_answer_is_dropped() -> None:
    """The kernel gives up on what is not acknowledged: accepted sockets inherit that."""
    listener = bind(Settings(environment="test", port=0))
    try:
        option = socket.TCP_USER_TIMEOUT
        inherited = listener.getsockopt(socket.IPPROTO_TCP, option)
        peer = socket.create_connection(listener.getsockname())
        listener.settimeout(GRACE)
        accepted, _ = listener.accept()
        with peer, accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, option) == inherited
        assert inherited == UNACKNOWLEDGED_SECONDS * 1000
    finally:
        listener.close()


async def test_the_server_does_not_tell_what_it_is(process: ServerProcess) -> None:
    """No Server header."""
    async with httpx2.AsyncClient(headers=SALES) as client:
        response = await client.post(process.graphql, json={"query": "{ hello }"})
        assert "server" not in response.headers


def test_a_port_in_use_is_told_before_anything_starts() -> None:
    """The error names the address and the setting to change."""
    first = bind(Settings(environment="test", port=0))
    try:
        port = first.getsockname()[1]
        with pytest.raises(
            ListenError, match=rf"127\.0\.0\.1:{port} is already in use.*GATEWAY_PORT"
        ):
            bind(Settings(environment="test", port=port))
    finally:
        first.close()
    bind(Settings(environment="test", port=port)).close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", ""])
def test_an_address_that_is_not_ours_is_told(host: str) -> None:
    """The error names the setting; an empty host means every address, as for any server."""
    settings = Settings(environment="test", host=host, port=0)
    if host:
        with pytest.raises(ListenError, match="GATEWAY_HOST"):
            bind(settings)
    else:
        bind(settings).close()


def test_ipv6_is_served_where_it_is_asked_for() -> None:
    """A host with colons is an IPv6 address."""
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        listener = bind(Settings(environment="test", host="::1", port=0))
    except ListenError:
        pytest.skip("this machine has no IPv6 loopback address")
    assert listener.family is socket.AF_INET6
    listener.close()
