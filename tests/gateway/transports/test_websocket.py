"""graphql-transport-ws to the letter, and what a socket may not do to the others."""

import asyncio
import json
import time
from contextlib import suppress
from datetime import datetime
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from resolvers.core.clock import system_clock
from tests.fixtures.servers import Address, ServerProcess
from tests.gateway.transports.clients import PROTOCOL, bare, entered, message_frame, opened
from tests.gateway.transports.probing import GRACE, failures, until, until_held_back
from tests.gateway.transports.site import COUNTS, SALES, site_with

SIGNED_IN = {"type": "connection_init", "payload": SALES}
HELLO = {"query": "{ hello }"}


async def test_a_query_answers_once_and_completes(served: Address) -> None:
    """Queries and mutations work over the socket too: next, then complete."""
    async with entered(served) as client:
        await client.subscribe("1", "{ hello }")
        data = {"hello": "user:sales greets you"}
        assert await client.receive() == {"id": "1", "type": "next", "payload": {"data": data}}
        assert await client.receive() == {"id": "1", "type": "complete"}
        save = "mutation M($t: String!) { save(text: $t) }"
        await client.subscribe("2", save, variables={"t": "ä"}, operationName="M", extensions={})
        assert (await client.receive())["payload"] == {"data": {"save": "ä"}}
        assert await client.receive() == {"id": "2", "type": "complete"}


async def test_a_subscription_sends_each_event_and_completes(served: Address) -> None:
    """One next per event, in order, then complete; the source stream has ended by then."""
    async with entered(served) as client:
        await client.subscribe("s", "subscription { ticks(count: 3) }")
        received = [await client.receive() for _ in range(4)]
        assert [m.get("payload") for m in received] == [
            {"data": {"ticks": "0"}},
            {"data": {"ticks": "1"}},
            {"data": {"ticks": "2"}},
            None,
        ]
        assert received[-1] == {"id": "s", "type": "complete"}
        assert COUNTS.live == 0


async def test_operations_run_side_by_side(served: Address) -> None:
    """Messages of several operations interleave, each with its id."""
    async with entered(served) as client:
        await client.subscribe("slow", "{ sleep(seconds: 30) }")
        await client.subscribe("fast", "{ hello }")
        assert [(await client.receive())["id"] for _ in range(2)] == ["fast"] * 2
        assert COUNTS.sleeping, "it is still under way"
        await client.send({"id": "slow", "type": "complete"})
        await client.subscribe("slow", "subscription { ticks }")
        await client.subscribe("fast", "subscription { ticks }")
        told: set[str] = set()
        while told != {"slow", "fast"}:
            told.add((await client.receive())["id"])


async def test_only_the_current_protocol_is_spoken(served: Address) -> None:
    """Without graphql-transport-ws the socket is closed with 4406; the legacy one is not spoken."""
    for offered in ([Subprotocol("graphql-ws")], None):
        async with opened(served, subprotocols=offered) as client:
            assert client.connection.subprotocol is None
            assert (await client.closed())[0] == 4406
    both = [Subprotocol("graphql-ws"), PROTOCOL]
    async with opened(served, subprotocols=both) as client:
        assert client.connection.subprotocol == PROTOCOL


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
async def test_a_foreign_origin_is_refused_before_the_handshake(
    served: Address, origin: str
) -> None:
    """403, so that no page of another site ever holds a socket."""
    with pytest.raises(InvalidStatus) as caught:
        await connect(served.socket, subprotocols=[PROTOCOL], origin=Origin(origin))
    assert caught.value.response.status_code == 403


async def test_our_own_and_allowed_origins_may_connect(served: Address) -> None:
    """So may programs, which have no origin."""
    for origin in (served.url, "https://shop.example", None):
        async with entered(served, origin=origin):
            pass


