"""What a client sent, as a `GraphQLRequest`: strict JSON and strict parameters.

Beyond what JSON itself forbids (NaN, bytes that are not UTF-8, lone surrogates) a value is refused
that PostgreSQL could not store or that would lose digits on its way: U+0000 in a string, and a
number of 64 bits or more, which belongs into a string. Of an entry given twice the last counts, as
in every browser.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from schema.core.execution import GraphQLRequest

_BEYOND: Final = 2.0**64
_PARAMETERS: Final = frozenset({"query", "operationName", "variables", "extensions", "documentId"})
_ASKS: Final = re.compile(rb"(?:^|&)(?:query|documentId|extensions)=")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_HASH_PREFIX: Final = "sha256:"
_LONGEST_NAME: Final = 40
_LONGEST_WAY: Final = 20
_TOO_DEEP: Final = "The JSON is nested too deeply."


class Malformed(Exception):
    """What was sent is no GraphQL request; the text says what is wrong and where."""


def decode_json(raw: bytes | str, *, max_depth: int) -> Any:
    """Return the value of strict JSON.

    Raises:
        Malformed: it is not JSON, or it holds a value that is not accepted.

    """
    try:
        value = orjson.loads(raw)
        fault = _fault(value, max_depth)
    except orjson.JSONDecodeError as error:
        raise _not_json(error) from None
    except RecursionError:
        raise Malformed(_TOO_DEEP) from None
    if fault is not None:
        raise fault.told()
    return value


def parse_json(raw: bytes | str) -> Any:
    """Return the value of JSON; `check_values` is still to come.

    Raises:
        Malformed: it is not JSON.

    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _not_json(error) from None


def _not_json(error: orjson.JSONDecodeError) -> Malformed:
    place = f"line {error.lineno}, column {error.colno}"
    return Malformed(f"Invalid JSON at {place}: {error.msg}.")


def check_values(value: Any, *, max_depth: int) -> None:
    """Check that all of a JSON value can be accepted.

    Raises:
        Malformed: naming the first place that cannot.

    """
    try:
        fault = _fault(value, max_depth)
    except RecursionError:
        raise Malformed(_TOO_DEEP) from None
    if fault is not None:
        raise fault.told()


class _Fault:
    """A problem, and the way to it from the inside out."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        self.way: list[str | int] = []

    def told(self) -> Malformed:
        """Return what names the problem and its place."""
        return Malformed(f"{self.place()} {self.problem}.")

    def place(self) -> str:
        """Return the way as clients write it: ``variables.lines[3].note``."""
        if not self.way or len(self.way) > _LONGEST_WAY:
            return "The JSON"
        steps = (f"[{s}]" if isinstance(s, int) else f".{_shown(s)}" for s in reversed(self.way))
        return "".join(steps).removeprefix(".")


def _shown(name: str) -> str:
    name = name.replace("\0", "\\u0000")
    return name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…"


def _fault(value: Any, room: int) -> _Fault | None:
    """Return the first problem in ``value``, which may be ``room`` levels deep.

    Raises:
        Malformed: it is deeper.

    """
    kind = type(value)
    if kind is str:
        return _Fault("holds the character U+0000") if "\0" in value else None
    if kind is dict or kind is list:
        if room == 0:
            raise Malformed(_TOO_DEEP)
        for key, inner in value.items() if kind is dict else enumerate(value):
            # most values are texts, of which a call each would be most of the work
            right = type(inner) is str and "\0" not in inner
            fault = None if right else _fault(inner, room - 1)
            if fault is None and type(key) is str and "\0" in key:
                fault = _Fault("has a name that holds the character U+0000")
            if fault is not None:
                fault.way.append(key)
                return fault
    elif kind is float and not -_BEYOND < value < _BEYOND:
        return _Fault("is a number of 64 bits or more; send it as a string")
    return None


def request_from_json(body: Any) -> GraphQLRequest:
    """Read the parameters of a decoded JSON body; entries it does not know are ignored.

    Raises:
        Malformed: ``query`` is missing, or an entry is of the wrong type.

    """
    if type(body) is not dict:
        hint = "; batches are not supported" if type(body) is list else ""
        raise Malformed(f'The request must be a JSON object with the entry "query"{hint}.')
    extensions = _map(body, "extensions") if "extensions" in body else None
    sent_by_id = extensions is not None or "documentId" in body
    document_id = _document_id(body, extensions) if sent_by_id else None
    query = body.get("query")
    if type(query) is not str and (query is not None or document_id is None):
        problem = "must be a string" if "query" in body else "is missing"
        raise Malformed(f'The entry "query" {problem}.')
    operation_name = body.get("operationName")
    if operation_name is not None and type(operation_name) is not str:
        raise Malformed('The entry "operationName" must be a string or null.')
    variables = _map(body, "variables") if "variables" in body else None
    return GraphQLRequest(query, operation_name, variables, extensions, document_id)


def _document_id(body: Mapping[str, Any], extensions: Mapping[str, Any] | None) -> str | None:
    """Return the id sent in place of a document, or by automatic persisted queries beside it.

    Raises:
        Malformed: it is not an id, or there are two.

    """
    given = body.get("documentId")
    persisted = extensions.get("persistedQuery") if extensions else None
    if persisted is None:
        if given is None:
            return None
        if type(given) is not str or not given:
            raise Malformed('The entry "documentId" must be a string that is not empty.')
        if body.get("query") is not None:
            raise Malformed('Send either "query" or "documentId".')
        return given
    if given is not None:
        raise Malformed('Send either "documentId" or "extensions.persistedQuery".')
    if type(persisted) is not dict or persisted.get("version") != 1:
        raise Malformed('The entry "extensions.persistedQuery" must have the version 1.')
    digest = persisted.get("sha256Hash")
    if type(digest) is not str or not _HASH.fullmatch(digest):
        raise Malformed(
            'The entry "extensions.persistedQuery.sha256Hash" must be 64 hexadecimal digits, '
            "in lower case."
        )
    return _HASH_PREFIX + digest


def _map(body: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    value = body.get(name)
    if value is None or type(value) is dict:
        return value
    raise Malformed(f'The entry "{name}" must be a JSON object or null.')


def asks_anything(query_string: bytes) -> bool:
    """Tell whether a query string asks for an operation."""
    return _ASKS.search(query_string) is not None


def request_from_query_string(query_string: bytes, *, max_depth: int) -> GraphQLRequest:
    """Read the parameters of a GET; an empty one counts as not given.

    Raises:
        Malformed: ``query`` is missing, or a parameter is given twice or of the wrong form.

    """
    try:
        pairs = parse_qsl(query_string.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise Malformed("The query string is not UTF-8.") from None
    body: dict[str, Any] = {}
    for name, value in pairs:
        if name in body:
            raise Malformed(f'The parameter "{name}" is given twice.')
        if name in _PARAMETERS and value:
            body[name] = value
    for name in ("variables", "extensions"):
        if name in body:
            body[name] = _decode_parameter(name, body[name])
    check_values(body, max_depth=max_depth)
    return request_from_json(body)


def _decode_parameter(name: str, value: str) -> Any:
    try:
        return parse_json(value)
    except Malformed as error:
        raise Malformed(f'The parameter "{name}": {error}') from None
