"""Many rows at once: staged by COPY, looked at set-wise, written set-wise, one verdict per row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import text

from resolvers.core.command import Outcome
from resolvers.core.context import Context
from resolvers.core.errors import Duplicate, ErpError, Invalid
from resolvers.core.transaction import Transaction

Row = Mapping[str, Any]
"""One row as JSON, by the names of the API; amounts and quantities are text."""


class OnError(StrEnum):
    """What becomes of all rows when some are wrong."""

    REJECT_EVERYTHING = "REJECT_EVERYTHING"
    REJECT_FAILED_ROWS = "REJECT_FAILED_ROWS"


class RowResult(StrEnum):
    """What became of one row."""

    INSERTED = "INSERTED"
    UPDATED = "UPDATED"
    UNCHANGED = "UNCHANGED"
    REJECTED = "REJECTED"


@dataclass(slots=True)
class Verdict:
    """What became of a row, and why, by its place in the input and its key."""

    index: int
    key: str
    result: RowResult = RowResult.UNCHANGED
    errors: list[ErpError] = field(default_factory=list)

    def reject(self, error: type[ErpError], message: str, name: str) -> None:
        """Reject the row because of what it has as ``name``."""
        self.result = RowResult.REJECTED
        self.errors.append(error(message, path=("rows", str(self.index), name)))

    def told(self) -> dict[str, Any]:
        """Return the verdict as JSON."""
        return {
            "index": self.index,
            "key": self.key,
            "result": self.result,
            "errors": [
                {"code": error.code, "message": error.message, "path": list(error.path)}
                for error in self.errors
            ],
        }


def verdicts_on(rows: Sequence[Row], key: str, *, first: int = 0) -> list[Verdict]:
    """Return a verdict on each row, rejecting a second row of the same ``key``.

    ``first`` is the place of the first of them in the input.
    """
    verdicts: list[Verdict] = []
    seen: set[str] = set()
    for index, row in enumerate(rows, start=first):
        verdict = Verdict(index, str(row[key]))
        if row[key] in seen:
            verdict.reject(Duplicate, f"{key} stands in an earlier row.", key)
        seen.add(row[key])
        verdicts.append(verdict)
    return verdicts


def check_text(verdict: Verdict, row: Row, name: str, *, most: int, required: bool = True) -> None:
    """Reject a text that is too short or too long."""
    value = row.get(name)
    if (value is None and required) or (value is not None and not 1 <= len(value) <= most):
        verdict.reject(Invalid, f"{name} must have 1 to {most} characters.", name)


def check_amount(verdict: Verdict, row: Row, name: str, *, decimals: int, below: Decimal) -> None:
    """Reject an amount below 0, too large, or with too many decimals."""
    try:
        value = Decimal(row[name])
    except InvalidOperation:
        value = Decimal(-1)
    if not 0 <= value < below or value != value.quantize(Decimal(1).scaleb(-decimals)):
        message = f"{name} must be 0 to below {below:f} with at most {decimals} decimals."
        verdict.reject(Invalid, message, name)


async def stage(
    connection: Transaction,
    name: str,
    columns: Mapping[str, str],
    records: Sequence[Sequence[Any]],
) -> None:
    """Put ``records`` into a table of the transaction, by COPY.

    ``columns`` are its columns with their SQL types. What is staged is gone when it ends.
    """
    described = ", ".join(f"{column} {type_}" for column, type_ in columns.items())
    await connection.execute(text(f"create temp table {name} ({described}) on commit drop"))
    await connection.copy(name, list(columns), records)
    # what is planned next would take it for a table of a thousand pages
    await connection.execute(text(f"analyze {name}"))


async def reject_staged(
    connection: Transaction,
    verdicts: Sequence[Verdict],
    checks: str,
    codes: Mapping[str, type[ErpError]],
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """Reject rows that ``checks`` finds: a query for place, field, code and message of each."""
    first = verdicts[0].index if verdicts else 0
    found = await connection.execute(text(checks), dict(parameters or {}))
    for place, name, code, message in found:
        verdicts[place - first].reject(codes[code], message, name)


async def write_staged(
    context: Context,
    connection: Transaction,
    verdicts: Sequence[Verdict],
    statement: str,
    parameters: Mapping[str, Any] | None = None,
) -> None:
    """Write what is staged and not rejected, and note of each row what became of it.

    ``statement`` is given the places that are ``rejected``, ``now``, and for the audit trail
    ``company``, ``actor`` and ``request``; it returns the place and the result of what it wrote.
    """
    first = verdicts[0].index
    written = await connection.execute(
        text(statement),
        {
            "rejected": [verdict.index for verdict in verdicts if verdict.errors],
            "now": context.clock(),
            "company": context.principal.company_id,
            "actor": context.principal.actor,
            "request": context.request_id,
            **(parameters or {}),
        },
    )
    for place, result in written:
        verdicts[place - first].result = RowResult(result)


MOST_TOLD: Final = 1_000
"""Most rejected rows that a job tells of one by one; all are counted."""


def summary(verdicts: Sequence[Verdict], *, rejected_only: bool = False) -> Outcome:
    """Return what became of rows, as JSON."""
    rejected = [verdict for verdict in verdicts if verdict.result is RowResult.REJECTED]
    told = rejected[:MOST_TOLD] if rejected_only else verdicts
    return {
        "accepted": len(verdicts) - len(rejected),
        "rejected": len(rejected),
        "rows": [verdict.told() for verdict in told],
    }