async def test_a_socket_must_introduce_itself_in_time(served: Address) -> None:
    """4408 after the time given, however much else it says."""
    started = time.monotonic()
    async with opened(served) as client:
        closing = asyncio.create_task(client.closed())
        with suppress(ConnectionClosed):  # before whoever reads was told
            while not closing.done():
                await client.connection.send('{"type":"ping"}')
                await asyncio.sleep(0.05)
        assert await closing == (4408, "Connection initialisation timeout")
        assert time.monotonic() - started > 0.3


@pytest.mark.parametrize("headers", [{}, {"x-company": "ACME"}])
async def test_the_handshake_may_carry_the_credential(
    served: Address, headers: dict[str, str]
) -> None:
    """Programs may send the headers of HTTP; the payload is then not needed, and may be null."""
    introductions: list[dict[str, Any]] = [{}, {"payload": None}, {"payload": {}}]
    for payload in introductions:
        async with opened(served, additional_headers={**SALES, **headers}) as client:
            await client.send({"type": "connection_init", **payload})
            assert await client.receive() == {"type": "connection_ack"}


async def test_the_payload_carries_the_headers_in_any_case(served: Address) -> None:
    """Names are those of the headers, whose case does not matter; it comes before the handshake."""
    headers = {"Authorization": "Bearer forged"}
    async with opened(served, additional_headers=headers) as client:
        payload = {"aUTHORIZATION": "Bearer sales", "x-COMPANY": "ACME", "other": [1]}
        await client.send({"type": "connection_init", "payload": payload})
        assert await client.receive() == {"type": "connection_ack"}


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"Authorization": "Bearer forged"},
        {"Authorization": "sales"},
        {"Authorization": None},
        {"Authorization": 5},
        {"Authorization": ["Bearer sales"]},
        {"Authorization": "Bearer sales", "X-Company": "OTHER"},
        {"Authorization": "Bearer sales", "X-Company": {}},
    ],
)
async def test_callers_that_are_not_let_in_are_told(served: Address, payload: Any) -> None:
    """4403 with the reason."""
    async with opened(served) as client:
        await client.send({"type": "connection_init", "payload": payload})
        code, reason = await client.closed()
        assert code == 4403
        assert reason


async def test_a_caller_there_is_no_room_for_may_come_back(served: Address) -> None:
    """1013, which clients take for a reason to try again."""
    async with opened(served) as client:
        await client.send({"type": "connection_init", "payload": {"Authorization": "Bearer crowd"}})
        assert (await client.closed())[0] == 1013


async def test_a_bug_in_the_door_is_not_told(served: Address) -> None:
    """4500 without a word of what happened."""
    async with opened(served) as client:
        with capture_logs() as logs:
            await client.send(
                {"type": "connection_init", "payload": {"Authorization": "Bearer bug"}}
            )
            assert await client.closed() == (4500, "Internal error")
        assert failures(logs) == ["socket failed"]


async def test_operations_need_an_introduction(served: Address) -> None:
    """4401 before the acknowledgement."""
    async with opened(served) as client:
        await client.subscribe("1", "{ hello }")
        assert await client.closed() == (4401, "Unauthorized")


async def test_a_caller_introduces_itself_once(served: Address) -> None:
    """4429 at the second time, also when the first was not answered yet."""
    async with entered(served) as client:
        await client.send(SIGNED_IN)
        assert await client.closed() == (4429, "Too many initialisation requests")
    async with opened(served) as client:
        await client.send(SIGNED_IN)
        await client.send(SIGNED_IN)
        assert (await client.closed())[0] == 4429


async def test_an_id_names_one_operation_at_a_time(served: Address) -> None:
    """4409 while it runs, whatever its type; free again once complete."""
    for query in ("subscription { ticks }", "{ sleep(seconds: 30) }"):
        async with entered(served) as client:
            for _ in range(2):
                await client.subscribe("same", "{ hello }")
                assert (await client.receive())["type"] == "next"
                assert (await client.receive())["type"] == "complete"
            await client.subscribe("same", query)
            await client.subscribe("same", "{ hello }")
            assert await client.closed() == (4409, "Subscriber for same already exists")
    assert COUNTS.live == COUNTS.sleeping == 0


