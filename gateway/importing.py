"""Products, partners and stock from a file: read some at a time, written some at a time."""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import orjson

from gateway.back_office import back_office
from gateway.provision import database_url, owner_connection
from gateway.settings import Settings
from resolvers.bulk.commands import Keys, upsert_some
from resolvers.bulk.rules import OnError, Upsert
from resolvers.core.command import CommandRefused

Progress = Callable[[str, int, int], None]
"""Is told what is done, how much of it, and how much there is to do."""

PORTION: Final = 5_000
"""Rows of one transaction."""
ACTOR: Final = "process:import"
"""Who the audit trail says it was."""


class ImportFileError(Exception):
    """Why a file cannot be read, for people to read."""


class Imported(StrEnum):
    """What can be imported."""

    PRODUCTS = "products"
    PARTNERS = "partners"
    STOCK = "stock"


_KINDS = {
    Imported.PRODUCTS: Upsert.PRODUCTS,
    Imported.PARTNERS: Upsert.PARTNERS,
    Imported.STOCK: Upsert.STOCK_LEVELS,
}
_REQUIRED = {
    Imported.PRODUCTS: ("sku", "name", "categoryCode", "uom", "listPrice"),
    Imported.PARTNERS: ("code", "name"),
    Imported.STOCK: ("sku", "location", "countedQty"),
}
_OPTIONAL = {
    Imported.PRODUCTS: (
        *("listCurrency", "description", "barcode", "kind", "tracking"),
        "attributes",
    ),
    Imported.PARTNERS: (
        *("kind", "isCustomer", "isSupplier", "taxId", "email", "phone"),
        "language",
    ),
    Imported.STOCK: ("reason", "lotNumber"),
}
_WORDS = {
    "kind": {"GOODS", "SERVICE", "ORGANIZATION", "PERSON"},
    "tracking": {"NONE", "LOT", "SERIAL"},
}
_NUMBERS = {"listPrice", "countedQty"}
_USUAL_NUMBER: Final = re.compile(r"(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?")
"""One that is told as it is written."""
_MOST_DIGITS: Final = 100
"""Most digits of a number before the point, and zeros behind it."""
_PLAIN: Final = {str, bool, type(None)}
"""Types of values that every reader of JSON reads alike."""
_REASON: Final = "Import"
"""Why stock is corrected, where a row does not say."""
_FLAGS = {"isCustomer", "isSupplier"}
_NEEDED = {what: frozenset(_REQUIRED[what]) for what in Imported}
_KNOWN = {what: {*_REQUIRED[what], *_OPTIONAL[what]} for what in Imported}
_NUMBERED = {what: _KNOWN[what] & _NUMBERS for what in Imported}
_TEXTS = {what: _KNOWN[what] - {"attributes", *_FLAGS, *_WORDS, *_NUMBERS} for what in Imported}
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(slots=True)
class ImportReport:
    """What became of a file's rows; the first that were ``rejected`` with why."""

    accepted: int = 0
    refused: int = 0
    rejected: list[Mapping[str, Any]] = field(default_factory=list)


async def import_file(
    settings: Settings,
    what: Imported,
    file: Path,
    *,
    company: str,
    on_error: OnError,
    dry_run: bool = False,
    progress: Progress = lambda _what, _done, _total: None,
) -> ImportReport:
    """Write the rows of a file, in transactions of `PORTION` rows, or of all if none may be wrong.

    The columns are named as in the API; those of a CSV file beginning with ``attributes.`` are
    attributes of products, and a location of stock goes by its code. Rows are numbered from 0,
    without the head.

    Raises:
        ImportFileError: there is no such company, or the file is none of this kind.

    """
    rows: Iterator[dict[str, Any]]
    if on_error is OnError.REJECT_FAILED_ROWS:
        # not all in memory, but looked at before any is written
        total = sum(1 for _ in read_rows(what, file))
        portion, rows = PORTION, read_rows(what, file)
    else:
        every = list(read_rows(what, file))
        total = len(every)
        portion, rows = max(total, 1), iter(every)
    async with owner_connection(database_url(settings)) as owner:
        company_id = await owner.fetchval("select id from company where code = $1", company)
        places: dict[str, int] = dict(
            await owner.fetch(
                "select code, id from stock_location where company_id = $1", company_id
            )
        )
    if company_id is None:
        raise ImportFileError(f"There is no company {company}.")
    report, run, keys = ImportReport(), uuid4(), Keys(_KINDS[what])
    async with back_office(settings) as office:
        for first in range(0, total, portion):
            part = list(islice(rows, portion))
            if what is Imported.STOCK:
                part = [_placed(row, places) for row in part]
            async with office.open(company_id, ACTOR, f"import:{run}") as context:
                context.rehearsing = dry_run
                try:
                    done = await upsert_some(
                        *(context, f"import:{run}:{first}", _KINDS[what], part, on_error),
                        first=first,
                        earlier=keys.earlier(part) if portion < total else frozenset(),
                    )
                except CommandRefused as refusal:
                    done = refusal.outcome
            report.accepted += done["accepted"]
            report.refused += done["rejected"]
            report.rejected += done["rows"]
            progress("rows", min(first + portion, total), total)
    return report


