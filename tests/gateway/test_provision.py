"""Databases that cannot be used: what people are told, whenever the server goes away."""

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from gateway.doctor import examine_roles
from gateway.postgres import EmbeddedPostgres
from gateway.provision import DatabaseError, require_migrated, require_reachable

pytestmark = pytest.mark.may_block
"""The driver looks for files when it connects by TCP, which commands do before anything else."""


def told(kind: bytes, body: bytes) -> bytes:
    """Return a message as a server sends it."""
    return kind + struct.pack("!i", len(body) + 4) + body


NO_TLS = b"N"
LET_IN = told(b"R", struct.pack("!i", 0)) + told(b"S", b"server_version\x0018.0\0")
READY = told(b"Z", b"I")
SHUT_DOWN = told(b"E", b"SFATAL\0C57P01\0Mterminating connection\0\0")
SASL = told(b"R", struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0")
NONSENSE = told(b"R", struct.pack("!i", 11) + b"r=nonsense")


@asynccontextmanager
async def dying(*answers: bytes) -> AsyncIterator[str]:
    """Yield the URL of a server that says these things, one after each message, and is gone."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.read(1_000)
            writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"postgresql://owner:secret@127.0.0.1:{port}/erp"


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ((), "Connection reset|connection was closed|Connection lost"),
        ((b"HTTP/1.1 400 Bad Request",), "rejected SSL upgrade"),
        ((NO_TLS, LET_IN[:3]), "connection was closed in the middle of operation"),
        ((NO_TLS, SASL, NONSENSE), "unexpected error while performing authentication"),
        ((NO_TLS, LET_IN + told(b"S", b"TimeZone\0\xff\0") + READY), "codec can't decode"),
        ((NO_TLS, LET_IN + SHUT_DOWN), "terminating connection"),
        ((NO_TLS, LET_IN + READY), "connection (is|was) closed"),
        ((NO_TLS, LET_IN + READY + SHUT_DOWN), "it ended the session|connection (is|was) closed"),
    ],
)
async def test_a_server_that_goes_away_is_unreachable(
    answers: Sequence[bytes], reason: str
) -> None:
    """Wherever in the login that is, or right after it; nobody is shown a traceback."""
    async with dying(*answers) as url:
        for ask in (require_reachable, require_migrated):
            message = rf"Cannot reach the database at 127.0.0.1:\d+/erp: .*({reason})"
            with pytest.raises(DatabaseError, match=message) as refused:
                await ask(url)
            assert "secret" not in str(refused.value)


async def test_a_server_of_another_kind_than_asked_for_is_unreachable(
    server: EmbeddedPostgres,
) -> None:
    """The driver counts it among its own errors."""
    url = f"{server.url()}&target_session_attrs=standby"
    with pytest.raises(DatabaseError, match="None of the hosts match"):
        await require_reachable(url)
    found = await examine_roles(url)
    assert (found.subject, found.status) == ("serving login", "problem")
