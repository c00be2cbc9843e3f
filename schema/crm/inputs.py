"""Filters and orders of opportunities and activities."""

import strawberry

from resolvers.crm.reads import activities, opportunities
from schema.core.connection import DateRange, order_input
from schema.crm.enums import ActivityKind, OpportunityStage


@strawberry.input(description="Which opportunities to list; all conditions must hold.")
class OpportunityFilter:
    """Filter of `opportunities`."""

    stages: list[OpportunityStage] | None = strawberry.field(default=None, description="This far.")
    partner_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="With these partners."
    )
    expected_close: DateRange | None = strawberry.field(
        default=None, description="To be decided in this range of dates."
    )


@strawberry.input(description="Which activities to list; all conditions must hold.")
class ActivityFilter:
    """Filter of `activities`."""

    kinds: list[ActivityKind] | None = strawberry.field(default=None, description="Of these kinds.")
    done: bool | None = strawberry.field(
        default=None, description="True for those that are done, false for those still to do."
    )
    due_on: DateRange | None = strawberry.field(
        default=None, description="To be done in this range of dates."
    )


OpportunityOrderBy = order_input(
    "Opportunity", opportunities, {"EXPECTED_CLOSE": "By the day a decision is expected."}
)
ActivityOrderBy = order_input("Activity", activities, {"DUE_ON": "By the day they are due."})
