"""Words and rules of documents and of what is read in them; pure, no I/O."""

from enum import StrEnum
from typing import Final

LARGEST_FILE: Final = 25 * 1024 * 1024
"""Most bytes that a file may have."""


class DocumentKind(StrEnum):
    """What a document is."""

    BILL = "BILL"
    INVOICE = "INVOICE"
    LABEL = "LABEL"
    OTHER = "OTHER"


class ExtractionState(StrEnum):
    """How far reading a document is."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    VALID = "VALID"
    NEEDS_REVIEW = "NEEDS_REVIEW"
    NEEDS_OCR = "NEEDS_OCR"
    FAILED = "FAILED"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
