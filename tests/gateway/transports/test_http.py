"""GraphQL over HTTP, by the specification and by what went wrong elsewhere."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from tests.fixtures.servers import Address, running_server
from tests.gateway.transports.probing import failures
from tests.gateway.transports.site import SALES, make_site, site_settings

JSON = "application/json"
MODERN = "application/graphql-response+json"
HELLO = "{ hello }"
GREETING = {"data": {"hello": "user:sales greets you"}}


async def post(client: httpx2.AsyncClient, body: Any, **headers: str) -> httpx2.Response:
    """Send a body as JSON, or bytes as they are."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post("/graphql", content=content, headers={"content-type": JSON, **names})


def code(response: httpx2.Response) -> str:
    """Return the code of the only error."""
    (error,) = response.json()["errors"]
    assert set(response.json()) == {"errors"}
    return str(error["extensions"]["code"])


@pytest.mark.parametrize("accept", [JSON, MODERN])
async def test_an_answer_comes_in_the_type_asked_for(
    client: httpx2.AsyncClient, accept: str
) -> None:
    """Both media types are served, in UTF-8."""
    response = await post(client, {"query": HELLO}, accept=accept)
    assert (response.status_code, response.json()) == (200, GREETING)
    assert response.headers["content-type"] == f"{accept}; charset=utf-8"


async def test_a_type_that_cannot_be_sent_is_not_acceptable(client: httpx2.AsyncClient) -> None:
    """406 says so, in JSON for want of anything better."""
    response = await post(client, {"query": HELLO}, accept="image/png")
    assert (response.status_code, code(response)) == (406, "VALIDATION")
    assert response.headers["content-type"].startswith(JSON)


@pytest.mark.parametrize(
    ("query", "variables", "expected", "legacy"),
    [
        ("{", None, "GRAPHQL_PARSE_FAILED", 200),
        ("", None, "GRAPHQL_PARSE_FAILED", 200),
        ("{ nothing }", None, "GRAPHQL_VALIDATION_FAILED", 200),
        ("query($n: String!) { hello(name: $n) }", {}, "VALIDATION", 200),
        ("query($n: String!) { hello(name: $n) }", {"n": 5}, "VALIDATION", 200),
        ("query A { hello } query B { hello }", None, "OPERATION_RESOLUTION_FAILURE", 400),
        ("{ " + "hello " * 3_000 + "}", None, "LIMIT_EXCEEDED", 400),
    ],
)
async def test_what_is_refused_before_it_runs_has_no_data(
    client: httpx2.AsyncClient, query: str, variables: Any, expected: str, legacy: int
) -> None:
    """The status tells of it where the client can trust it to."""
    for accept, status in ((MODERN, 400), (JSON, legacy)):
        response = await post(client, {"query": query, "variables": variables}, accept=accept)
        assert (response.status_code, code(response)) == (status, expected)


