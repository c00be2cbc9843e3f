"""Words and limits of upserts; pure, no I/O."""

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import orjson

from resolvers.core.bulk import OnError, Row, RowResult

__all__ = ["MAX_AT_ONCE", "MAX_ROWS", "OnError", "RowResult", "Upsert", "packed", "unpacked"]

MAX_AT_ONCE: Final = 1_000
"""Most rows that are written while the request waits; more are a job."""
MAX_ROWS: Final = 100_000
"""Most rows of one upsert."""


class Upsert(StrEnum):
    """What is upserted: the kinds of its jobs."""

    PRODUCTS = "upsert-products"
    PARTNERS = "upsert-partners"
    STOCK_LEVELS = "upsert-stock-levels"


def packed(rows: Sequence[Row], on_error: OnError) -> dict[str, Any]:
    """Return the arguments of a job: its rows as one short text.

    Nobody asks the database for them, and taking some megabytes of JSON apart and compressing them
    takes it ten times as long.
    """
    return {
        "packed": b64encode(zlib.compress(orjson.dumps(rows), level=1)).decode(),
        "onError": on_error,
    }


def unpacked(arguments: Mapping[str, Any]) -> tuple[list[Row], OnError]:
    """Return rows and error policy of a job, also of one that waits since rows were not packed."""
    on_error = OnError(arguments["onError"])
    if "rows" in arguments:
        return arguments["rows"], on_error
    return orjson.loads(zlib.decompress(b64decode(arguments["packed"]))), on_error