async def test_a_long_id_still_fits_the_close_frame(served: Address) -> None:
    """The reason is cut to what a close frame has room for."""
    async with entered(served) as client:
        for _ in range(2):
            await client.subscribe("ä" * 500, "subscription { ticks }")
        code, reason = await client.closed()
        assert (code, len(reason.encode()) <= 123) == (4409, True)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("", id="nothing"),
        pytest.param("nonsense", id="no JSON"),
        pytest.param("null", id="null"),
        pytest.param("5", id="a number"),
        pytest.param('"ping"', id="a string"),
        pytest.param("[]", id="a list"),
        pytest.param('[{"type":"ping"}]', id="a batch"),
        pytest.param("{}", id="no type"),
        pytest.param('{"type":NaN}', id="NaN"),
        pytest.param("[" * 10_000, id="deep"),
        pytest.param({"type": None}, id="type null"),
        pytest.param({"type": ["ping"]}, id="type list"),
        pytest.param({"type": {}}, id="type map"),
        pytest.param({"type": "start", "id": "1", "payload": HELLO}, id="legacy protocol"),
        pytest.param({"type": "connection_ack"}, id="a message of the server"),
        pytest.param({"type": "next", "id": "1", "payload": {}}, id="next"),
        pytest.param({"type": "ping", "payload": 5}, id="ping payload number"),
        pytest.param({"type": "ping", "payload": []}, id="ping payload list"),
        pytest.param({"type": "pong", "payload": "x"}, id="pong payload string"),
        pytest.param({"type": "complete"}, id="complete without id"),
        pytest.param({"type": "complete", "id": 1}, id="complete id number"),
        pytest.param({"type": "subscribe", "payload": HELLO}, id="no id"),
        pytest.param({"type": "subscribe", "id": None, "payload": HELLO}, id="id null"),
        pytest.param({"type": "subscribe", "id": "", "payload": HELLO}, id="id empty"),
        pytest.param({"type": "subscribe", "id": 1, "payload": HELLO}, id="id number"),
        pytest.param({"type": "subscribe", "id": ["1"], "payload": HELLO}, id="id list"),
        pytest.param({"type": "subscribe", "id": {}, "payload": HELLO}, id="id map"),
        pytest.param({"type": "subscribe", "id": "1"}, id="no payload"),
        pytest.param({"type": "subscribe", "id": "1", "payload": None}, id="payload null"),
        pytest.param({"type": "subscribe", "id": "1", "payload": []}, id="payload list"),
        pytest.param({"type": "subscribe", "id": "1", "payload": "{}"}, id="payload string"),
        pytest.param({"type": "subscribe", "id": "1", "payload": {}}, id="no query"),
        pytest.param({"type": "subscribe", "id": "1", "payload": {"query": 5}}, id="query number"),
        pytest.param(
            {"type": "subscribe", "id": "1", "payload": {**HELLO, "variables": []}},
            id="variables list",
        ),
        pytest.param(
            {"type": "subscribe", "id": "1", "payload": {**HELLO, "extensions": "x"}},
            id="extensions string",
        ),
        pytest.param(
            {"type": "subscribe", "id": "1", "payload": {**HELLO, "operationName": 5}},
            id="operation name number",
        ),
        pytest.param(b'{"type":"ping"}', id="binary"),
        pytest.param(b"\x00\xff", id="binary nonsense"),
    ],
)
async def test_an_invalid_message_closes_the_socket(served: Address, message: Any) -> None:
    """4400 and a reason; no other code, no traceback."""
    async with entered(served) as client:
        with capture_logs() as logs:
            await client.send(message)
            code, reason = await client.closed()
        assert (code, reason.startswith("Invalid message: ")) == (4400, True)
        assert failures(logs) == []


@pytest.mark.parametrize("payload", [5, "x", [], False])
async def test_an_invalid_introduction_closes_the_socket(served: Address, payload: Any) -> None:
    """4400: the payload must be a map or nothing."""
    async with opened(served) as client:
        await client.send({"type": "connection_init", "payload": payload})
        assert (await client.closed())[0] == 4400