def _placed(row: dict[str, Any], places: Mapping[str, int]) -> dict[str, Any]:
    """Return a row with the id of the location it names; 0, which none has, if it is unknown."""
    rest = {name: value for name, value in row.items() if name != "location"}
    return {"reason": _REASON, **rest, "locationId": places.get(row["location"], 0)}


def read_rows(what: Imported, file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file as the API would be given them.

    Raises:
        ImportFileError: a column is missing or unknown, or a value is none of its type.

    """
    if file.suffix not in {".csv", ".jsonl"}:
        raise ImportFileError(f"{file.name} is neither .csv nor .jsonl.")
    with file.open(encoding="utf-8-sig", newline="") as stream:
        lines: Iterator[Mapping[str, Any]] = (
            iter(csv.DictReader(stream)) if file.suffix == ".csv" else _json_lines(file, stream)
        )
        for number, line in enumerate(lines, start=1):
            try:
                row = _row(what, line)
            except ImportFileError as error:
                raise ImportFileError(f"{file.name}, row {number}: {error}") from None
            yield row


def _json_lines(file: Path, stream: Any) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            found = orjson.loads(line)
        except ValueError:
            found = None
        if not (isinstance(found, dict) and set(map(type, found.values())) <= _PLAIN):
            found = _exact(line)
        if not isinstance(found, dict):
            raise ImportFileError(f"{file.name}, line {number} is no JSON object.")
        yield found


def _exact(line: str) -> Any:
    """Return a line with numbers as text: a float would not be what the file says."""
    try:
        return json.loads(line, parse_float=str, parse_int=str)
    except ValueError:
        return None


def _row(what: Imported, line: Mapping[str, Any]) -> dict[str, Any]:
    known, texts, numbers = _KNOWN[what], _TEXTS[what], _NUMBERED[what]
    usual_number = _USUAL_NUMBER.fullmatch
    row: dict[str, Any] = {}
    attributes: dict[str, str] = {}
    for name, value in line.items():
        if value is None or value == "":
            continue
        if name in texts and type(value) is str:
            row[name] = value.strip()
        elif name in numbers and type(value) is str and usual_number(value):
            row[name] = value
        elif what is Imported.PRODUCTS and name and name.startswith("attributes."):
            attributes[name.removeprefix("attributes.")] = value
        elif name not in known:
            names = ", ".join(sorted(known))
            raise ImportFileError(f"there is no column {name!r}; there are {names}.")
        else:
            row[name] = _value(name, value)
    if attributes:
        row["attributes"] = attributes
    if not row.keys() >= _NEEDED[what]:
        missing = [name for name in _REQUIRED[what] if name not in row]
        raise ImportFileError(f"{', '.join(missing)} is missing.")
    return row


def _value(name: str, value: Any) -> Any:
    if name == "attributes":
        if isinstance(value, dict):
            return {key: str(one) for key, one in value.items()}
        raise ImportFileError("attributes is an object of names and values.")
    if name in _FLAGS:
        flag = value if isinstance(value, bool) else _BOOLEANS.get(str(value).lower())
        if flag is None:
            raise ImportFileError(f"{name} is true or false, not {value!r}.")
        return flag
    if not isinstance(value, str):
        raise ImportFileError(f"{name} is a text, not {value!r}.")
    if name in _WORDS and value not in _WORDS[name]:
        words = ", ".join(sorted(_WORDS[name]))
        raise ImportFileError(f"{name} is one of {words}, not {value!r}.")
    return _number(name, value) if name in _NUMBERS else value.strip()


def _number(name: str, value: str) -> str:
    try:
        number = Decimal(value.strip())
    except ArithmeticError:
        number = Decimal("NaN")
    # an exponent can ask for a number of any length
    if not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS:
        raise ImportFileError(f"{name} is a number, not {value!r}.")
    return f"{number:f}"
