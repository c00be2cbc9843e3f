"""Hundreds of broken conversations: the server answers the next one, and complains of nothing.

The seed is fixed, but for what depends on timing.
"""

import asyncio
import json
import random
import struct
from contextlib import suppress

import httpx2

from tests.fixtures.servers import Address, server_process
from tests.gateway.transports import site
from tests.gateway.transports.probing import request, until

CONVERSATIONS = 600
AT_ONCE = 40

STREAM = request(body=b'{"query":"subscription { ticks(count: 3) }"}').replace(
    b"Content-Type", b"Accept: text/event-stream\r\nContent-Type"
)
CHUNKED = (
    request(b"Transfer-Encoding: chunked", body=b"").replace(b"Content-Length: 0\r\n", b"")
    + b'14\r\n{"query":"{ hello }"}\r\n0\r\n\r\n'
)
HANDSHAKE = (
    b"GET /graphql HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\nAuthorization: Bearer sales\r\n\r\n"
)
INSERTED = (
    *(b"\r\n", b"\0", b"{", b"[", b'"', b"Content-Length: 9\r\n", b"Connection: close\r\n"),
    *(b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\n", b"Transfer-Encoding: chunked\r\n"),
)
MESSAGES = [
    json.dumps(message).encode()
    for message in (
        {"type": "connection_init"},
        {"type": "ping", "payload": {"a": 1}},
        {"id": "1", "type": "subscribe", "payload": {"query": "subscription { ticks }"}},
        {"id": "2", "type": "subscribe", "payload": {"query": "{ sleep(seconds: 1) }"}},
        {"id": "1", "type": "complete"},
    )
]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return ``data`` with a few bytes changed, lost, repeated or put in."""
    result = bytearray(data)
    for _ in range(rng.randint(0, 6)):
        at = rng.randrange(len(result) + 1)
        match rng.randrange(5):
            case 0:
                result[at : at + 1] = rng.randbytes(1)
            case 1:
                del result[at : at + rng.randint(1, 20)]
            case 2:
                result[at:at] = rng.randbytes(rng.randint(1, 10))
            case 3:
                result[at:at] = result[:at]
            case 4:
                result[at:at] = rng.choice(INSERTED)
    return bytes(result)


def frames(rng: random.Random) -> bytes:
    """Return masked frames of messages, some of them broken."""
    sent = [(1, MESSAGES[0])]
    for _ in range(rng.randint(0, 8)):
        message = rng.choice(MESSAGES)
        opcode = rng.choice((1, 1, 1, 1, 2, 8, 9, 10, 0))
        sent.append((opcode, mutated(message, rng) if rng.random() < 0.4 else message))
    data = b""
    for opcode, text in sent:
        length = (
            struct.pack("!BH", 0xFE, len(text)) if len(text) > 125 else bytes([0x80 | len(text)])
        )
        data += bytes([0x80 | opcode]) + length + b"\0\0\0\0" + text
    return mutated(data, rng) if rng.random() < 0.1 else data


async def converse(address: Address, rng: random.Random) -> None:
    """Say something broken, read a little or nothing, and leave in some way."""
    reader, writer = await address.connect()
    with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        if rng.random() < 0.3:
            writer.write(HANDSHAKE)
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            writer.write(frames(rng))
        else:
            starts = [rng.choice((request(), STREAM, CHUNKED, HANDSHAKE)) for _ in range(2)]
            data = b"".join(mutated(start, rng) for start in starts[: rng.choice((1, 1, 2))])
            step = rng.choice((len(data), 50, 7)) or 1
            for begin in range(0, len(data), step):
                writer.write(data[begin : begin + step])
                await asyncio.sleep(0)
        if rng.random() < 0.5:
            await asyncio.wait_for(reader.read(200), rng.choice((0.05, 0.3)))
        if rng.random() < 0.3:
            writer.transport.abort()
    writer.close()


async def test_broken_conversations_leave_no_trace() -> None:
    """Nothing runs on, nothing is logged as an error, and the process stops as it should."""
    rng = random.Random(20_261_121)
    async with server_process(site.__file__, gather_errors=True) as process:
        for _ in range(0, CONVERSATIONS, AT_ONCE):
            seeds = [rng.random() for _ in range(AT_ONCE)]
            await asyncio.gather(*(converse(process, random.Random(seed)) for seed in seeds))
        await until(process, lambda found: found["live"] == found["sleeping"] == 0)
        async with httpx2.AsyncClient(headers=site.SALES) as client:
            answer = await client.post(process.graphql, json={"query": "{ hello }"})
            assert answer.json() == {"data": {"hello": "user:sales greets you"}}
        assert await process.stop() == 0
        assert await process.output() == ""
