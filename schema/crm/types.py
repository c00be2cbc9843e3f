"""Opportunities and activities."""

from datetime import date, datetime

from resolvers.crm.loaders import (
    activities_by_opportunity,
    activity,
    opportunity,
    opportunity_by_id,
)
from resolvers.identity.loaders import user_by_id
from resolvers.partners.loaders import partner_by_id
from schema.core.fields import ID, Money, RowType, column, money, node_id, related
from schema.core.node import Node, node_type
from schema.core.scalars import CurrencyCode
from schema.crm.enums import ActivityKind, OpportunityStage
from schema.identity.types import User
from schema.partners.types import Partner


@node_type(activity, "Something to be done about an opportunity.", requires="crm.read")
class Activity(RowType, Node):
    """A row of `activity`."""

    id: ID = node_id("Activity")
    kind: ActivityKind = column("What it is.")
    summary: str = column("What is to be done.")
    due_on: date = column("Day it is due.")
    done_at: datetime | None = column("When it was done; null while it is not.")
    owner: User | None = related("Who does it.", user_by_id, "owner_id", requires="users.read")
    opportunity: "Opportunity" = related(
        "Opportunity it is about.", opportunity_by_id, "opportunity_id"
    )


@node_type(opportunity, "What may become an order.", requires="crm.read")
class Opportunity(RowType, Node):
    """A row of `opportunity`."""

    id: ID = node_id("Opportunity")
    number: str = column("Number, unique in the company.")
    title: str = column("What it is about.")
    stage: OpportunityStage = column("How far it is.")
    probability: int = column("How likely it is to be won, in percent.")
    currency: CurrencyCode = column("Currency of the expected revenue.")
    expected_revenue: Money = money("What it would bring.", "expected_revenue")
    expected_close: date = column("Day a decision is expected.")
    lost_reason: str | None = column("Why it was lost.")
    version: int = column("Counter of changes; send it back as the expected version of an edit.")
    created_at: datetime = column("When it was entered.")
    partner: Partner = related("Who may order.", partner_by_id, "partner_id")
    owner: User | None = related(
        "Who looks after it.", user_by_id, "owner_id", requires="users.read"
    )
    activities: list[Activity] = related(
        "What is done about it, by the day it is due.", activities_by_opportunity, "id", size=3
    )
