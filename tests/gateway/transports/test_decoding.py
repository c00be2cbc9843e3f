"""What counts as a request: strict JSON and strict parameters, refused with the place named."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.transports.decoding import (
    Malformed,
    asks_anything,
    decode_json,
    request_from_json,
    request_from_query_string,
)

DEPTH = 20


def decode(raw: bytes) -> Any:
    """Decode as the endpoint does."""
    return decode_json(raw, max_depth=DEPTH)


def nested(levels: int, inside: str = "1") -> bytes:
    """Return arrays in arrays."""
    return b"[" * levels + inside.encode() + b"]" * levels


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"  ", id="blank"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b'{"a":1}x', id="more after the end"),
        pytest.param(b"NaN", id="NaN"),
        pytest.param(b"[Infinity]", id="Infinity"),
        pytest.param(b"[-Infinity]", id="-Infinity"),
        pytest.param(b"1e400", id="infinite number"),
        pytest.param(b"1" * 5000, id="5,000 digits"),
        pytest.param(b'"\\ud800"', id="lone surrogate, escaped"),
        pytest.param(b'"\\udc00\\ud800"', id="surrogates in the wrong order"),
        pytest.param(b'"\xed\xa0\x80"', id="lone surrogate, encoded"),
        pytest.param(b'"\xff"', id="not UTF-8"),
        pytest.param('"ä"'.encode("latin-1"), id="latin-1"),
        pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param(b'"\x00"', id="raw NUL"),
        pytest.param(b'"\n"', id="raw line break"),
        pytest.param(b"{'a':1}", id="single quotes"),
        pytest.param(b'{"a":1,}', id="trailing comma"),
        pytest.param(b"01", id="leading zero"),
        pytest.param(b"/* */1", id="comment"),
        pytest.param(b"[" * 100_000, id="100,000 brackets"),
        pytest.param(nested(100_000), id="100,000 levels"),
    ],
)
def test_what_is_not_strict_json_is_refused(raw: bytes) -> None:
    """Nothing but strict JSON is decoded, and nothing else than `Malformed` is raised."""
    with pytest.raises(Malformed, match="Invalid JSON at line 1, column"):
        decode(raw)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b'{"a":{"b":["x","\\u0000"]}}', "a.b[1] holds the character U+0000."),
        (b'{"a":{"b\\u0000":1}}', "a.b\\u0000 has a name that holds the character U+0000."),
        (b'"\\u0000"', "The JSON holds the character U+0000."),
        (b'{"a":[18446744073709551616]}', "a[0] is a number of 64 bits or more;"),
        (b'{"a":-18446744073709551616}', "a is a number of 64 bits or more;"),
        (b'{"a":1e19, "b":1e20}', "b is a number of 64 bits or more;"),
        (nested(DEPTH + 1), "The JSON is nested too deeply."),
        (b'{"a":' + nested(DEPTH) + b"}", "The JSON is nested too deeply."),
        (nested(1023), "The JSON is nested too deeply."),
    ],
)
def test_values_that_would_be_lost_are_refused(raw: bytes, told: str) -> None:
    """A value that cannot be stored or that would lose digits is refused, its place named."""
    with pytest.raises(Malformed) as caught:
        decode(raw)
    assert str(caught.value).startswith(told)


def test_a_long_name_is_told_in_part() -> None:
    """Names of the client's making do not blow up the message."""
    with pytest.raises(Malformed) as caught:
        decode(json.dumps({"a" * 10_000: "\0"}).encode())
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize("number", [0, -1, 2**31, 2**53 + 1, 2**63, 2**64 - 1, -(2**63), 0.1, 1e19])
def test_numbers_within_64_bits_are_exact(number: float) -> None:
    """A number of less than 64 bits arrives as it was sent."""
    assert decode(json.dumps(number).encode()) == number


def test_the_last_of_equal_names_counts() -> None:
    """Of an entry given twice the last counts."""
    assert decode(b'{"a":1,"a":2}') == {"a": 2}


def test_the_deepest_allowed_nesting_is_decoded() -> None:
    """The limit itself is allowed."""
    decode(nested(DEPTH))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(-1e18, 1e18)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet="abc"), inner),
    max_leaves=20,
)


@given(VALUES)
def test_every_other_value_is_decoded_as_it_is(value: Any) -> None:
    """What the standard library writes is read unchanged."""
    assert decode_json(json.dumps(value).encode(), max_depth=100) == value


