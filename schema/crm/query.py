"""Root fields of opportunities."""

import strawberry

from resolvers.crm.reads import activities, opportunities
from schema.core.connection import Connection, connection
from schema.crm.inputs import (
    ActivityFilter,
    ActivityOrderBy,
    OpportunityFilter,
    OpportunityOrderBy,
)
from schema.crm.types import Activity, Opportunity


@strawberry.type
class Query:
    """Root fields of this module."""

    opportunities: Connection[Opportunity] | None = connection(
        "The company's opportunities, those to be decided first before others.",
        opportunities,
        filter_input=OpportunityFilter,
        order=OpportunityOrderBy,
        requires="crm.read",
    )
    activities: Connection[Activity] | None = connection(
        "What is to be done about them, by the day it is due.",
        activities,
        filter_input=ActivityFilter,
        order=ActivityOrderBy,
        requires="crm.read",
    )
