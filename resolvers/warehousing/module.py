"""Introduces transfers and counts to the registry."""

from resolvers.core.module import DataModule
from resolvers.warehousing.invariants import INVARIANTS
from resolvers.warehousing.tables import (
    COUNT_NUMBERS,
    INCOMING_OF_TRANSFERS,
    TRANSFER_NUMBERS,
    stock_count,
    stock_count_line,
    stock_transfer,
    stock_transfer_line,
)

MODULE = DataModule(
    name="warehousing",
    tables=(stock_transfer, stock_transfer_line, stock_count, stock_count_line),
    functions=(INCOMING_OF_TRANSFERS, TRANSFER_NUMBERS, COUNT_NUMBERS),
    invariants=INVARIANTS,
    permissions={
        "stock.transfer": "Carry stock from one warehouse to another.",
        "stock.count": "Count places; posting the differences takes stock.adjust.",
    },
)
