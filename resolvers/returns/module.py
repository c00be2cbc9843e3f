"""Introduces returns to the registry."""

from resolvers.core.module import DataModule
from resolvers.returns.invariants import INVARIANTS
from resolvers.returns.tables import RETURN_NUMBERS, goods_return, goods_return_line

MODULE = DataModule(
    name="returns",
    tables=(goods_return, goods_return_line),
    functions=(RETURN_NUMBERS,),
    invariants=INVARIANTS,
    permissions={
        "returns.read": "See what customers sent back.",
        "returns.write": "Take back what customers send back.",
    },
)
