"""Small requests that come whole are answered without ASGI, and nobody can tell."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from starlette.types import Receive, Scope, Send

from gateway import server
from gateway.transports.exchange import Exchange
from tests.fixtures.servers import Address, running_server
from tests.gateway.transports import site
from tests.gateway.transports.probing import BODY, GRACE, request, until

MODERN = b"Accept: application/graphql-response+json"


@dataclass(eq=False)
class Watched:
    """The small application, and how many requests came by which way."""

    address: Address
    direct: int = 0
    asgi: int = 0
    began: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a request begins by ASGI."""


@pytest_asyncio.fixture(scope="module")
async def watched() -> AsyncIterator[Watched]:
    """Yield the small application, with both ways counted."""
    settings = site.site_settings()
    endpoint = site.make_site(settings)
    found = Watched(Address(0))

    class Counted:
        async def direct(self, exchange: Exchange) -> None:
            found.direct += 1
            await endpoint.direct(exchange)

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            found.asgi += 1
            found.began.set()
            await endpoint(scope, receive, send)

    async with running_server(Counted(), settings, lifespan=False) as address:
        found.address = address
        yield found


async def one(reader: asyncio.StreamReader) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """Read a response: status line, headers, body."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), GRACE)
    status, *lines = head.split(b"\r\n")[:-2]
    headers = dict(line.split(b": ", 1) for line in lines)
    length = int(headers[b"content-length"])
    return status, headers, await asyncio.wait_for(reader.readexactly(length), GRACE)


def asked(query: str, **more: object) -> bytes:
    """Return the body that asks for a document."""
    return json.dumps({"query": query, **more}).encode()


REQUESTS = {
    "data": request(MODERN),
    "data, as legacy clients ask": request(b"Accept: */*"),
    "a name and variables": request(
        MODERN,
        body=asked(
            "query Q($n: String!) { hello(name: $n) }", operationName="Q", variables={"n": "Ada"}
        ),
    ),
    "its own request id": request(b"X-Request-Id: mine-1", body=asked("{ requestId }")),
    "a mutation": request(body=asked('mutation { save(text: "a") }')),
    "an error in a field": request(MODERN, body=asked("{ denied }")),
    "an error of ours": request(MODERN, body=asked("{ crash }")),
    "a syntax error": request(MODERN, body=asked("{ hello")),
    "an unknown field": request(MODERN, body=asked("{ helo }")),
    "a subscription": request(MODERN, body=asked("subscription { ticks }")),
    "not JSON": request(MODERN, body=b"{"),
    "no document": request(body=b"{}"),
    "another type": request(body=BODY).replace(b"application/json", b"text/plain"),
    "nothing to accept": request(b"Accept: image/png"),
    "a forged token": request().replace(b"Bearer sales", b"Bearer forged"),
    "no token": request().replace(b"Authorization: Bearer sales\r\n", b""),
    "another's company": request(b"X-Company: OTHER"),
    "an overload": request().replace(b"Bearer sales", b"Bearer crowd"),
    "a header twice": request(MODERN, b"X-Request-Id: a", b"X-Request-Id: b"),
    "a page of its own": request(b"Connection: keep-alive", MODERN),
}
VARYING = re.compile(rb"[0-9a-f]{12}-[0-9a-f]+")


@pytest.mark.parametrize("name", REQUESTS)
async def test_both_ways_answer_the_same(watched: Watched, name: str) -> None:
    """Status, headers and body are those of a request that came in two pieces, by ASGI."""
    data = REQUESTS[name]
    reader, writer = await watched.address.connect()
    direct, asgi = watched.direct, watched.asgi
    writer.write(data)
    status, headers, body = await one(reader)
    assert (watched.direct, watched.asgi) == (direct + 1, asgi)
    watched.began.clear()
    writer.write(data[:-1])
    await asyncio.wait_for(watched.began.wait(), GRACE)  # so that the piece is read by itself
    writer.write(data[-1:])
    other_status, other_headers, other_body = await one(reader)
    assert (watched.direct, watched.asgi) == (direct + 1, asgi + 1)
    writer.close()
    for told in (headers, other_headers):
        told.pop(b"date", None)
        told[b"x-request-id"] = VARYING.sub(b"made", told[b"x-request-id"])
    assert status == other_status
    assert headers == other_headers
    assert VARYING.sub(b"made", body) == VARYING.sub(b"made", other_body)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(request(b"Origin: https://shop.example"), id="a page of another site"),
        pytest.param(request(b"Connection: close"), id="the last of its connection"),
        pytest.param(request(b"Expect: 100-continue"), id="one that waits"),
        pytest.param(request(target=b"/graphql?x=1"), id="parameters"),
        pytest.param(request().replace(b"HTTP/1.1", b"HTTP/1.0"), id="HTTP 1.0"),
        pytest.param(request(body=BODY + b" " * 19_990), id="a large one"),
    ],
)
async def test_what_is_not_usual_goes_by_asgi(watched: Watched, data: bytes) -> None:
    """What asks for more than an answer is left to who can give it."""
    direct, asgi = watched.direct, watched.asgi
    reader, writer = await watched.address.connect()
    writer.write(data)
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), GRACE)
    writer.close()
    assert (watched.direct, watched.asgi) == (direct, asgi + 1)


async def test_requests_of_both_kinds_may_follow_each_other_closely(watched: Watched) -> None:
    """Answers come in the order of the requests, whoever answers them."""
    get = request(target=b"/graphql?query={hello}", method=b"GET", body=b"")
    bodies = [asked(f'{{ hello(name: "{number}") }}') for number in range(3)]
    reader, writer = await watched.address.connect()
    writer.write(b"".join([request(body=bodies[0]), get, *(request(body=b) for b in bodies[1:])]))
    answers = [json.loads((await one(reader))[2])["data"]["hello"] for _ in range(4)]
    assert [answer.split()[-1] for answer in answers] == ["0", "you", "1", "2"]
    writer.write(request())  # and the connection goes on
    assert (await one(reader))[0] == b"HTTP/1.1 200 OK"
    writer.close()


async def test_a_head_that_comes_again_means_the_same(watched: Watched) -> None:
    """Only the body is looked at, if the head is the same to the byte; and never more than that."""
    bodies = [asked(f'{{ hello(name: "{name}") }}') for name in ("Ada", "Bob", "Cyd")]
    reader, writer = await watched.address.connect()
    answers = []
    direct = watched.direct
    for body in bodies:
        writer.write(request(body=body))
        answers.append(json.loads((await one(reader))[2])["data"]["hello"].split()[-1])
    assert watched.direct == direct + 3
    writer.write(request(b"X-Company: OTHER", body=bodies[0]))
    assert (await one(reader))[0] == b"HTTP/1.1 403 Forbidden"
    for data in (
        request(body=bodies[0]) + request(body=bodies[1]),  # two at once, of which each begins so
        request(body=bodies[2]) * 2,
    ):
        writer.write(data)
        both = [await one(reader), await one(reader)]
        answers += [json.loads(body)["data"]["hello"].split()[-1] for _, _, body in both]
    writer.write(request(body=bodies[0]).replace(b"Bearer sales", b"Bearer other"))
    assert json.loads((await one(reader))[2])["data"]["hello"].startswith("user:other")
    # as long as before, but the first of its kind: the head has not come before
    writer.write(request(body=bodies[0]).replace(b"Bearer other", b"Bearer sales"))
    answers.append(json.loads((await one(reader))[2])["data"]["hello"].split()[-1])
    assert answers == ["Ada", "Bob", "Cyd", "Ada", "Bob", "Cyd", "Cyd", "Ada"]
    # the same head while the last answer is under way: it waits for its turn
    slow = request(body=asked("{ sleep(seconds: 0.3) }"))
    writer.write(slow)
    await one(reader)
    writer.write(slow)
    await asyncio.sleep(0.05)
    writer.write(slow)
    for _ in range(2):
        assert json.loads((await one(reader))[2]) == {"data": {"sleep": True}}
    writer.close()


async def test_line_breaks_around_a_body_are_of_no_head(watched: Watched) -> None:
    """A body that begins with a line break, and one after it, do not shift what comes next."""
    reader, writer = await watched.address.connect()
    data = request(body=b"\r\n" + asked('{ hello(name: "Ada") }'))
    writer.write(data + b"\r\n")
    assert b"greets Ada" in (await one(reader))[2]
    writer.write(data + data[:2])  # as long as before, with the beginning of another
    assert b"greets Ada" in (await one(reader))[2]
    writer.write(data[2:])
    assert b"greets Ada" in (await one(reader))[2]
    writer.close()


async def test_what_follows_a_stream_closely_waits_for_it(watched: Watched) -> None:
    """Also a request of which a part comes while the stream begins; and what comes after it."""
    stream = request(b"Accept: text/event-stream", body=asked("{ sleep(seconds: 0.2) }"))
    slow = request(MODERN, body=asked("{ sleep(seconds: 0.3) }"))
    reader, writer = await watched.address.connect()
    writer.write(stream + slow[:-5])
    await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), GRACE)
    writer.write(slow[-5:])
    await until(watched.address, lambda found: found["sleeping"] == 1)
    writer.write(request(MODERN, body=asked("{ hello }")))
    answers = [json.loads((await one(reader))[2])["data"] for _ in range(2)]
    assert answers == [{"sleep": True}, {"hello": "user:sales greets you"}]
    writer.close()


async def test_a_client_that_does_not_read_is_waited_for(watched: Watched) -> None:
    """What it asked for next is sent when it has read, and all of it arrives."""
    size = 6_000_000
    reader, writer = await watched.address.connect()
    large = request(body=asked(f"{{ large(size: {size}) }}"))
    writer.write(large)
    await asyncio.sleep(0.3)
    writer.write(large)
    await asyncio.sleep(0.3)
    for _ in range(2):
        _, _, body = await one(reader)
        assert len(json.loads(body)["data"]["large"]) == size
    writer.close()


async def test_a_connection_on_which_nothing_is_asked_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each answer prolongs its life; silence ends it."""
    monkeypatch.setattr(server, "KEEP_ALIVE_SECONDS", 1)
    async with site.site_with() as address:
        reader, writer = await address.connect()
        loop = asyncio.get_running_loop()
        asked_at = 0.0
        for _ in range(4):
            asked_at = loop.time()
            writer.write(request())
            await one(reader)
            await asyncio.sleep(0.4)
        assert await asyncio.wait_for(reader.read(), GRACE) == b""
        assert loop.time() - asked_at > 0.9
        writer.close()


