"""A request that gets an error instead of an operation, and how errors are told."""

from collections.abc import Sequence
from typing import Any

from gateway.transports.statuses import CODES, FAULT_OF, Fault
from resolvers.core.errors import ErpError, ErrorCode

Headers = Sequence[tuple[bytes, bytes]]

NO_CREDENTIAL: Headers = ((b"www-authenticate", b"Bearer"),)
BAD_CREDENTIAL: Headers = ((b"www-authenticate", b'Bearer error="invalid_token"'),)
"""RFC 6750 section 3: which of the two it is tells a client whether to renew its token."""
TRY_AGAIN: Headers = ((b"retry-after", b"1"),)

INTERNAL_MESSAGE = "Internal error"


class HttpFault(Exception):
    """The request is answered with an error alone; ``message`` is safe to show."""

    def __init__(
        self,
        fault: Fault,
        message: str,
        *,
        headers: Headers = (),
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.fault = fault
        self.headers = headers
        self.errors = [error_entry(message, CODES[fault], details)]


def fault_of(error: ErpError, *, credential_sent: bool) -> HttpFault:
    """Return how HTTP tells that a caller was not let in."""
    fault = FAULT_OF.get(error.code, Fault.INTERNAL)
    if fault is Fault.INTERNAL:
        return HttpFault(fault, INTERNAL_MESSAGE)
    headers: Headers = ()
    if fault is Fault.UNAUTHENTICATED:
        headers = BAD_CREDENTIAL if credential_sent else NO_CREDENTIAL
    elif fault in (Fault.OVERLOADED, Fault.RATE_LIMITED):
        headers = TRY_AGAIN
    return HttpFault(fault, error.message, headers=headers, details=error.details)


def error_entry(
    message: str, code: ErrorCode, details: dict[str, Any] | None = None, **extensions: Any
) -> dict[str, Any]:
    """Return one entry of ``errors``, in the form the executor gives its own."""
    told: dict[str, Any] = {"code": code.value, **extensions}
    if details:
        told["details"] = details
    return {"message": message, "extensions": told}


def internal_error(request_id: str) -> dict[str, Any]:
    """Return the entry that stands for anything unexpected; the log has the rest by this id."""
    return error_entry(INTERNAL_MESSAGE, ErrorCode.INTERNAL, requestId=request_id)
