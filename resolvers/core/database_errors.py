"""Database failures that a caller can act on, told as failures the ERP expects."""

from typing import Final

import asyncpg

from resolvers.core.errors import ErpError, Invalid, Overloaded, PeriodClosed, TimedOut

_TIMED_OUT = (
    asyncpg.QueryCanceledError,  # statement_timeout
    asyncpg.LockNotAvailableError,  # lock_timeout
)
_GONE = (
    asyncpg.PostgresConnectionError,  # the connection broke while it was used
    asyncpg.OperatorInterventionError,  # the server shuts down, crashed, or starts
    asyncpg.InternalClientError,  # the server ended it in the midst of what the driver does
    asyncpg.ObjectNotInPrerequisiteStateError,  # the database is closed for connections
    asyncpg.TooManyConnectionsError,
    ConnectionError,
)
_BAD_TEXT = (
    asyncpg.CharacterNotInRepertoireError,  # a NUL byte
    asyncpg.UntranslatableCharacterError,  # \u0000 in JSON
    UnicodeEncodeError,  # a lone surrogate, refused by the driver
)
_OUT_OF_RANGE = (
    asyncpg.NumericValueOutOfRangeError,
    OverflowError,  # an integer too long for its column, refused by the driver
)

_IN_THE_WAY = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    # a migration changed what a statement returns, which had been prepared before it
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
)


FAILURES: tuple[type[Exception], ...] = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
"""What the driver raises when a statement fails.

An internal error among them: where the server ends a session in the moment between two statements,
the driver takes what it says for an answer to none, and the next statement for a second one.
"""


PERIOD_CLOSED: Final = "ERP02"
"""What a trigger raises that may post nothing on a day; its detail is the period's code."""


NOT_AT_ONCE: Final = "ERP03"
"""What a function raises that is to do a whole command, where others were quicker than it."""


def refused(failure: BaseException) -> ErpError | None:
    """Return what a rule of the database says that a command broke, None if none did."""
    if isinstance(failure, asyncpg.PostgresError) and failure.sqlstate == PERIOD_CLOSED:
        return PeriodClosed(str(failure.args[0]), details={"period": str(failure.detail or "")})
    return None


def not_at_once(failure: BaseException) -> bool:
    """Tell whether a function that was to do a whole command left it to the command's frame."""
    return isinstance(failure, asyncpg.PostgresError) and failure.sqlstate == NOT_AT_ONCE


def in_the_way(failure: BaseException) -> bool:
    """Tell whether a transaction failed only because of what others did; again, it may succeed."""
    return isinstance(failure, _IN_THE_WAY)


def expected(failure: BaseException) -> ErpError | None:
    """Return the expected failure that one of the driver's stands for, None if unexpected."""
    if _is_gone(failure):
        return Overloaded("The database cannot be reached; try again shortly.")
    if not isinstance(failure, asyncpg.PostgresError):
        return None
    # The driver raises DataError for an argument it cannot encode, and names the reason as cause.
    reasons = (failure, failure.__cause__)
    for kinds, told in (
        (_TIMED_OUT, TimedOut("The database did not finish in time.")),
        (_IN_THE_WAY, Overloaded("Others change the same objects; try again shortly.")),
        (_BAD_TEXT, Invalid("Invalid characters in a string value.")),
        (_OUT_OF_RANGE, Invalid("A number is out of range.")),
    ):
        if any(isinstance(reason, kinds) for reason in reasons):
            return told
    return None


def _is_gone(failure: BaseException) -> bool:
    """Tell whether the connection is lost, by the server's word or the driver's."""
    if isinstance(failure, _TIMED_OUT):
        return False
    closed = isinstance(failure, asyncpg.InterfaceError) and "closed" in str(failure)
    return closed or isinstance(failure, _GONE)
