"""Lists of returns."""

from resolvers.core.listing import Between, Listing, OneOf
from resolvers.returns.loaders import goods_return

_return = goods_return.columns

goods_returns = Listing(
    name="goodsReturns",
    entity=goods_return,
    orders={"RECEIVED_ON": ("received_on",)},
    default_order="RECEIVED_ON",
    default_descending=True,
    filters={
        "numbers": OneOf(_return["number"]),
        "received_on": Between(_return["received_on"]),
        "partner_ids": OneOf(_return["partner_id"], "Partner"),
        "warehouse_ids": OneOf(_return["warehouse_id"], "Warehouse"),
    },
)
