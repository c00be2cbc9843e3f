"""Mutations of stock."""

import re
from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.core.errors import Invalid
from resolvers.inventory.commands import adjust_stock
from resolvers.inventory.loaders import level_by_id, move_by_id
from resolvers.inventory.rules import AdjustmentLine
from schema.core.fields import argument, column, listed
from schema.core.ids import decode_id
from schema.core.payload import Payload, UserError, mutation
from schema.inventory.inputs import StockAdjustmentInput
from schema.inventory.types import StockLevel, StockMove

_VERSION = re.compile("[0-9]{1,19}")


@strawberry.type(description="What adjustStock did, or why it was refused.")
class AdjustStockPayload(Payload):
    """Outcome of `resolvers.inventory.commands.adjust_stock`."""

    moves: list[StockMove] = listed(
        "Entries made in the stock ledger, in the order of the lines; none for a right count.",
        move_by_id,
        "move_ids",
    )
    levels: list[StockLevel] = listed(
        "The stock levels concerned, as they are now.", level_by_id, "level_ids"
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


@strawberry.type
class Mutation:
    """Root fields of this module."""

    @mutation(
        "Correct stock at locations, all lines or none. Sent again with the same idempotencyKey it "
        "changes nothing and returns the same moves.",
        requires="stock.adjust",
    )
    async def adjust_stock(
        context: Context,
        idempotency_key: Annotated[
            str, argument("Yours, 1 to 200 characters: one per correction, the same to try again.")
        ],
        lines: Annotated[list[StockAdjustmentInput], argument("The corrections, 1 to 200.")],
    ) -> AdjustStockPayload | None:
        """Run the command."""
        asked = [_line(position, line) for position, line in enumerate(lines)]
        return AdjustStockPayload.done(**await adjust_stock(context, idempotency_key, asked))


def _line(position: int, line: StockAdjustmentInput) -> AdjustmentLine:
    at = ("lines", str(position))
    version = line.expected_version
    if version is not None and not _VERSION.fullmatch(version):
        raise Invalid(
            "expectedVersion is not a version; take it from the stock level.",
            path=(*at, "expectedVersion"),
        )
    return AdjustmentLine(
        sku=line.sku,
        location_id=decode_id(line.location_id, "StockLocation", path=(*at, "locationId")),
        reason=line.reason,
        delta=line.delta,
        counted=line.counted_qty,
        expected_version=None if version is None else int(version),
        lot_number=line.lot_number,
        uom=line.uom,
    )
