"""Opportunities and activities as readers know them, and how to get to them."""

from resolvers.core.entity import entity
from resolvers.core.relation import by_key, children
from resolvers.crm.tables import activity as activity_table
from resolvers.crm.tables import opportunity as opportunity_table

opportunity = entity("Opportunity", opportunity_table)
activity = entity("Activity", activity_table)

opportunity_by_id = by_key(opportunity)
activities_by_opportunity = children(
    activity, "opportunity_id", order=("opportunity_id", "due_on", "id")
)