@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_break_the_decoder(raw: bytes) -> None:
    """Whatever the bytes, the outcome is a value or `Malformed`."""
    with suppress(Malformed):
        decode(raw)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (None, "The request must be a JSON object"),
        (1, "The request must be a JSON object"),
        ("{a}", "The request must be a JSON object"),
        (True, "The request must be a JSON object"),
        ([], "batches are not supported"),
        ([{"query": "{a}"}], "batches are not supported"),
        ({}, '"query" is missing'),
        ({"qeury": "{a}"}, '"query" is missing'),
        ({"query": None}, '"query" must be a string'),
        ({"query": 5}, '"query" must be a string'),
        ({"query": ["{a}"]}, '"query" must be a string'),
        ({"query": "{a}", "operationName": 1}, '"operationName" must be a string or null'),
        ({"query": "{a}", "operationName": {}}, '"operationName" must be a string or null'),
        ({"query": "{a}", "variables": "{}"}, '"variables" must be a JSON object or null'),
        ({"query": "{a}", "variables": []}, '"variables" must be a JSON object or null'),
        ({"query": "{a}", "variables": 0}, '"variables" must be a JSON object or null'),
        ({"query": "{a}", "extensions": False}, '"extensions" must be a JSON object or null'),
    ],
)
def test_entries_of_the_wrong_type_are_refused(body: Any, told: str) -> None:
    """The shape of a request is checked entry by entry."""
    with pytest.raises(Malformed, match=told):
        request_from_json(body)


def test_null_and_unknown_entries_are_as_if_not_given() -> None:
    """Null is nothing, and what the specification keeps for later is ignored."""
    body = {"query": "{a}", "variables": None, "extensions": None, "operationName": None, "id": 5}
    request = request_from_json(body)
    assert (request.query, request.operation_name) == ("{a}", None)
    assert (request.variables, request.extensions) == (None, None)


@pytest.mark.parametrize(
    ("query_string", "told"),
    [
        (b"", '"query" is missing'),
        (b"query=", '"query" is missing'),
        (b"q=1", '"query" is missing'),
        (b"query=%7Ba%7D&query=%7Bb%7D", '"query" is given twice'),
        (b"query=%7Ba%7D&variables=%7B", 'The parameter "variables": Invalid JSON at line 1'),
        (b"query=%7Ba%7D&variables=%5B%5D", '"variables" must be a JSON object'),
        (b"query=%7Ba%7D&variables=%7B%22a%22:%22%5Cu0000%22%7D", "variables.a holds"),
        (b"query=%7Ba%7D&extensions=1", '"extensions" must be a JSON object'),
        (b"query=%7Ba%00%7D", "query holds the character U\\+0000"),
        (b"query=%FF", "The query string is not UTF-8"),
        (b"query=\xff", "The query string is not UTF-8"),
        (b"query=%ED%A0%80", "The query string is not UTF-8"),
    ],
)
def test_malformed_query_strings_are_refused(query_string: bytes, told: str) -> None:
    """A GET is read as strictly as a POST."""
    with pytest.raises(Malformed, match=told):
        request_from_query_string(query_string, max_depth=DEPTH)


def test_empty_parameters_are_as_if_not_given() -> None:
    """The empty string is nothing, and ``null`` is the name of an operation."""
    given = b"query=%7Ba%7D&variables=&extensions=&operationName="
    request = request_from_query_string(given, max_depth=DEPTH)
    assert (request.operation_name, request.variables, request.extensions) == (None, None, None)
    named = request_from_query_string(b"query=query+null{a}&operationName=null", max_depth=DEPTH)
    assert (named.query, named.operation_name) == ("query null{a}", "null")


def test_parameters_are_decoded_as_browsers_encode_them() -> None:
    """Plus is a space, and percent escapes are UTF-8."""
    given = b"query=%7Ba%7D+%23+%F0%9F%8F%83&variables=%7B%22a%22%3A1%7D"
    request = request_from_query_string(given, max_depth=DEPTH)
    assert (request.query, request.variables) == ("{a} # 🏃", {"a": 1})


def test_only_the_parameter_query_asks_something() -> None:
    """A browser that opens the address with other parameters gets the page."""
    asked = [b"query=", b"a=1&query={a}", b"", b"subquery=1&q=query="]
    assert [asks_anything(one) for one in asked] == [True, True, False, False]