async def test_a_request_that_ends_after_its_answer_does_not_keep_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Silence ends the connection also where the rest of a refused body came late."""
    monkeypatch.setattr(server, "KEEP_ALIVE_SECONDS", 0.3)
    async with site.site_with(body_timeout_seconds=GRACE) as address:
        reader, writer = await address.connect()
        data = REQUESTS["a forged token"]
        writer.write(data[:-1])
        assert (await one(reader))[0] == b"HTTP/1.1 401 Unauthorized"
        await asyncio.sleep(0.5)  # so that the connection would be idle, but for the rest
        writer.write(data[-1:])
        assert await asyncio.wait_for(reader.read(), GRACE) == b""
        writer.close()


async def test_a_socket_may_follow_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies open one on a connection that had requests: it is no idle connection then."""
    monkeypatch.setattr(server, "KEEP_ALIVE_SECONDS", 0.3)
    async with site.site_with(ws_init_timeout_seconds=GRACE) as address:
        reader, writer = await address.connect()
        writer.write(request())
        await one(reader)
        writer.write(
            b"GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
        )
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), GRACE)
        assert head.startswith(b"HTTP/1.1 101 ")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.6)
        writer.close()


async def test_a_server_that_stops_ends_its_connections() -> None:
    """A running request is answered, and told that it is the last; an idle one is let go."""
    async with site.site_with() as address:
        idle, idle_writer = await address.connect()
        idle_writer.write(request())
        await one(idle)
        reader, writer = await address.connect()
        writer.write(request(body=asked("{ sleep(seconds: 1) }")))
        await until(address, lambda found: found["sleeping"] == 1)
    _, headers, body = await one(reader)
    assert headers[b"connection"] == b"close"
    assert json.loads(body) == {"data": {"sleep": True}}
    assert await reader.read() == await idle.read() == b""
    writer.close()
    idle_writer.close()
