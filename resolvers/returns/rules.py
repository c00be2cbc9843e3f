"""Words of returns; pure, no I/O."""

from enum import StrEnum


class Disposition(StrEnum):
    """What becomes of goods that came back."""

    RESTOCK = "RESTOCK"
    INSPECT = "INSPECT"
    SCRAP = "SCRAP"
