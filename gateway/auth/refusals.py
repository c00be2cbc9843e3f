"""What a caller is told when not let in.

One text covers every credential that does not hold, so that trying tells nothing about users, keys
or signatures. Only the holder of a correctly signed token learns more: it is too old or too new.
"""

from typing import Final

from resolvers.core.errors import Unauthenticated

_INVALID: Final = "The token or API key is not valid."


def missing() -> Unauthenticated:
    """No credential came with the request."""
    return Unauthenticated("Authentication is required: send 'Authorization: Bearer <token>'.")


def malformed() -> Unauthenticated:
    """The header is not of the form that RFC 6750 section 2.1 gives it."""
    return Unauthenticated("The Authorization header must be 'Bearer <token or API key>'.")


def too_long(most: int) -> Unauthenticated:
    """The header is longer than any credential we accept."""
    return Unauthenticated(f"The Authorization header is longer than {most} characters.")


def invalid() -> Unauthenticated:
    """Forged, revoked, meant for somebody else, of an unknown caller: all the same from outside."""
    return Unauthenticated(_INVALID)


def expired() -> Unauthenticated:
    """The token was good and its time is over."""
    return Unauthenticated("The token has expired.")


def not_yet_valid() -> Unauthenticated:
    """The token is good and its time is still to come."""
    return Unauthenticated("The token is not valid yet.")
