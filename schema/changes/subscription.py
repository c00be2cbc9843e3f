"""The subscription to whatever changes."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from resolvers.changes.events import TOPICS, WORDS, ChangesInterest, is_undone, thing_of
from resolvers.changes.rules import as_one, denied
from resolvers.core.context import Context
from resolvers.core.errors import Forbidden, Invalid
from resolvers.core.stream import Told
from schema.changes.enums import ChangeTopic
from schema.changes.types import (
    NOTHING,
    Change,
    ChangeGap,
    ChangeStreamItem,
    ChangeStreamNotice,
    text_of,
)
from schema.core.fields import RowType, argument
from schema.core.kinds import kind_of
from schema.core.stream import SnapshotReason, Stream, stream


@strawberry.type
class Subscription:
    """Root fields of this module."""

    @stream(
        "Changes of all that you ask for, in one order: what an integration follows. Each topic "
        "requires the permission to read what it is of; an API client bound to a partner is told "
        "of its own orders and shipments.",
        item=ChangeStreamItem,
        snapshot=True,
        notices=True,
        shown_by={
            "stockLevels": (TOPICS[ChangeTopic.STOCK], "availability.read"),
            "salesOrders": (TOPICS[ChangeTopic.ORDER_STATUS], "sales.read"),
            "shipments": (TOPICS[ChangeTopic.SHIPMENT_WORK], "shipments.read"),
            "jobs": (TOPICS[ChangeTopic.JOB], "operations.read"),
        },
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
        topics = tuple(topic for topic in ChangeTopic if topic in of)
        return Stream(
            topics=tuple(TOPICS[topic] for topic in topics),
            interest=ChangesInterest(topics, context.principal.partner_id),
            tell=_change,
            key=thing_of,
            is_undone=is_undone,
            snapshot=_gap,
            notice=_notice,
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
        "reason": None,
        "document": payload.get("document"),
        "coalesced": told.number,
        "payload": [
            {"name": name, "value": text_of(value)} for name, value in sorted(payload.items())
        ],
    }
    wrapped: RowType = Change.of(row)
    return wrapped


async def _gap(
    interest: ChangesInterest, place: str, reason: SnapshotReason, context: Context
) -> Any:
    # nothing is read of it but what the log holds at this moment
    page = await context.log.read(
        company_id=context.principal.company_id, topics=(), after=0, until=0
    )
    return ChangeGap.of(
        {
            **NOTHING,
            "seq": place,
            "at": context.clock(),
            "reason": reason,
            "topics": list(interest.topics),
            "kept_after": str(page.oldest - 1),
        }
    )


def _notice(row: Mapping[str, Any]) -> RowType:
    wrapped: RowType = ChangeStreamNotice.of({**NOTHING, **row, "reason": row["code"]})
    return wrapped