@pytest.mark.parametrize("accept", [JSON, MODERN])
async def test_what_fails_while_it_runs_is_answered(
    client: httpx2.AsyncClient, accept: str
) -> None:
    """Errors beside data, or instead of it, are an answer: 200, data first nulled then told."""
    partial = await post(client, {"query": "{ denied hello }"}, accept=accept)
    assert (partial.status_code, partial.json()["data"]["denied"]) == (200, None)
    nothing = await post(client, {"query": "{ crash hello }"}, accept=accept)
    assert (nothing.status_code, nothing.json()["data"]) == (200, None)
    assert "secret" not in nothing.text


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "Invalid JSON at line 1, column 1"),
        (b"null", "must be a JSON object"),
        (b"1", "must be a JSON object"),
        (b'"x"', "must be a JSON object"),
        (b"true", "must be a JSON object"),
        (b"[]", "batches are not supported"),
        (b'[{"query":"{hello}"}]', "batches are not supported"),
        (b"\xff", "Invalid JSON"),
        (b"[" * 10_000, "Invalid JSON"),
        (b'{"query":"{hello}","variables":' + b"[" * 70 + b"]" * 70 + b"}", "nested too deeply"),
        (b'{"query":"{hello}","variables":{"n":NaN}}', "Invalid JSON at line 1, column 37"),
        (b'{"query":"{hello}","variables":{"n":"\\ud800"}}', "Invalid JSON"),
        (b'{"query":"{hello}","variables":{"n":"\\u0000"}}', "variables.n holds the character"),
        (b'{"query":"{hello}","variables":{"n":' + b"9" * 300 + b"}}", "variables.n is a number"),
        (b'{"query":"{hello}\\u0000"}', "query holds the character U+0000"),
        (b'{"query":5}', '"query" must be a string'),
    ],
)
async def test_a_malformed_body_is_told_where(
    client: httpx2.AsyncClient, body: bytes, told: str
) -> None:
    """400 in either type, with the place; never 500."""
    for accept in (JSON, MODERN):
        response = await post(client, body, accept=accept)
        assert (response.status_code, code(response)) == (400, "VALIDATION")
        assert told in response.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "text/application/json"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": ""},
    ],
)
async def test_only_json_is_read(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    """415, with what would be accepted: no page can send JSON without a CORS preflight."""
    response = await client.post("/graphql", content=b'{"query":"{hello}"}', headers=headers)
    assert (response.status_code, code(response)) == (415, "VALIDATION")
    assert response.headers["accept"] == JSON


async def test_a_body_without_a_type_is_not_read(client: httpx2.AsyncClient) -> None:
    """A missing Content-Type is refused, not guessed."""
    response = await client.post("/graphql", content=b'{"query":"{hello}"}')
    assert response.status_code == 415


async def test_a_compressed_body_is_not_read(client: httpx2.AsyncClient) -> None:
    """415 and Accept-Encoding: nothing is unpacked, so nothing can explode."""
    response = await post(client, {"query": HELLO}, content_encoding="gzip")
    assert (response.status_code, response.headers["accept-encoding"]) == (415, "identity")
    assert (await post(client, {"query": HELLO}, content_encoding="identity")).status_code == 200


async def test_a_body_may_be_as_large_as_the_limit(client: httpx2.AsyncClient) -> None:
    """The limit itself is allowed; one byte more is 413, whether announced or only sent."""
    body = b'{"query":"{hello}"}'
    fits = body + b" " * (20_000 - len(body))

    async def chunked(data: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(data), 1_000):
            yield data[start : start + 1_000]

    headers = {"content-type": JSON}
    assert (await post(client, fits)).json() == GREETING
    sent = await client.post("/graphql", content=chunked(fits), headers=headers)
    assert sent.json() == GREETING
    announced = await post(client, fits + b" ")
    sent = await client.post("/graphql", content=chunked(fits + b" "), headers=headers)
    for refused in (announced, sent):
        assert (refused.status_code, code(refused)) == (413, "LIMIT_EXCEEDED")
        assert refused.json()["errors"][0]["extensions"]["details"]["maximum"] == 20_000


async def test_the_connection_serves_on_after_a_refused_body(served: Address) -> None:
    """What is left of a body that is not read does not disturb the next request."""
    async with httpx2.AsyncClient(base_url=served.url) as anonymous:
        for _ in range(3):
            assert (await post(anonymous, b"x" * 19_000)).status_code == 401
            assert (await post(anonymous, b"x" * 30_000, **SALES)).status_code == 413
            assert (await post(anonymous, {"query": HELLO}, **SALES)).json() == GREETING


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "OPTIONS", "HEAD"])
async def test_other_methods_are_not_allowed(client: httpx2.AsyncClient, method: str) -> None:
    """405 names the methods that are."""
    response = await client.request(method, "/graphql")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST, PUT, DELETE"


async def test_a_query_may_come_in_the_address(client: httpx2.AsyncClient) -> None:
    """GET runs queries, with parameters as the specification encodes them; nothing is kept."""
    parameters = {
        "query": "query A($n: String!) { hello(name: $n) } query B { hello }",
        "operationName": "A",
        "variables": '{"n": "🏃"}',
        "extensions": "",
    }
    response = await client.get("/graphql", params=parameters)
    assert response.json() == {"data": {"hello": "user:sales greets 🏃"}}
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_a_mutation_may_not_come_in_the_address(client: httpx2.AsyncClient) -> None:
    """405 and Allow, decided by the operation that is named."""
    document = 'query Q { hello } mutation M { save(text: "a") }'
    refused = await client.get("/graphql", params={"query": document, "operationName": "M"})
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    allowed = await client.get("/graphql", params={"query": document, "operationName": "Q"})
    assert allowed.json() == GREETING


async def test_a_page_of_another_site_cannot_query(client: httpx2.AsyncClient) -> None:
    """403, unless a header proves that there was a CORS preflight."""
    parameters = {"query": HELLO}
    foreign = {"sec-fetch-site": "cross-site"}
    refused = await client.get("/graphql", params=parameters, headers=foreign)
    assert (refused.status_code, code(refused)) == (403, "FORBIDDEN")
    proven = {**foreign, "graphql-require-preflight": "1"}
    assert (await client.get("/graphql", params=parameters, headers=proven)).json() == GREETING


async def test_an_unknown_caller_is_told_how_to_authenticate(served: Address) -> None:
    """401 and WWW-Authenticate, before anything else is looked at."""
    async with httpx2.AsyncClient(base_url=served.url) as anonymous:
        for body in ({"query": HELLO}, {"query": "{"}, b"nonsense"):
            response = await post(anonymous, body)
            assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED")
            assert response.headers["www-authenticate"] == "Bearer"
        forged = await post(anonymous, {"query": HELLO}, authorization="Bearer forged")
        assert forged.status_code == 401
        assert forged.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_a_credential_given_twice_is_refused(served: Address) -> None:
    """Two Authorization headers are not one of them."""
    async with httpx2.AsyncClient(base_url=served.url) as anonymous:
        response = await anonymous.post(
            "/graphql",
            json={"query": HELLO},
            headers=[("Authorization", "Bearer forged"), ("Authorization", "Bearer sales")],
        )
        assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED")


