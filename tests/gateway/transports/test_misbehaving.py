"""Peers of a socket that keep to no protocol: what they get, and that nobody else notices."""

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.transports import socket_protocol
from gateway.transports.http_protocol import HttpProtocol
from gateway.transports.socket_protocol import SocketProtocol
from gateway.transports.websocket import Socket
from gateway.transports.wire import Wire
from schema.core.live import Subscriber
from tests.fixtures.servers import Address, ServerProcess, server_process
from tests.gateway.transports import site
from tests.gateway.transports.clients import bare, entered, frame, message_frame, read_frame
from tests.gateway.transports.probing import GRACE, request, until
from tests.gateway.transports.site import site_with

TEXT, FIRST_OF_TEXT, MORE, LAST = 0x81, 0x01, 0x00, 0x80
CLOSE, PING = 0x88, 0x89
READ_CLOSE, READ_PONG = 8, 10
PING_MESSAGE = b'{"type":"ping"}'


@pytest_asyncio.fixture(scope="module")
async def silent() -> AsyncIterator[ServerProcess]:
    """Yield a server of its own; whatever is done to it, it must have nothing to say."""
    crowd = json.dumps({"ws_max_sockets_per_caller": 100})
    async with server_process(site.__file__, crowd, gather_errors=True) as running:
        yield running
        assert await running.stop() == 0
        assert await running.output() == ""


async def closing(reader: asyncio.StreamReader) -> int:
    """Return the code that the server closes with, and read until the connection ends."""
    while (received := await read_frame(reader))[0] != READ_CLOSE:
        pass
    await asyncio.wait_for(reader.read(), 2 * GRACE)
    return int.from_bytes(received[1][:2])


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(frame(TEXT | 0x40, PING_MESSAGE), 1002, id="RSV1, as if it were compressed"),
        pytest.param(frame(TEXT | 0x20, PING_MESSAGE), 1002, id="RSV2"),
        pytest.param(frame(TEXT | 0x10, PING_MESSAGE), 1002, id="RSV3"),
        pytest.param(frame(0x83, PING_MESSAGE), 1002, id="an opcode there is not"),
        pytest.param(frame(0x8B), 1002, id="a control opcode there is not"),
        pytest.param(b"\x81\x0f" + PING_MESSAGE, 1002, id="no mask"),
        pytest.param(frame(0x09, b"x"), 1002, id="a ping in pieces"),
        pytest.param(frame(PING, b"x" * 126), 1002, id="a long ping"),
        pytest.param(frame(LAST, PING_MESSAGE), 1002, id="the end of nothing"),
        pytest.param(frame(FIRST_OF_TEXT) + frame(TEXT, PING_MESSAGE), 1002, id="one in another"),
        pytest.param(frame(CLOSE, b"\x03"), 1002, id="half a close code"),
        pytest.param(frame(CLOSE, (1005).to_bytes(2)), 1002, id="a close code that is not sent"),
        pytest.param(frame(CLOSE, (1000).to_bytes(2) + b"\xff"), 1007, id="a close of no text"),
        pytest.param(frame(TEXT, b"\xff\xfe"), 1007, id="text of no text"),
        pytest.param(frame(FIRST_OF_TEXT, b"\xc3") + frame(LAST, b"("), 1007, id="over two frames"),
        pytest.param(frame(TEXT, length=1 << 62), 1009, id="an announced giant"),
        pytest.param(frame(TEXT, length=20_001), 1009, id="one byte too much"),
        pytest.param(
            frame(FIRST_OF_TEXT, b"x" * 10_000) + frame(MORE, b"x" * 10_001),
            1009,
            id="too much in two frames",
        ),
    ],
)
async def test_what_is_no_frame_ends_the_connection(
    silent: ServerProcess, sent: bytes, code: int
) -> None:
    """The code of the WebSocket protocol, at once, without waiting for what was announced."""
    async with bare(silent) as (reader, writer):
        writer.write(sent)
        assert await closing(reader) == code


async def test_a_message_may_come_in_pieces(silent: ServerProcess) -> None:
    """Also with pings in between, also byte by byte."""
    async with bare(silent) as (reader, writer):
        assert json.loads((await read_frame(reader))[1]) == {"type": "connection_ack"}
        writer.write(frame(FIRST_OF_TEXT, PING_MESSAGE[:4]) + frame(PING, b"now"))
        assert await read_frame(reader) == (READ_PONG, b"now")
        for piece in (frame(MORE, PING_MESSAGE[4:9]), frame(LAST, PING_MESSAGE[9:])):
            for byte in piece:
                writer.write(bytes([byte]))
                await asyncio.sleep(0)
        assert json.loads((await read_frame(reader))[1]) == {"type": "pong"}


