"""Failures the ERP expects: each has a code clients can act on and a message safe to show."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar


class ErrorCode(StrEnum):
    """Every code a client can meet, in ``userErrors[].code`` or ``errors[].extensions.code``."""

    NOT_FOUND = "NOT_FOUND"
    FORBIDDEN = "FORBIDDEN"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    VALIDATION = "VALIDATION"
    CONFLICT_VERSION = "CONFLICT_VERSION"
    IDEMPOTENCY_MISMATCH = "IDEMPOTENCY_MISMATCH"
    INVALID_TRANSITION = "INVALID_TRANSITION"
    INSUFFICIENT_STOCK = "INSUFFICIENT_STOCK"
    CREDIT_LIMIT = "CREDIT_LIMIT"
    OVER_RECEIPT = "OVER_RECEIPT"
    PERIOD_CLOSED = "PERIOD_CLOSED"
    DUPLICATE = "DUPLICATE"
    ARCHIVED = "ARCHIVED"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    RATE_LIMITED = "RATE_LIMITED"
    TIMEOUT = "TIMEOUT"
    OVERLOADED = "OVERLOADED"
    SUBSCRIBER_LAGGED = "SUBSCRIBER_LAGGED"
    SUBSCRIPTION_ENDED = "SUBSCRIPTION_ENDED"
    INTERNAL = "INTERNAL"

    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    DOCUMENT_NOT_TRUSTED = "DOCUMENT_NOT_TRUSTED"
    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    OPERATION_RESOLUTION_FAILURE = "OPERATION_RESOLUTION_FAILURE"


MOST_SHOWN = 64
"""Most characters of a client's own text that a message repeats."""


def shown(text: str) -> str:
    """Return a text of a client as a message repeats it: cut where it is too long."""
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


class ErpError(Exception):
    """An expected failure.

    ``message`` is shown to the client as it is, so it never holds SQL, paths or driver names.
    ``path`` names the input field at fault; ``details`` is JSON-safe data the client can use.
    """

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL

    def __init__(
        self,
        message: str,
        *,
        path: tuple[str, ...] = (),
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.details = dict(details or {})


class NotFound(ErpError):
    """The row does not exist, or not for this caller: the two look the same on purpose."""

    code = ErrorCode.NOT_FOUND


class Forbidden(ErpError):
    """The caller is known and lacks the permission."""

    code = ErrorCode.FORBIDDEN


class Unauthenticated(ErpError):
    """The credential is missing, malformed, expired or revoked."""

    code = ErrorCode.UNAUTHENTICATED


class Invalid(ErpError):
    """The input breaks a rule; ``path`` says where and ``message`` what would be right."""

    code = ErrorCode.VALIDATION


class Conflict(ErpError):
    """The row changed since the caller read it."""

    code = ErrorCode.CONFLICT_VERSION


class IdempotencyMismatch(ErpError):
    """The idempotency key was used before with another request."""

    code = ErrorCode.IDEMPOTENCY_MISMATCH


class InsufficientStock(ErpError):
    """The change would take stock below what is promised, or below zero."""

    code = ErrorCode.INSUFFICIENT_STOCK


class CreditLimit(ErpError):
    """The customer would owe more than was agreed."""

    code = ErrorCode.CREDIT_LIMIT


class OverReceipt(ErpError):
    """More came than was ordered and is tolerated."""

    code = ErrorCode.OVER_RECEIPT


class PeriodClosed(ErpError):
    """The books of the day are closed; ``details`` name the period."""

    code = ErrorCode.PERIOD_CLOSED


class InvalidTransition(ErpError):
    """The row's state, or what still refers to it, does not allow this."""

    code = ErrorCode.INVALID_TRANSITION


class Duplicate(ErpError):
    """There is a row like it already."""

    code = ErrorCode.DUPLICATE


class Archived(ErpError):
    """The row is archived."""

    code = ErrorCode.ARCHIVED


class LimitExceeded(ErpError):
    """A stated limit of size, depth, cost or count was passed."""

    code = ErrorCode.LIMIT_EXCEEDED


class TimedOut(ErpError):
    """The operation used up its time; its statements were canceled."""

    code = ErrorCode.TIMEOUT


class Overloaded(ErpError):
    """No connection became free in time; try again shortly."""

    code = ErrorCode.OVERLOADED


class SubscriptionEnded(ErpError):
    """Somebody ended the subscription by `endSubscription`."""

    code = ErrorCode.SUBSCRIPTION_ENDED


class UnknownDocument(ErpError):
    """No document is kept under the id that was sent in place of one."""

    code = ErrorCode.PERSISTED_QUERY_NOT_FOUND


class UntrustedDocument(ErpError):
    """Only trusted documents run here, and this is none."""

    code = ErrorCode.DOCUMENT_NOT_TRUSTED
