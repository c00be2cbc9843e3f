"""The messages of the graphql-transport-ws protocol, checked as strictly as its reference server.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from collections.abc import Mapping
from enum import IntEnum
from types import NoneType
from typing import Any, Final

import orjson

from gateway.transports.decoding import Malformed, parse_json

SUBPROTOCOL: Final = "graphql-transport-ws"

_LONGEST_REASON: Final = 123
"""Bytes that a close frame has room for (RFC 6455 section 5.5)."""
_WITH_ID: Final = frozenset({"subscribe", "complete"})
_WITH_MAP: Final = frozenset({"connection_init", "ping", "pong"})


class Close(IntEnum):
    """Why the server closes a socket."""

    GOING_AWAY = 1001
    TRY_AGAIN_LATER = 1013
    BAD_REQUEST = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    INITIALISATION_TIMEOUT = 4408
    SUBSCRIBER_EXISTS = 4409
    TOO_MANY_INITIALISATIONS = 4429
    INTERNAL_ERROR = 4500


class SocketClosed(Exception):
    """The socket is to be closed with ``code``; ``reason`` is told to the client."""

    def __init__(self, code: Close, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()[:_LONGEST_REASON].decode(errors="ignore")


def read_message(text: str | None) -> tuple[str, dict[str, Any]]:
    """Return the type of a message, and the message; None stands for a binary one.

    Raises:
        SocketClosed: it is no message of the protocol that a client may send.

    """
    if text is None:
        raise _invalid("binary messages are not supported")
    try:
        message = parse_json(text)
    except Malformed as problem:
        raise _invalid(str(problem)) from None
    if type(message) is not dict:
        raise _invalid("it must be a JSON object")
    kind = message.get("type")
    if type(kind) is not str or kind not in _WITH_ID | _WITH_MAP:
        raise _invalid("its type is unknown")
    if kind in _WITH_ID and (type(message.get("id")) is not str or not message["id"]):
        raise _invalid("its id must be a string that is not empty")
    if kind in _WITH_MAP and type(message.get("payload")) not in (dict, NoneType):
        raise _invalid("its payload must be an object")
    return kind, message


def _invalid(problem: str) -> SocketClosed:
    return SocketClosed(Close.BAD_REQUEST, f"Invalid message: {problem}")


ACKNOWLEDGED: Final = '{"type":"connection_ack"}'


def pong(payload: Mapping[str, Any] | None) -> str:
    """Return the answer to a ping, with the ping's payload."""
    if payload is None:
        return '{"type":"pong"}'
    return orjson.dumps({"type": "pong", "payload": payload}).decode()


def token_notice(expires_at: str | None, error: str | None = None) -> dict[str, Any]:
    """Return the payload that tells when the token of a socket ends; None where it has no end."""
    return {"tokenExpiresAt": expires_at, **({"error": error} if error else {})}


def ping(payload: Mapping[str, Any]) -> str:
    """Return a ping; clients answer it, and hand its payload to whoever listens."""
    return orjson.dumps({"type": "ping", "payload": payload}).decode()


def next_message(operation_id: str, body: Mapping[str, Any]) -> str:
    """Return one result of an operation."""
    return orjson.dumps({"id": operation_id, "type": "next", "payload": body}).decode()


def next_frame(operation_id: str) -> tuple[bytes, bytes]:
    """Return what stands before and after an encoded result in its message."""
    return b'{"id":%b,"type":"next","payload":' % orjson.dumps(operation_id), b"}"


def error_message(operation_id: str, errors: list[dict[str, Any]]) -> str:
    """Return the errors that end an operation."""
    return orjson.dumps({"id": operation_id, "type": "error", "payload": errors}).decode()


def complete_message(operation_id: str) -> str:
    """Return the end of an operation."""
    return orjson.dumps({"id": operation_id, "type": "complete"}).decode()
