"""Lists of opportunities and activities."""

from resolvers.core.listing import Between, Flag, Listing, OneOf
from resolvers.crm.loaders import activity, opportunity

_opportunity = opportunity.columns
_activity = activity.columns

opportunities = Listing(
    name="opportunities",
    entity=opportunity,
    orders={"EXPECTED_CLOSE": ("expected_close",)},
    default_order="EXPECTED_CLOSE",
    filters={
        "stages": OneOf(_opportunity["stage"]),
        "partner_ids": OneOf(_opportunity["partner_id"], "Partner"),
        "expected_close": Between(_opportunity["expected_close"]),
    },
    where=(_opportunity["archived_at"].is_(None),),
)
activities = Listing(
    name="activities",
    entity=activity,
    orders={"DUE_ON": ("due_on",)},
    default_order="DUE_ON",
    filters={
        "kinds": OneOf(_activity["kind"]),
        "done": Flag(_activity["done_at"].is_not(None), _activity["done_at"].is_(None)),
        "due_on": Between(_activity["due_on"]),
    },
)
