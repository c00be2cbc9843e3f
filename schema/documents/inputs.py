"""Filters of documents and extractions."""

import strawberry

from schema.documents.enums import DocumentKind, ExtractionState


@strawberry.input(description="Which documents to list; all conditions must hold.")
class DocumentFilter:
    """Filter of `documents`."""

    kinds: list[DocumentKind] | None = strawberry.field(
        default=None, description="Of one of these kinds."
    )


@strawberry.input(description="Which extractions to list; all conditions must hold.")
class ExtractionFilter:
    """Filter of `extractions`."""

    states: list[ExtractionState] | None = strawberry.field(default=None, description="This far.")
    supplier_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of bills of these suppliers."
    )
