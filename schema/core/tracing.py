"""The trace of an operation, for whoever asks for it in ``extensions`` and may see it."""

from typing import Any

from resolvers.core.context import Context, OperationStats
from resolvers.core.errors import Forbidden
from resolvers.core.trace import Trace

PERMISSION = "operations.trace"
_DIGITS = 3


def begin_trace(context: Context) -> None:
    """Record the statements of an operation from now on.

    Raises:
        Forbidden: the caller may not see them.

    """
    require_trace(context)
    context.stats.trace = Trace()


def require_trace(context: Context) -> None:
    """Check that the caller may ask for traces.

    Raises:
        Forbidden: they may not.

    """
    if not context.principal.can(PERMISSION):
        raise Forbidden(
            f"extensions.trace requires the permission {PERMISSION}.",
            path=("extensions", "trace"),
            details={"permission": PERMISSION},
        )


def told_trace(stats: OperationStats, *, kept: bool, cost: int, seconds: float) -> dict[str, Any]:
    """Return a trace as clients get it; times in milliseconds."""
    trace = stats.trace
    assert trace is not None
    return {
        "execution": "compiled" if trace.compiled else "ordinary",
        "fallbackReasons": trace.reasons,
        "documentKept": kept,
        "cost": cost,
        "milliseconds": _milliseconds(seconds),
        "databaseMilliseconds": _milliseconds(stats.database_seconds),
        "statements": [
            {
                "at": one.at or None,
                "reads": one.name,
                "parents": one.keys,
                "rows": one.rows,
                "milliseconds": _milliseconds(one.seconds),
            }
            for one in trace.statements
        ],
        # a command's own statements are counted and not listed
        "statementCount": stats.statements,
    }


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1_000, _DIGITS)
