"""What headers allow, by RFC 9110 and GraphQL over HTTP."""

import pytest

from gateway.transports.negotiation import (
    MediaType,
    content_problem,
    foreign_origin,
    forged_by_page,
    negotiate,
)

JSON, MODERN = MediaType.JSON, MediaType.GRAPHQL_RESPONSE
ALLOWED = frozenset({b"https://shop.example"})


@pytest.mark.parametrize(
    ("accept", "single"),
    [
        (None, JSON),
        (b"", JSON),
        (b"*/*", JSON),
        (b"application/*", JSON),
        (b"application/json", JSON),
        (b"APPLICATION/JSON", JSON),
        (b"application/json; charset=utf-8", JSON),
        (b"application/graphql-response+json", MODERN),
        (b'application/graphql-response+json;charset="UTF-8"', MODERN),
        (b"application/graphql-response+json, application/json;q=0.9", MODERN),
        (b"application/json;q=0.9, application/graphql-response+json", MODERN),
        (b"application/json, application/graphql-response+json;q=0.9", JSON),
        (b"application/json, application/graphql-response+json", JSON),
        (b"application/graphql-response+json, application/json", MODERN),
        (b"application/graphql-response+json;q=0.1, */*;q=0.2", JSON),
        (b"application/json;q=0, */*", MODERN),
        (b"application/json;q=0.0, application/*;q=0.5", MODERN),
        (b"text/html, */*;q=0.8", JSON),
        (b"text/html, application/json ; q=0.3 , image/png", JSON),
        (b"application/json;charset=utf-16, application/graphql-response+json;q=0.1", MODERN),
        (b",, application/json ,", JSON),
        (b"nonsense, application/json", JSON),
        (b"application/json;q=nonsense, application/graphql-response+json;q=0.2", MODERN),
        (b"application/json;q=0", None),
        (b"application/json;q=2", None),
        (b"application/json;charset=latin-1", None),
        (b"text/html", None),
        (b"text/event-stream", None),
        (b"image/*", None),
        (b"application/xml", None),
        (b"nonsense", None),
        (b"*/*;q=0", None),
    ],
)
def test_a_single_result_is_sent_as_the_best_type_accepted(
    accept: bytes | None, single: MediaType | None
) -> None:
    """Quality first, then the order of the header, then what legacy clients know."""
    assert negotiate(accept).single is single


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (b"text/event-stream", (True, True)),
        (b"text/event-stream, application/json", (True, True)),
        (b"application/json, text/event-stream", (True, False)),
        (b"text/event-stream;q=0.5, application/json", (True, False)),
        (b"text/*;q=0.9, application/json;q=0.1", (True, True)),
        (b"*/*", (True, False)),
        (None, (True, False)),
        (b"application/json", (False, False)),
        (b"text/event-stream;q=0, */*", (False, False)),
    ],
)
def test_an_event_stream_is_sent_where_it_is_asked_for(
    accept: bytes | None, expected: tuple[bool, bool]
) -> None:
    """A stream must be accepted, and named to come before single results."""
    found = negotiate(accept)
    assert (found.stream, found.stream_first) == expected


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        (b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        (b"text/html", True),
        (b"application/json, text/html", False),
        (b"*/*", False),
        (b"text/*", False),
        (None, False),
    ],
)
def test_only_browsers_ask_for_a_page(accept: bytes | None, page: object) -> None:
    """HTML must be named before all else."""
    assert negotiate(accept).page is page


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json",
        b"Application/JSON",
        b"application/json;charset=utf-8",
        b'application/json; charset="UTF-8"',
        b"application/json; profile=anything",
    ],
)
def test_json_bodies_are_read(content_type: bytes) -> None:
    """JSON in UTF-8 is read."""
    assert content_problem(content_type) is None


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        b"",
        b"text/plain",
        b"text/plain; application/json",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=application/json",
        b"text/application/json",
        b"application/json, text/plain",
        b"application/jsonp",
        b"application/graphql",
        b"application/graphql-response+json",
        b"application/json; charset=latin-1",
        b"application/json; charset=utf-16",
    ],
)
def test_other_bodies_are_not_read(content_type: bytes | None) -> None:
    """No body is read that a page could send without a CORS preflight."""
    assert content_problem(content_type)


@pytest.mark.parametrize(
    ("origin", "foreign"),
    [
        (None, False),
        (b"http://erp.example", False),
        (b"https://ERP.example", False),
        (b"https://shop.example", False),
        (b"null", True),
        (b"http://shop.example", True),
        (b"https://evil.example", True),
        (b"https://erp.example:444", True),
        (b"https://erp.example.evil.example", True),
        (b"file://erp.example", True),
        (b"erp.example", True),
        (b"", True),
    ],
)
def test_origins_other_than_our_own_are_foreign(origin: bytes | None, foreign: object) -> None:
    """Our own pages and those of the allowed origins may connect."""
    headers = {b"host": b"erp.example"} | ({} if origin is None else {b"origin": origin})
    assert foreign_origin(headers, ALLOWED) is foreign


@pytest.mark.parametrize(
    ("headers", "forged"),
    [
        ({}, False),
        ({b"sec-fetch-site": b"same-origin"}, False),
        ({b"sec-fetch-site": b"none"}, False),
        ({b"sec-fetch-site": b"cross-site"}, True),
        ({b"sec-fetch-site": b"same-site"}, True),
        ({b"sec-fetch-site": b"anything"}, True),
        ({b"origin": b"https://evil.example"}, True),
        ({b"sec-fetch-site": b"cross-site", b"graphql-require-preflight": b"1"}, False),
        ({b"sec-fetch-site": b"cross-site", b"origin": b"https://shop.example"}, False),
    ],
)
def test_a_get_of_another_sites_page_needs_a_preflight(
    headers: dict[bytes, bytes], forged: object
) -> None:
    """A page of another site must prove that the browser asked us first."""
    assert forged_by_page({b"host": b"erp.example", **headers}, ALLOWED) is forged
