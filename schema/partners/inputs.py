"""Filters and orders of partners."""

import strawberry

from resolvers.partners.reads import partners
from schema.core.connection import order_input


@strawberry.input(description="Which partners to list; all conditions must hold.")
class PartnerFilter:
    """Filter of `partners`."""

    search: str | None = strawberry.field(
        default=None,
        description="Words that begin words of the code, name, e-mail or tax number.",
    )
    code: str | None = strawberry.field(default=None, description="Exact code.")
    is_customer: bool | None = strawberry.field(default=None, description="Customers, or not.")
    is_supplier: bool | None = strawberry.field(default=None, description="Suppliers, or not.")
    include_archived: bool | None = strawberry.field(
        default=None, description="Also list archived partners; default false."
    )


PartnerOrderBy = order_input("Partner", partners, {"NAME": "By name.", "ID": "In order of entry."})
