"""The verbs of upserts: one frame for all, in the request or as a job."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from resolvers.bulk.rules import MAX_AT_ONCE, MAX_ROWS, OnError, RowResult, Upsert, packed
from resolvers.catalog.commands import upsert_products
from resolvers.core.bulk import Row, Verdict, letters, summary
from resolvers.core.command import CommandRefused, Outcome, run_command
from resolvers.core.context import Context
from resolvers.core.errors import ErpError, Invalid
from resolvers.core.transaction import Transaction
from resolvers.inventory.commands import counted_line, upsert_levels
from resolvers.operations.commands import enqueue
from resolvers.partners.commands import upsert_partners

OPERATIONS = {
    Upsert.PRODUCTS: "upsertProducts",
    Upsert.PARTNERS: "upsertPartners",
    Upsert.STOCK_LEVELS: "upsertStockLevels",
}
_KEYS = {Upsert.PRODUCTS: "sku", Upsert.PARTNERS: "code", Upsert.STOCK_LEVELS: "sku"}


async def upsert(
    context: Context, key: str, what: Upsert, rows: Sequence[Row], on_error: OnError
) -> Outcome:
    """Write rows by their keys: at once, or as a job if there are more than `MAX_AT_ONCE`.

    Returns how many were ``accepted`` and ``rejected``, the verdicts on ``rows`` that were, the
    ``results`` of all as `letters` with their ``keys``, and the ``job_id`` if it is a job.

    Raises:
        CommandRefused: there are no rows or too many, or some are wrong and ``on_error`` has
            everything rejected then; ``rows`` of the outcome say which.

    """
    if not 1 <= len(rows) <= MAX_ROWS:
        raise CommandRefused([Invalid(f"Give 1 to {MAX_ROWS:,} rows.", path=("rows",))])
    later = len(rows) > MAX_AT_ONCE

    async def body(connection: Transaction) -> Outcome:
        if later:
            arguments = packed(rows, on_error)
            job_id = await enqueue(context, connection, what, arguments, total=len(rows))
            return {"accepted": 0, "rejected": 0, "rows": [], "results": "", "job_id": job_id}
        verdicts = await write_rows(context, connection, key, what, rows, on_error=on_error)
        return {**summary(verdicts), "results": letters(verdicts), "job_id": None}

    outcome = await run_command(
        context,
        operation=OPERATIONS[what],
        key=key,
        request={"rows": list(rows), "onError": on_error},
        cause="UPSERT",
        body=body,
    )
    name = _KEYS[what]
    # an answer that was stored before there were letters has all verdicts in its rows
    return {"results": "", **outcome, "keys": [row[name] for row in rows]}


def _key_of(what: Upsert, row: Row) -> Any:
    """Return what no two rows of an upsert may have in common."""
    if what is Upsert.STOCK_LEVELS:
        return row["sku"], row["locationId"], row.get("lotNumber")
    return row[_KEYS[what]]


class Keys:
    """The keys of an upsert that is written in parts: what one alone cannot tell is there twice."""

    def __init__(self, what: Upsert) -> None:
        self._what = what
        self._seen: set[Any] = set()

    def earlier(self, rows: Sequence[Row]) -> frozenset[Any]:
        """Return which keys of the part that comes next stand in one before it."""
        keys = {_key_of(self._what, row) for row in rows}
        again = keys & self._seen
        self._seen |= keys
        return frozenset(again)


async def upsert_some(
    context: Context,
    key: str,
    what: Upsert,
    rows: Sequence[Row],
    on_error: OnError,
    *,
    first: int,
    earlier: frozenset[Any],
) -> Outcome:
    """Write a part of many rows as a command of its own; ``first`` is the place of its first row.

    ``earlier`` are those of its keys that `Keys` found in the parts before it. Returns what
    `upsert` does, with the verdicts on rejected rows only.
    """

    async def body(connection: Transaction) -> Outcome:
        verdicts = await write_rows(
            *(context, connection, key, what, rows),
            on_error=on_error,
            first=first,
            earlier=earlier,
        )
        return summary(verdicts)

    return await run_command(
        context,
        operation=OPERATIONS[what],
        key=key,
        request={"rows": list(rows), "onError": on_error},
        cause="UPSERT",
        body=body,
    )


async def write_rows(
    context: Context,
    connection: Transaction,
    key: str,
    what: Upsert,
    rows: Sequence[Row],
    *,
    on_error: OnError,
    first: int = 0,
    earlier: frozenset[Any] = frozenset(),
) -> list[Verdict]:
    """Write rows in a transaction that is open, and return the verdict on each.

    ``first`` is the place of the first one, ``earlier`` are keys of rows before it.

    Raises:
        CommandRefused: some are wrong and ``on_error`` has everything rejected then.

    """
    partly = on_error is OnError.REJECT_FAILED_ROWS
    if what is Upsert.PRODUCTS:
        verdicts = await upsert_products(
            context, connection, rows, partly=partly, first=first, earlier=earlier
        )
    elif what is Upsert.PARTNERS:
        verdicts = await upsert_partners(
            context, connection, rows, partly=partly, first=first, earlier=earlier
        )
    else:
        verdicts = await _levels(
            context, connection, key, rows, partly=partly, first=first, earlier=earlier
        )
    rejected = sum(verdict.result is RowResult.REJECTED for verdict in verdicts)
    if rejected and not partly:
        for verdict in verdicts:
            verdict.result = RowResult.REJECTED
        wrong = [verdict for verdict in verdicts if verdict.errors]
        refusal = Invalid(
            f"{rejected} of {len(rows)} rows are wrong; nothing was written.", path=("rows",)
        )
        told = {"accepted": 0, "rejected": len(rows), "rows": summary(wrong)["rows"]}
        raise CommandRefused([refusal], told)
    return verdicts


async def _levels(
    context: Context,
    connection: Transaction,
    key: str,
    rows: Sequence[Row],
    *,
    partly: bool,
    first: int,
    earlier: frozenset[Any],
) -> list[Verdict]:
    lines = [
        counted_line(
            row["sku"],
            row["locationId"],
            Decimal(row["countedQty"]),
            reason=row["reason"],
            lot_number=row.get("lotNumber"),
        )
        for row in rows
    ]
    results = await upsert_levels(context, connection, key, lines, partly=partly, earlier=earlier)
    return [
        Verdict(index, row[_KEYS[Upsert.STOCK_LEVELS]], result, [_of_row(e, index) for e in errors])
        for index, (row, (result, errors)) in enumerate(
            zip(rows, results, strict=True), start=first
        )
    ]


def _of_row(error: ErpError, index: int) -> ErpError:
    """Return an error of a correction as one of the row that asks for it."""
    path: Any = ("rows", str(index), *error.path[2:])
    return type(error)(error.message, path=path, details=error.details)
