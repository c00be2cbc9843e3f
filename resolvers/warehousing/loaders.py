"""Transfers and counts as readers know them, and how to get to them."""

from sqlalchemy import case

from resolvers.core.entity import entity
from resolvers.core.relation import by_key, children
from resolvers.warehousing.tables import stock_count as count_table
from resolvers.warehousing.tables import stock_count_line as count_line_table
from resolvers.warehousing.tables import stock_transfer as transfer_table
from resolvers.warehousing.tables import stock_transfer_line as transfer_line_table

_sent = transfer_line_table.c
_counted = count_line_table.c

stock_transfer = entity("StockTransfer", transfer_table)
stock_transfer_line = entity(
    "StockTransferLine",
    transfer_line_table,
    in_transit=_sent.quantity - _sent.received - _sent.returned,
)
stock_count = entity("StockCount", count_table)
stock_count_line = entity(
    "StockCountLine",
    count_line_table,
    difference=case((_counted.counted.is_not(None), _counted.counted - _counted.expected)),
)

transfer_by_id = by_key(stock_transfer)
transfer_by_number = by_key(stock_transfer, "number")
transfer_line_by_id = by_key(stock_transfer_line)
lines_by_transfer = children(stock_transfer_line, "transfer_id", order=("transfer_id", "position"))
count_by_id = by_key(stock_count)
count_by_number = by_key(stock_count, "number")
count_line_by_id = by_key(stock_count_line)
lines_by_count = children(stock_count_line, "count_id", order=("count_id", "position"))
