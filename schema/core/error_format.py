"""How errors are told to clients: with a code, bounded, in order, masked when unexpected."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from graphql import FieldNode, GraphQLError
from strawberry.exceptions import StrawberryInputCoercionError

from resolvers.core.database_errors import expected
from resolvers.core.errors import ErpError, ErrorCode

MAX_MESSAGE = 300
"""Longest message told, in characters; clients may put text of any length into their documents."""

_SUGGESTION = re.compile(r",? [Dd]id you mean [^?]*\??")
_MASKED = "Internal error"

Told = dict[str, Any]
"""One entry of ``errors`` in a response."""


class Log(Protocol):
    """The part of a structlog logger that is used here."""

    def error(self, event: str, **values: Any) -> Any:
        """Write one line at level error."""
        ...

    def warning(self, event: str, **values: Any) -> Any:
        """Write one line at level warning."""
        ...


def tell_refusal(errors: Sequence[GraphQLError], code: ErrorCode, *, suggest: bool) -> list[Told]:
    """Tell errors of a request that will not run; only with ``suggest`` they hint at names."""
    return [
        _entry(error.message, code, error, suggest=suggest, extensions=None) for error in errors
    ]


def tell_expected(error: ErpError, located: GraphQLError | None = None) -> Told:
    """Tell an expected failure: its message, code and details as they are."""
    extensions: dict[str, Any] = {}
    if error.details:
        extensions["details"] = error.details
    if error.path:
        extensions["inputPath"] = list(error.path)
    return _entry(error.message, error.code, located, suggest=True, extensions=extensions)


def tell_failures(
    errors: Sequence[GraphQLError], data: Any, *, request_id: str | None, log: Log
) -> list[Told]:
    """Tell errors of an execution that left ``data``, in the order of the answer.

    Expected failures are told as they are, faults of arguments by graphql-core's message, all
    others masked and logged with their stack, once for each place in the code they come from.
    """
    logged: set[object] = set()
    told = []
    for error in in_answer_order(errors, data):
        cause = _cause(error)
        failure = cause if isinstance(cause, ErpError) else expected(cause)
        if failure is not None:
            told.append(tell_expected(failure, error))
        elif _blames_input(error, cause):
            told.append(
                _entry(error.message, ErrorCode.VALIDATION, error, suggest=False, extensions=None)
            )
        else:
            told.append(_mask(error, request_id))
            place = _place(cause)
            if place not in logged:
                logged.add(place)
                log.error(
                    "unexpected error", request_id=request_id, path=error.path, exc_info=cause
                )
    return told


def in_answer_order(errors: Sequence[GraphQLError], data: Any) -> list[GraphQLError]:
    """Return one error for each null they caused in ``data``, in the order of ``data``.

    Of several errors below one null the last is kept: it is the one that reached the null, for none
    is collected after it. So the list does not depend on which field failed first.
    """
    by_null = {_null_position(error.path or (), data): error for error in errors}
    return [by_null[position] for position in sorted(by_null)]


def _null_position(path: Sequence[str | int], data: Any) -> tuple[int, ...]:
    """Follow ``path`` through ``data`` to its first null; return where that is, as indexes."""
    position: list[int] = []
    for key in path:
        if data is None:
            break
        if isinstance(data, Mapping):
            position.append(tuple(data).index(key) if key in data else len(data))
            data = data.get(key)
        else:
            position.append(int(key))
            data = data[int(key)]
    return tuple(position)


def _cause(error: GraphQLError) -> Exception:
    """Return what was raised first, below all that graphql-core wrapped around it."""
    cause: Exception = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def _blames_input(error: GraphQLError, cause: Exception) -> bool:
    """Tell faults of arguments, which point at values, from ours, which point at fields."""
    if isinstance(cause, StrawberryInputCoercionError):
        return True
    nodes = error.nodes or ()
    return bool(nodes) and not any(isinstance(node, FieldNode) for node in nodes)


def _place(cause: Exception) -> object:
    """Return what identifies the line of code that raised ``cause``."""
    traceback = cause.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return type(cause), traceback and (traceback.tb_frame.f_code, traceback.tb_lineno)


def _mask(error: GraphQLError, request_id: str | None) -> Told:
    extensions = {"requestId": request_id} if request_id else None
    return _entry(_MASKED, ErrorCode.INTERNAL, error, suggest=True, extensions=extensions)


def _entry(
    message: str,
    code: ErrorCode,
    located: GraphQLError | None,
    *,
    suggest: bool,
    extensions: Mapping[str, Any] | None,
) -> Told:
    told: Told = {"message": _bounded(message, suggest=suggest)}
    if located is not None and located.locations:
        told["locations"] = [location.formatted for location in located.locations]
    if located is not None and located.path:
        told["path"] = list(located.path)
    told["extensions"] = {"code": code.value, **(extensions or {})}
    return told


def _bounded(message: str, *, suggest: bool) -> str:
    if len(message) > MAX_MESSAGE:
        message = message[: MAX_MESSAGE - 1] + "…"
    message = message.encode(errors="replace").decode()  # lone surrogates cannot be sent
    return message if suggest else _SUGGESTION.sub("", message)
