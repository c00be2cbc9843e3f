"""Every HTTP status that requests and downloads are answered with, in one table."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from gateway.transports.negotiation import MediaType
from resolvers.core.errors import ErrorCode
from schema.core.execution import Refusal


class Fault(Enum):
    """Why an HTTP request was not answered, besides what the executor refuses (`Refusal`)."""

    MALFORMED = auto()
    UNAUTHENTICATED = auto()
    FORBIDDEN = auto()
    CROSS_SITE = auto()
    NOT_FOUND = auto()
    METHOD = auto()
    NOT_ACCEPTABLE = auto()
    CONFLICT = auto()
    SLOW_REQUEST = auto()
    BODY_SIZE = auto()
    URL_SIZE = auto()
    CONTENT = auto()
    HEADER_SIZE = auto()
    RATE_LIMITED = auto()
    INTERNAL = auto()
    OVERLOADED = auto()


RESERVED: Final = 201
"""Status of a stream that was reserved."""
ACCEPTED: Final = 202
"""Status of an operation whose answers come on a stream."""
ANSWERED: Final = 200
"""Status of every operation that ran, also where it answers errors beside or instead of data."""

STATUSES: Final[Mapping[Refusal | Fault, tuple[int, int]]] = {
    # (as application/graphql-response+json, as application/json)
    # The public audits of GraphQL over HTTP decide: 400 where the specification of September 2026
    # has 422, and 200 as application/json for the three that a legacy client can cause.
    Refusal.SYNTAX: (400, 200),
    Refusal.VALIDATION: (400, 200),
    Refusal.VARIABLES: (400, 200),
    Refusal.OPERATION: (400, 400),
    Refusal.LIMIT: (400, 400),
    Refusal.FORBIDDEN: (403, 403),
    Refusal.UNTRUSTED: (403, 403),
    # clients of automatic persisted queries expect to be told like of an error of the operation
    Refusal.DOCUMENT: (400, 200),
    Fault.MALFORMED: (400, 400),
    Fault.UNAUTHENTICATED: (401, 401),
    Fault.FORBIDDEN: (403, 403),
    Fault.CROSS_SITE: (403, 403),
    Fault.NOT_FOUND: (404, 404),
    Fault.METHOD: (405, 405),
    Fault.NOT_ACCEPTABLE: (406, 406),
    Fault.SLOW_REQUEST: (408, 408),
    Fault.CONFLICT: (409, 409),
    Fault.BODY_SIZE: (413, 413),
    Fault.URL_SIZE: (414, 414),
    Fault.CONTENT: (415, 415),
    Fault.RATE_LIMITED: (429, 429),
    Fault.HEADER_SIZE: (431, 431),
    Fault.INTERNAL: (500, 500),
    Fault.OVERLOADED: (503, 503),
}

CODES: Final[Mapping[Fault, ErrorCode]] = {
    Fault.MALFORMED: ErrorCode.VALIDATION,
    Fault.UNAUTHENTICATED: ErrorCode.UNAUTHENTICATED,
    Fault.FORBIDDEN: ErrorCode.FORBIDDEN,
    Fault.CROSS_SITE: ErrorCode.FORBIDDEN,
    Fault.NOT_FOUND: ErrorCode.NOT_FOUND,
    Fault.METHOD: ErrorCode.VALIDATION,
    Fault.NOT_ACCEPTABLE: ErrorCode.VALIDATION,
    Fault.SLOW_REQUEST: ErrorCode.TIMEOUT,
    Fault.CONFLICT: ErrorCode.DUPLICATE,
    Fault.BODY_SIZE: ErrorCode.LIMIT_EXCEEDED,
    Fault.URL_SIZE: ErrorCode.LIMIT_EXCEEDED,
    Fault.CONTENT: ErrorCode.VALIDATION,
    Fault.RATE_LIMITED: ErrorCode.RATE_LIMITED,
    Fault.HEADER_SIZE: ErrorCode.LIMIT_EXCEEDED,
    Fault.INTERNAL: ErrorCode.INTERNAL,
    Fault.OVERLOADED: ErrorCode.OVERLOADED,
}
"""What ``errors[].extensions.code`` says of each fault."""

FAULT_OF: Final[Mapping[ErrorCode, Fault]] = {
    ErrorCode.UNAUTHENTICATED: Fault.UNAUTHENTICATED,
    ErrorCode.FORBIDDEN: Fault.FORBIDDEN,
    ErrorCode.NOT_FOUND: Fault.NOT_FOUND,
    ErrorCode.RATE_LIMITED: Fault.RATE_LIMITED,
    ErrorCode.OVERLOADED: Fault.OVERLOADED,
    ErrorCode.TIMEOUT: Fault.OVERLOADED,
}
"""The fault of a request that was let in no further, by the code of the failure."""


def status_of(reason: Refusal | Fault, media_type: MediaType) -> int:
    """Return the status of a request that did not run, when answered as ``media_type``."""
    modern, legacy = STATUSES[reason]
    return legacy if media_type is MediaType.JSON else modern
