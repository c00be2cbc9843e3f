"""Many rows at once: staged by COPY, looked at set-wise, written set-wise, one verdict per row."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final

import orjson
from sqlalchemy import text

from resolvers.core.command import Outcome
from resolvers.core.context import Context
from resolvers.core.errors import Duplicate, ErpError, Invalid, Overloaded
from resolvers.core.statement import Statement, compile_statement
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
    errors: Sequence[ErpError] = ()

    def reject(self, error: type[ErpError], message: str, name: str) -> None:
        """Reject the row because of what it has as ``name``."""
        self.result = RowResult.REJECTED
        self.errors = [*self.errors, error(message, path=("rows", str(self.index), name))]

    def told(self) -> dict[str, Any]:
        """Return the verdict as JSON."""
        return {
            "index": self.index,
            "key": self.key,
            "result": self.result,
            "errors": [
                {
                    "code": error.code,
                    "message": error.message,
                    "path": list(error.path),
                    "details": error.details,
                }
                for error in self.errors
            ],
        }


def verdicts_on(
    rows: Sequence[Row], key: str, *, first: int = 0, earlier: frozenset[Any] = frozenset()
) -> list[Verdict]:
    """Return a verdict on each row, rejecting a second row of the same ``key``.

    ``first`` is the place of the first of them in the input, ``earlier`` are keys of rows before.
    """
    verdicts = [Verdict(index, row[key]) for index, row in enumerate(rows, start=first)]
    if earlier or len({row[key] for row in rows}) < len(rows):
        seen = set(earlier)
        for verdict in verdicts:
            if verdict.key in seen:
                verdict.reject(Duplicate, f"{key} stands in an earlier row.", key)
            seen.add(verdict.key)
    return verdicts


def check_texts(
    verdicts: Sequence[Verdict],
    rows: Sequence[Row],
    name: str,
    *,
    most: int,
    required: bool = True,
) -> None:
    """Reject rows with a text that is too short or too long."""
    nothing = "" if required else "x"
    for place in [n for n, row in enumerate(rows) if not 1 <= len(row.get(name, nothing)) <= most]:
        verdicts[place].reject(Invalid, f"{name} must have 1 to {most} characters.", name)


def check_amounts(
    verdicts: Sequence[Verdict], rows: Sequence[Row], name: str, *, decimals: int, below: Decimal
) -> None:
    """Reject rows with an amount below 0, too large, or with too many decimals."""
    right = re.compile(rf"[0-9]{{1,{below.adjusted()}}}(\.[0-9]{{1,{decimals}}})?").fullmatch
    for place in [n for n, row in enumerate(rows) if not right(row[name])]:
        try:
            value = Decimal(rows[place][name])
        except InvalidOperation:
            value = Decimal(-1)
        if not 0 <= value < below or value != value.quantize(Decimal(1).scaleb(-decimals)):
            message = f"{name} must be 0 to below {below:f} with at most {decimals} decimals."
            verdicts[place].reject(Invalid, message, name)


_MANY: Final = 1_000
_IN_MEMORY: Final = compile_statement(text("select set_config('work_mem', '64MB', true)"))
"""For the transaction: what is known of many rows is handed on several times, on disk if not."""


class Staging:
    """A table that a session has for itself, to put rows of an upsert into.

    ``columns`` are its columns with their SQL types and the names of what rows have for them;
    besides there is the ``place`` of the row in the input. What is in it is gone when the
    transaction ends; the table stays, and so do the plans of statements that read it.
    """

    def __init__(self, name: str, columns: Mapping[str, tuple[str, str]]) -> None:
        self._name = name
        self._names = {column: given for column, (_, given) in columns.items()}
        self._json = {column for column, (type_, _) in columns.items() if type_ == "json"}
        described = ", ".join(f"{column} {type_}" for column, (type_, _) in columns.items())
        self._create = compile_statement(
            text(
                f"create temp table if not exists {name} (place int, {described})"
                " on commit delete rows"
            )
        )

    async def fill(
        self, connection: Transaction, verdicts: Sequence[Verdict], rows: Sequence[Row]
    ) -> None:
        """Put the rows that are not rejected into it, by COPY."""
        await connection.run(self._create, {})
        if len(rows) > _MANY:
            await connection.run(_IN_MEMORY, {})
        if any(verdict.errors for verdict in verdicts):
            pairs = zip(verdicts, rows, strict=True)
            rows = [row for verdict, row in pairs if not verdict.errors]
            verdicts = [verdict for verdict in verdicts if not verdict.errors]
        given = set().union(*rows)
        columns = {column: name for column, name in self._names.items() if name in given}
        values = [[row.get(name) for row in rows] for name in columns.values()]
        for place, column in enumerate(columns):
            if column in self._json:
                values[place] = [None if one is None else _json(one) for one in values[place]]
        places = [verdict.index for verdict in verdicts]
        records = list(zip(places, *values, strict=True))
        await connection.copy(self._name, ["place", *columns], records)


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def changes_of(columns: Mapping[str, str]) -> str:
    """Return SQL that tells what an update of ``p`` changed, for its ``returning``.

    It is the new values as a JSON object of texts, by the names that ``columns`` have for them;
    no column may become null. An object of everything, stripped of nulls, takes twice as long.
    The row as it was is ``before`` of ``g``: PostgreSQL tells it by itself since 18 only.
    """
    pairs = ",\n    ".join(
        f"case when nullif(p.{column}, (g.before).{column}) is not null then '{name}' end,"
        f" nullif(p.{column}, (g.before).{column})::text"
        for name, column in columns.items()
    )
    return f"jsonb_object(array_remove(array[\n    {pairs}], null))"


AGAIN: Final = "AGAIN"
"""What a statement tells where rows that it was to write were changed by others meanwhile."""
_MOST_RUNS: Final = 5


async def write_staged(
    context: Context,
    connection: Transaction,
    verdicts: Sequence[Verdict],
    statement: Statement,
    codes: Mapping[str, type[ErpError]],
    *,
    partly: bool,
) -> None:
    """Check what is staged, write what is right, and note of each row what became of it.

    ``statement`` does all of that. It is given whether to ``write`` if it finds nothing wrong, and
    whether ``partly``, even if it does; ``now``, and for the audit trail ``company``, ``actor`` and
    ``request``. It returns keys of rows with their result, or with a code of ``codes``, the name of
    a field and a message; and `AGAIN` to be run once more, as long as others are in its way.

    Raises:
        Overloaded: they still are.

    """
    of_key = {verdict.key: verdict for verdict in verdicts if not verdict.errors}
    parameters = {
        "write": partly or len(of_key) == len(verdicts),
        "partly": partly,
        "now": context.clock(),
        "company": context.principal.company_id,
        "actor": context.principal.actor,
        "request": context.request_id,
    }
    for _ in range(_MOST_RUNS):
        wrong, again = [], False
        for keys, told, name, message in await connection.run(statement, parameters):
            if told in codes:
                wrong.append((keys, codes[told], message, name))
            elif told == AGAIN:
                again = True
            else:
                result = RowResult(told)
                for key in keys:
                    of_key[key].result = result
        if not again:
            break
    else:
        raise Overloaded("Others change the same objects; try again shortly.")
    for keys, error, message, name in wrong:
        for key in keys:
            of_key[key].reject(error, message, name)


MOST_TOLD: Final = 1_000
"""Most rejected rows that a job tells of one by one; all are counted."""


def summary(verdicts: Sequence[Verdict]) -> Outcome:
    """Return what became of rows, as JSON: verdicts on those that were rejected."""
    rejected = [verdict for verdict in verdicts if verdict.result is RowResult.REJECTED]
    return {
        "accepted": len(verdicts) - len(rejected),
        "rejected": len(rejected),
        "rows": [verdict.told() for verdict in rejected[:MOST_TOLD]],
    }


LETTERS: Final = dict(zip(RowResult, "IU=R", strict=True))
"""A letter for each result, by which the results of rows are stored."""


def letters(verdicts: Sequence[Verdict]) -> str:
    """Return what became of rows, as short as it can be stored."""
    return "".join([LETTERS[verdict.result] for verdict in verdicts])
