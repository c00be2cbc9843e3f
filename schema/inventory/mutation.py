"""Mutations of stock."""

import re
from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.core.document import Asked
from resolvers.core.errors import Invalid
from resolvers.inventory.commands import (
    HeldLine,
    NewHold,
    adjust_stock,
    hold_stock,
    release_stock,
)
from resolvers.inventory.loaders import hold_by_id, level_by_id, move_by_id
from resolvers.inventory.rules import AdjustmentLine
from schema.core.fields import argument, column, listed, related
from schema.core.ids import decode_id
from schema.core.payload import ExpectedVersion, IdempotencyKey, Payload, UserError, mutation
from schema.inventory.inputs import StockAdjustmentInput, StockHoldLineInput
from schema.inventory.types import StockHold, StockLevel, StockMove

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


@strawberry.type(description="What was done with a hold of stock, or why it was refused.")
class StockHoldPayload(Payload):
    """Outcome of `hold_stock` and `release_stock` of `resolvers.inventory.commands`."""

    hold: StockHold | None = related(
        "The hold as it is now; null when there is none.", hold_by_id, "id"
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

    @mutation(
        "Keep stock for somebody who is still deciding, all lines or none: nobody else is promised "
        "any of it until an order takes it over (placeSalesOrder), it is released, or time is up.",
        requires="stock.hold",
    )
    async def hold_stock(
        context: Context,
        idempotency_key: IdempotencyKey,
        lines: Annotated[list[StockHoldLineInput], argument("What to hold, 1 to 200 lines.")],
        minutes: Annotated[int, argument("For how long, 1 to 1440.")] = 10,
        *,
        reference: Annotated[
            str | None,
            argument("What you call it, such as the cart's number; 1 to 100 characters."),
        ] = None,
        partner_id: Annotated[
            strawberry.ID | None,
            argument("Customer it is for, whose orders alone can take it over; null: anybody's."),
        ] = None,
    ) -> StockHoldPayload | None:
        """Run the command."""
        customer = (
            None if partner_id is None else decode_id(partner_id, "Partner", path=("partnerId",))
        )
        new = NewHold(
            [
                HeldLine(
                    line.sku,
                    line.qty,
                    decode_id(
                        line.warehouse_id,
                        "Warehouse",
                        path=("lines", str(position), "warehouseId"),
                    ),
                )
                for position, line in enumerate(lines)
            ],
            minutes,
            None if reference is None else reference.strip(),
            customer,
        )
        return StockHoldPayload.done(**await hold_stock(context, idempotency_key, new))

    @mutation("Let go of stock that is held.", requires="stock.hold")
    async def release_stock(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Annotated[strawberry.ID, argument("Id of the hold.")],
        expected_version: ExpectedVersion = None,
    ) -> StockHoldPayload | None:
        """Run the command."""
        asked = Asked(decode_id(id, "StockHold", path=("id",)), expected_version)
        return StockHoldPayload.done(**await release_stock(context, idempotency_key, asked))


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
