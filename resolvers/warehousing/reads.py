"""Lists of transfers and counts."""

from resolvers.core.listing import Between, Listing, OneOf
from resolvers.warehousing.loaders import stock_count, stock_transfer

_transfer = stock_transfer.columns
_count = stock_count.columns

stock_transfers = Listing(
    name="stockTransfers",
    entity=stock_transfer,
    orders={"SENT_ON": ("sent_on",)},
    default_order="SENT_ON",
    default_descending=True,
    filters={
        "numbers": OneOf(_transfer["number"]),
        "states": OneOf(_transfer["state"]),
        "sent_on": Between(_transfer["sent_on"]),
        "from_warehouse_ids": OneOf(_transfer["from_warehouse_id"], "Warehouse"),
        "to_warehouse_ids": OneOf(_transfer["to_warehouse_id"], "Warehouse"),
    },
)
stock_counts = Listing(
    name="stockCounts",
    entity=stock_count,
    orders={"STARTED_ON": ("started_on",)},
    default_order="STARTED_ON",
    default_descending=True,
    filters={
        "numbers": OneOf(_count["number"]),
        "states": OneOf(_count["state"]),
        "started_on": Between(_count["started_on"]),
        "warehouse_ids": OneOf(_count["warehouse_id"], "Warehouse"),
    },
)