async def test_a_ping_is_answered_with_its_payload(served: Address) -> None:
    """Also before the introduction, with a payload or without; a pong is not."""
    async with opened(served) as client:
        await client.send({"type": "ping"})
        assert await client.receive() == {"type": "pong"}
        await client.send({"type": "ping", "payload": None})
        assert await client.receive() == {"type": "pong"}
        await client.send({"type": "pong", "payload": {"any": 1}})
        await client.send(SIGNED_IN)
        assert await client.receive() == {"type": "connection_ack"}
        await client.send({"type": "ping", "payload": {"at": [1, "ä"], "deep": {}}})
        payload = {"at": [1, "ä"], "deep": {}}
        assert await client.receive() == {"type": "pong", "payload": payload}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ nothing }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query A { hello } query B { hello }"}, "OPERATION_RESOLUTION_FAILURE"),
        ({"query": "{ hello }", "operationName": "X"}, "OPERATION_RESOLUTION_FAILURE"),
        ({"query": "query($n: String!) { hello(name: $n) }"}, "VALIDATION"),
        ({"query": "{ hello }", "variables": {"n": "\0"}}, "VALIDATION"),
        ({"query": "{ hello }", "variables": {"n": 10**25}}, "VALIDATION"),
        ({"query": "{ " + "hello " * 2_000 + "}"}, "LIMIT_EXCEEDED"),
    ],
)
async def test_one_bad_document_ends_one_operation(
    served: Address, payload: Any, expected: str
) -> None:
    """An error message without complete; the socket and its other operations go on."""
    async with entered(served) as client:
        await client.subscribe("other", "subscription { ticks }")
        await client.send({"id": "bad", "type": "subscribe", "payload": payload})
        while (message := await client.receive())["id"] == "other":
            pass
        assert (message["id"], message["type"]) == ("bad", "error")
        assert message["payload"][0]["extensions"]["code"] == expected
        for _ in range(2):
            message = await client.receive()
            assert (message["id"], message["type"]) == ("other", "next")


async def test_what_fails_while_it_runs_is_a_result(served: Address) -> None:
    """Errors beside data or instead of it come as next; a broken stream tells of it and ends."""
    async with entered(served) as client:
        await client.subscribe("1", "{ denied hello }")
        partial = (await client.receive())["payload"]
        assert (partial["data"]["denied"], len(partial["errors"])) == (None, 1)
        assert (await client.receive())["type"] == "complete"
        await client.subscribe("2", "subscription { breaks }")
        assert (await client.receive())["payload"] == {"data": {"breaks": 1}}
        broken = await client.receive()
        assert (broken["type"], broken["payload"]["data"]) == ("next", None)
        assert "secret" not in json.dumps(broken)
        assert await client.receive() == {"id": "2", "type": "complete"}


async def test_a_client_may_end_an_operation(served: Address) -> None:
    """After its complete nothing of that operation comes, and the work has ended."""
    async with entered(served) as client:
        await client.subscribe("s", "subscription { ticks }")
        await client.subscribe("q", "{ sleep(seconds: 30) }")
        assert (await client.receive())["id"] == "s"
        canceled = COUNTS.canceled
        for operation in ("s", "q", "unknown", "s"):
            await client.send({"id": operation, "type": "complete"})
        await client.send({"type": "ping"})
        while (message := await client.receive())["type"] != "pong":
            assert message["id"] == "s"
        await client.subscribe("s", "{ hello }")
        assert (await client.receive())["payload"]["data"] == {"hello": "user:sales greets you"}
        assert (await client.receive()) == {"id": "s", "type": "complete"}
        assert (COUNTS.live, COUNTS.sleeping, COUNTS.canceled) == (0, 0, canceled + 1)


