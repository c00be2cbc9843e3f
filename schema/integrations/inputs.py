"""Filter and order of contracts."""

import strawberry

from resolvers.integrations.reads import contracts
from schema.core.connection import DateRange, order_input
from schema.integrations.enums import ContractState


@strawberry.input(description="Which contracts to list; all conditions must hold.")
class ContractFilter:
    """Filter of `contracts`."""

    states: list[ContractState] | None = strawberry.field(
        default=None, description="That hold, that ended, or both."
    )
    partner_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="With these partners."
    )
    starts_on: DateRange | None = strawberry.field(
        default=None, description="Beginning in this range of dates."
    )


ContractOrderBy = order_input("Contract", contracts, {"STARTS_ON": "By their first day."})