@pytest.mark.parametrize(
    "pieces", [[b"x" * 100] * 200, [b""] * 1_024], ids=["of some bytes", "of none"]
)
async def test_a_message_that_never_ends_is_cut_off(
    silent: ServerProcess, pieces: list[bytes]
) -> None:
    """However small its pieces are: here the last one is too much."""
    async with bare(silent) as (reader, writer):
        sent = b"".join(frame(MORE, piece) for piece in pieces)
        writer.write(frame(FIRST_OF_TEXT, b"{") + sent)
        assert await closing(reader) == 1009


async def test_a_peer_that_pings_and_reads_nothing_is_not_read() -> None:
    """What answers its pings does not pile up: the server lets it wait, and then drops it."""
    chunk = frame(PING, b"x" * 125) * 500
    async with (
        site_with(ws_ping_seconds=1.0) as address,
        bare(address, receive_buffer=4_096) as (_, writer),
    ):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(1_000):
            writer.write(chunk)
            try:
                await asyncio.wait_for(writer.drain(), 0.7)
            except TimeoutError:
                break
        else:
            pytest.fail("the server read all of it")
        async with asyncio.timeout(2 * GRACE):
            while not writer.is_closing():  # noqa: ASYNC110 - the writer tells nobody
                await asyncio.sleep(0.05)


async def test_a_frame_that_never_ends_is_not_waited_for() -> None:
    """Its sender cannot answer a ping in the middle of it."""
    started = time.monotonic()
    async with site_with(ws_ping_seconds=0.3) as address, bare(address) as (reader, writer):
        await read_frame(reader)
        writer.write(frame(TEXT, b"{", length=10_000))
        await asyncio.wait_for(reader.read(), GRACE)
        assert time.monotonic() - started > 0.3


async def test_a_peer_that_does_not_take_leave_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server closes, the peer says nothing: it is cut off a little later."""
    monkeypatch.setattr(socket_protocol, "CLOSE_SECONDS", 0.3)
    async with site_with() as address, bare(address) as (reader, writer):
        writer.write(message_frame({"type": "connection_init"}))
        started = time.monotonic()
        assert await closing(reader) == 4429
        assert 0.2 < time.monotonic() - started < GRACE


async def test_what_is_said_after_the_end_is_not_heard(silent: ServerProcess) -> None:
    """A peer that goes on after the server's close starts nothing."""
    async with bare(silent) as (reader, writer):
        writer.write(frame(TEXT, b"nonsense"))
        while (await read_frame(reader))[0] != READ_CLOSE:
            pass
        sleep = {"query": "{ sleep(seconds: 30) }"}
        for number in range(50):
            writer.write(message_frame({"id": f"{number}", "type": "subscribe", "payload": sleep}))
        writer.write(frame(CLOSE, (4400).to_bytes(2)))
        await asyncio.wait_for(reader.read(), GRACE)
    await until(silent, lambda found: found["sleeping"] == 0)


async def test_others_notice_nothing(silent: ServerProcess) -> None:
    """A subscriber is told all while sockets around it break in every way, as long as they do."""
    broken = [
        frame(TEXT | 0x70, b"x"),
        frame(TEXT, length=1 << 62),
        frame(FIRST_OF_TEXT, b"{") + frame(MORE) * 5_000,
        frame(PING, b"x" * 125) * 5_000,
        message_frame({"type": "connection_init"}) * 2,
        frame(TEXT, b"[" * 19_000),
        bytes(range(256)) * 50,
    ]

    async def misbehave(sent: bytes) -> None:
        async with bare(silent, receive_buffer=4_096) as (_, writer):
            writer.write(sent)
            await told.wait()

    told = asyncio.Event()
    async with entered(silent, "other") as client:
        await client.subscribe("s", "subscription { ticks(pause: 0.02) }")
        crowd = asyncio.gather(*(misbehave(sent) for sent in broken * 3))
        for number in range(30):
            message = await client.receive()
            assert message["payload"] == {"data": {"ticks": f"{number}"}}
        told.set()
        await crowd


async def test_connections_that_came_and_went_leave_nothing() -> None:
    """What served them is gone at once, and does not wait for the collector, which comes seldom."""
    asked = {"query": "subscription { ticks(pause: 30) }"}
    kinds = (HttpProtocol, SocketProtocol, Socket, Wire, Subscriber)

    def alive() -> int:
        return sum(isinstance(one, kinds) for one in gc.get_objects())

    async def by_socket(address: Address) -> None:
        async with bare(address) as (reader, writer):
            writer.write(message_frame({"id": "1", "type": "subscribe", "payload": asked}))
            for _ in range(2):
                await read_frame(reader)

    async def by_stream(address: Address) -> None:
        reader, writer = await address.connect()
        accept = b"Accept: text/event-stream"
        writer.write(request(accept, body=json.dumps(asked).encode()))
        await asyncio.wait_for(reader.readuntil(b"next"), GRACE)
        writer.transport.abort()

    async with site_with() as address:
        gc.collect()
        gc.disable()
        try:
            before = alive()
            for converse in (by_socket, by_stream):
                for _ in range(3):
                    await converse(address)
            async with asyncio.timeout(GRACE):
                while alive() > before:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.05)
        finally:
            gc.enable()