async def test_callers_that_cannot_be_let_in_are_told_why(client: httpx2.AsyncClient) -> None:
    """403 for another's company, 503 when there is no room, 500 without a word for a bug."""
    foreign = await post(client, {"query": HELLO}, x_company="OTHER")
    assert (foreign.status_code, code(foreign)) == (403, "FORBIDDEN")
    crowd = await post(client, {"query": HELLO}, authorization="Bearer crowd")
    assert (crowd.status_code, code(crowd), crowd.headers["retry-after"]) == (
        503,
        "OVERLOADED",
        "1",
    )
    with capture_logs() as logs:
        bug = await post(client, {"query": HELLO}, authorization="Bearer bug", x_request_id="r-1")
    assert (bug.status_code, code(bug)) == (500, "INTERNAL")
    assert bug.json()["errors"][0]["extensions"]["requestId"] == "r-1"
    assert "secret" not in bug.text
    assert failures(logs) == ["request failed"]


async def test_every_answer_has_a_request_id(client: httpx2.AsyncClient) -> None:
    """The client's own if it is well formed, a new one otherwise; the operation knows it too."""
    own = await post(client, {"query": "{ requestId }"}, x_request_id="order-7.retry~1")
    assert own.headers["x-request-id"] == "order-7.retry~1"
    assert own.json()["data"]["requestId"] == "order-7.retry~1"
    for hostile in ("a b", "x" * 129, "é", '"', "a,b"):
        answer = await client.post(
            "/graphql",
            json={"query": "{ requestId }"},
            headers=[(b"x-request-id", hostile.encode())],
        )
        assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", answer.headers["x-request-id"])
        assert answer.headers["x-request-id"] == answer.json()["data"]["requestId"]
    for refused in (
        await post(client, b"nonsense"),
        await post(client, {"query": "{"}),
        await client.put("/graphql"),
        await post(client, {"query": HELLO}, authorization="Bearer forged"),
    ):
        assert refused.headers["x-request-id"]


async def test_ids_are_never_given_twice(client: httpx2.AsyncClient) -> None:
    """Each request without an id gets one of its own."""
    answers = await asyncio.gather(*(post(client, {"query": HELLO}) for _ in range(20)))
    assert len({answer.headers["x-request-id"] for answer in answers}) == 20


async def test_browsers_that_open_the_address_get_the_page(client: httpx2.AsyncClient) -> None:
    """Only without a query, and also by a link from another site."""
    browser = {
        "accept": "text/html,application/xml;q=0.9,*/*;q=0.8",
        "sec-fetch-site": "cross-site",
    }
    page = await client.get("/graphql", headers=browser)
    assert (page.status_code, page.text) == (200, "<h1>/graphql</h1>")
    answer = await client.get("/graphql?query={hello}", headers={"accept": browser["accept"]})
    assert answer.json() == GREETING


async def test_without_a_page_a_browser_is_told_what_to_send() -> None:
    """No page, no guess: the request has no query."""
    settings = site_settings()
    app = make_site(settings, with_page=False)
    async with (
        running_server(app, settings, lifespan=False) as address,
        httpx2.AsyncClient(headers=SALES) as client,
    ):
        response = await client.get(address.graphql, headers={"accept": "text/html,*/*;q=0.8"})
        assert (response.status_code, code(response)) == (400, "VALIDATION")
        only = await client.get(address.graphql, headers={"accept": "text/html"})
        assert only.status_code == 406


async def test_a_subscription_needs_a_stream(client: httpx2.AsyncClient) -> None:
    """A client that takes single results only is told of the transports that carry more."""
    body = {"query": "subscription { ticks(count: 1) }"}
    for accept in (JSON, MODERN):
        response = await post(client, body, accept=accept)
        assert (response.status_code, code(response)) == (400, "OPERATION_RESOLUTION_FAILURE")


async def test_an_operation_that_takes_too_long_is_cut_off() -> None:
    """The answer is the error TIMEOUT, with data null."""
    settings = site_settings(operation_timeout_seconds=0.2)
    async with (
        running_server(make_site(settings), settings, lifespan=False) as address,
        httpx2.AsyncClient(base_url=address.url, headers=SALES) as client,
    ):
        response = await post(client, {"query": "{ sleep(seconds: 30) }"})
        assert (response.status_code, response.json()["data"]) == (200, None)
        assert response.json()["errors"][0]["extensions"]["code"] == "TIMEOUT"


async def test_an_unknown_caller_may_ask_about_the_schema_where_allowed() -> None:
    """Introspection and nothing beside it; a credential that is sent must be good all the same."""
    settings = site_settings(anonymous_introspection=True)
    async with (
        running_server(make_site(settings), settings, lifespan=False) as address,
        httpx2.AsyncClient(base_url=address.url) as anonymous,
    ):
        asked = await post(anonymous, {"query": "{ __schema { queryType { name } } }"})
        assert asked.json() == {"data": {"__schema": {"queryType": {"name": "Query"}}}}
        for more in (HELLO, "{ __typename hello }", "{ ...F } fragment F on Query { hello }"):
            response = await post(anonymous, {"query": more})
            assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED")
            assert response.headers["www-authenticate"] == "Bearer"
        forged = await post(anonymous, {"query": HELLO}, authorization="Bearer forged")
        assert forged.status_code == 401