async def test_a_client_that_leaves_ends_its_operations(process: ServerProcess) -> None:
    """However it leaves: with a close, by a reset, or silently in the middle of a message."""
    for way in ("close", "reset"):
        async with entered(process) as client:
            await client.subscribe("s", "subscription { ticks(pause: 5) }")
            await client.subscribe("q", "{ sleep(seconds: 30) }")
            await until(process, lambda found: (found["live"], found["sleeping"]) == (1, 1))
            if way == "reset":
                client.connection.transport.abort()
            else:
                await client.connection.close()
            await until(process, lambda found: (found["live"], found["sleeping"]) == (0, 0))


async def test_a_socket_runs_a_bounded_number_of_operations(served: Address) -> None:
    """One more is an error of that operation; a place that becomes free can be used."""
    async with entered(served) as client:
        for number in range(5):
            await client.subscribe(f"{number}", "{ sleep(seconds: 30) }")
        await client.subscribe("more", "{ hello }")
        refused = await client.receive()
        assert (refused["id"], refused["type"]) == ("more", "error")
        assert refused["payload"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"
        await client.send({"id": "0", "type": "complete"})
        async with asyncio.timeout(GRACE):
            while refused["type"] == "error":  # the one that was ended may still be ending
                await client.subscribe("more", "{ hello }")
                refused = await client.receive()
        assert refused["type"] == "next"


async def test_a_caller_holds_a_bounded_number_of_sockets(served: Address) -> None:
    """One more is closed with 1013; other callers and later sockets are not concerned."""
    async with (
        entered(served, "crowded"),
        entered(served, "crowded"),
        entered(served, "crowded"),
        opened(served) as fourth,
        entered(served, "another"),
    ):
        payload = {"Authorization": "Bearer crowded"}
        await fourth.send({"type": "connection_init", "payload": payload})
        assert (await fourth.closed())[0] == 1013
    async with entered(served, "crowded"):
        pass


async def test_a_socket_ends_with_its_token(served: Address) -> None:
    """4403 at the moment the token expires, in the middle of a subscription."""
    started = time.monotonic()
    async with entered(served, "until:0.5") as client:
        await client.subscribe("s", "subscription { ticks }")
        assert await client.closed() == (4403, "The token has expired")
        assert time.monotonic() - started > 0.4
    assert COUNTS.live == 0


async def test_a_message_too_large_closes_the_socket(served: Address) -> None:
    """1009, by the WebSocket protocol itself."""
    async with entered(served) as client:
        await client.send(json.dumps({"type": "ping", "payload": {"x": "x" * 20_000}}))
        assert (await client.closed())[0] == 1009


async def test_messages_are_not_compressed(served: Address) -> None:
    """A small message that inflates to a large one is not accepted to begin with."""
    async with opened(served, compression="deflate") as client:
        assert client.connection.protocol.extensions == []


async def test_every_operation_has_a_request_id_of_its_own(served: Address) -> None:
    """Made of the socket's, which the client may choose, and a number."""
    async with entered(served, additional_headers={"X-Request-Id": "tab-1"}) as client:
        response = client.connection.response
        assert response is not None
        assert response.headers["x-request-id"] == "tab-1"
        for number in (1, 2):
            await client.subscribe("r", "{ requestId }")
            assert (await client.receive())["payload"]["data"] == {"requestId": f"tab-1-{number}"}
            await client.receive()


async def test_a_slow_reader_holds_back_its_own_stream_only() -> None:
    """The next event is taken when the last was sent: nothing piles up, others go on."""
    async with (
        site_with(send_timeout_seconds=30.0) as address,
        entered(address) as fast,
        entered(address, max_queue=1, close_timeout=0.1) as slow,
    ):
        made = COUNTS.made
        await slow.subscribe("flood", "subscription { ticks(pause: 0, size: 100000) }")
        await asyncio.sleep(0.3)
        await until_held_back(lambda: COUNTS.made)
        assert COUNTS.made > made
        await fast.subscribe("1", "{ hello }")
        assert (await fast.receive())["type"] == "next"


async def test_a_peer_that_stops_reading_is_dropped(process: ServerProcess) -> None:
    """A send that takes longer than allowed ends the socket, and with it all it held."""
    async with bare(process, receive_buffer=4_096) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        flood = "subscription { ticks(pause: 0, size: 10000) }"
        writer.write(message_frame({"id": "1", "type": "subscribe", "payload": {"query": flood}}))
        await until(process, lambda found: found["live"] == 1)
        await until(process, lambda found: found["live"] == 0, within=4 * GRACE)


async def test_a_peer_that_does_not_answer_pings_is_dropped() -> None:
    """Silence is noticed within two pings."""
    started = time.monotonic()
    async with site_with(ws_ping_seconds=0.3) as address, bare(address) as (reader, _):
        await asyncio.wait_for(reader.read(), GRACE)
        assert time.monotonic() - started > 0.3


async def test_a_handshake_that_cannot_be_read_is_refused(process: ServerProcess) -> None:
    """Whatever is wrong with it, there is an answer, and the connection ends."""
    head = (
        b"GET /graphql HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    )
    for handshake, status in (
        (head + b"X-Many: x\r\n" * 200, b"400"),
        (head + b"X-Long: " + b"x" * 8_192 + b"\r\n", b"431"),
        (head + b"Content-Length: 5\r\n\r\nhello", b"400"),
        (head.replace(b"GET", b"POST"), b"400"),
        (head.replace(b"13", b"8"), b"400"),
        (head.replace(b"dGhl", b"zz"), b"400"),
    ):
        reader, writer = await process.connect()
        writer.write(handshake + b"\r\n")
        response = await asyncio.wait_for(reader.read(), GRACE)
        assert response[9:12] == status
        writer.close()


async def test_http_goes_on_beside_sockets(served: Address) -> None:
    """Both transports share a port and an address."""
    async with entered(served), httpx2.AsyncClient(headers=SALES) as client:
        assert (await client.post(served.graphql, json=HELLO)).status_code == 200


async def test_the_end_of_a_token_is_told_before(served: Address) -> None:
    """A ping tells when; one with another token of the same caller moves the end."""
    # half of that is left to answer the ping, also where the machine is busy
    async with entered(served, "salesuntil:1.6") as client:
        await client.subscribe("1", "subscription { ticks(pause: 0.01) }")
        kinds = [await client.receive()]
        while kinds[-1]["type"] != "ping":
            kinds.append(await client.receive())
        ends = kinds[-1]["payload"]["tokenExpiresAt"]
        renewal = {"authorization": "Bearer salesuntil:30"}
        await client.send({"type": "ping", "payload": renewal})
        while (message := await client.receive())["type"] != "pong":
            assert message["type"] == "next"
        assert message["payload"]["tokenExpiresAt"] > ends
        while system_clock() <= datetime.fromisoformat(ends):
            assert (await client.receive())["type"] == "next"
        for _ in range(10):
            assert (await client.receive())["type"] == "next"


@pytest.mark.parametrize(
    ("renewal", "reason"),
    [
        pytest.param("Bearer forged", "The token or API key is not valid.", id="forged"),
        pytest.param("Bearer admin", "The new credential is another caller's.", id="another's"),
        pytest.param(5, "Authorization must be a string", id="no text"),
    ],
)
async def test_a_socket_ends_with_a_credential_that_does_not_hold(
    served: Address, renewal: Any, reason: str
) -> None:
    """As at the beginning: 4403, and why."""
    async with entered(served, "sales") as client:
        await client.send({"type": "ping", "payload": {"Authorization": renewal}})
        assert await client.closed() == (4403, reason)


async def test_a_credential_that_cannot_be_looked_at_changes_nothing(served: Address) -> None:
    """The caller is still known by the one it has, and is told to try again."""
    async with entered(served, "sales") as client:
        await client.send({"type": "ping", "payload": {"Authorization": "Bearer crowd"}})
        answer = await client.receive()
        payload = {"tokenExpiresAt": None, "error": "No connection became free."}
        assert answer == {"type": "pong", "payload": payload}
