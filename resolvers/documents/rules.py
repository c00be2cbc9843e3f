"""Words of captured documents; pure, no I/O."""

from enum import StrEnum


class DocumentKind(StrEnum):
    """What a captured document is."""

    BILL = "BILL"
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
