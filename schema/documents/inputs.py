"""Filter of extractions."""

import strawberry

from schema.documents.enums import ExtractionState


@strawberry.input(description="Which extractions to list; all conditions must hold.")
class ExtractionFilter:
    """Filter of `extractions`."""

    states: list[ExtractionState] | None = strawberry.field(default=None, description="This far.")
    supplier_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Of bills of these suppliers."
    )
