"""Words and limits of upserts; pure, no I/O."""

from enum import StrEnum
from typing import Final

from resolvers.core.bulk import OnError, RowResult

__all__ = ["MAX_AT_ONCE", "MAX_ROWS", "OnError", "RowResult", "Upsert"]

MAX_AT_ONCE: Final = 1_000
"""Most rows that are written while the request waits; more are a job."""
MAX_ROWS: Final = 100_000
"""Most rows of one upsert."""


class Upsert(StrEnum):
    """What is upserted: the kinds of its jobs."""

    PRODUCTS = "upsert-products"
    PARTNERS = "upsert-partners"
    STOCK_LEVELS = "upsert-stock-levels"
