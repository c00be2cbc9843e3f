"""The subscription to whatever changes."""

from typing import Annotated

import strawberry

from resolvers.changes.events import TOPICS, WORDS, ChangesInterest, thing_of
from resolvers.changes.rules import as_one, denied
from resolvers.core.context import Context
from resolvers.core.errors import Forbidden, Invalid
from resolvers.core.stream import Told
from schema.changes.enums import ChangeTopic
from schema.changes.types import Change, text_of
from schema.core.fields import RowType, argument
from schema.core.kinds import kind_of
from schema.core.stream import Stream, stream


@strawberry.type
class Subscription:
    """Root fields of this module."""

    @stream(
        "Changes of all that you ask for, in one order: what an integration follows. Each topic "
        "requires the permission to read what it is of; an API client bound to a partner is told "
        "of its own orders and shipments.",
        item=Change,
    )
    def changes(
        context: Context,
        of: Annotated[list[ChangeTopic], argument("What to be told of, at least one.")],
    ) -> Stream:
        """Tell each change of the topics."""
        if not of:
            raise Invalid("Name at least one topic.", path=("of",))
        refused = denied(context.principal, of)
        if refused:
            raise Forbidden(
                f"You may not be told of {', '.join(refused)}.",
                path=("of",),
                details={"topics": ", ".join(refused)},
            )
        return Stream(
            topics=tuple(TOPICS[topic] for topic in ChangeTopic if topic in of),
            interest=ChangesInterest(context.principal.partner_id),
            tell=_change,
            key=thing_of,
        )


def _change(told: Told, interest: ChangesInterest) -> RowType:
    del interest
    event = told.last
    payload = as_one(told.first.payload, event.payload, told.number)
    row = {
        "event_id": event.event_id,
        "seq": str(event.seq),
        "at": event.created_at,
        "topic": WORDS[event.topic],
        "entity": event.entity,
        "kind": kind_of(event.entity),
        "key": event.entity_id,
        "cause": payload.get("cause"),
        "document": payload.get("document"),
        "coalesced": told.number,
        "payload": [
            {"name": name, "value": text_of(value)} for name, value in sorted(payload.items())
        ],
    }
    wrapped: RowType = Change.of(row)
    return wrapped
