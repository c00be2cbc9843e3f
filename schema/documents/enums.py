"""Words of documents as GraphQL enums."""

from resolvers.documents.rules import DocumentKind, ExtractionState
from schema.core.enums import describe_enum

__all__ = ["DocumentKind", "ExtractionState"]

describe_enum(
    DocumentKind,
    "What a document is.",
    {
        "BILL": "A bill of a supplier.",
        "INVOICE": "An invoice to a customer.",
        "LABEL": "A shipping label.",
        "OTHER": "Anything else.",
    },
)
describe_enum(
    ExtractionState,
    "How far reading a document is.",
    {
        "QUEUED": "Waiting to be read.",
        "RUNNING": "Being read.",
        "VALID": "Read, and everything agrees.",
        "NEEDS_REVIEW": "Read, and a person has to look at the issues.",
        "NEEDS_OCR": "A picture without text; it cannot be read as it is.",
        "FAILED": "Could not be read.",
        "ACCEPTED": "Became a bill.",
        "REJECTED": "Put aside by a person.",
    },
)
