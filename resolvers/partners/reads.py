"""Lists of partners."""

from resolvers.core.listing import Equals, Flag, Listing, Search
from resolvers.partners.loaders import partner

_columns = partner.columns

partners = Listing(
    name="partners",
    entity=partner,
    orders={"NAME": ("name",), "ID": ()},
    default_order="NAME",
    filters={
        "search": Search(_columns["search"]),
        "code": Equals(_columns["code"]),
        "is_customer": Flag(_columns["is_customer"], ~_columns["is_customer"]),
        "is_supplier": Flag(_columns["is_supplier"], ~_columns["is_supplier"]),
        "include_archived": Flag(None, _columns["archived_at"].is_(None)),
    },
    defaults={"include_archived": False},
)
