"""What opportunities add to lower modules' types."""

from resolvers.crm.reads import opportunities
from schema.core.connection import Connection, connection
from schema.core.extend import extend
from schema.crm.inputs import OpportunityFilter, OpportunityOrderBy
from schema.crm.types import Opportunity
from schema.partners.types import Partner


@extend(Partner)
class PartnerOpportunities:
    """Opportunities with partners."""

    opportunities: Connection[Opportunity] | None = connection(
        "What the partner may order, those to be decided first before others.",
        opportunities,
        filter_input=OpportunityFilter,
        order=OpportunityOrderBy,
        parent="partner_id",
        requires="crm.read",
    )
