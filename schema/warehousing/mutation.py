"""Mutations of transfers and counts."""

from datetime import date
from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.core.document import Asked
from resolvers.inventory.loaders import level_by_id, move_by_id
from resolvers.sales.loaders import order_by_id
from resolvers.warehousing.commands import (
    Counted,
    NewCount,
    NewTransfer,
    TransferLine,
    TransferReceipt,
    cancel_count,
    cancel_transfer,
    post_count,
    receive_transfer,
    record_count,
    start_count,
    transfer_stock,
)
from resolvers.warehousing.loaders import count_by_id, transfer_by_id
from schema.core.fields import argument, column, listed, related
from schema.core.ids import decode_id
from schema.core.payload import ExpectedVersion, IdempotencyKey, Payload, UserError, mutation
from schema.inventory.types import StockLevel, StockMove
from schema.sales.types import SalesOrder
from schema.warehousing.inputs import CountedLineInput, TransferLineInput, TransferReceiptInput
from schema.warehousing.types import StockCount, StockTransfer


@strawberry.type(description="What left for another warehouse or went back, or why it was refused.")
class TransferStockPayload(Payload):
    """Outcome of `transfer_stock` and `cancel_transfer` of `resolvers.warehousing.commands`."""

    transfer: StockTransfer | None = related(
        "The transfer as it is now; null when there is none.", transfer_by_id, "transfer_id"
    )
    moves: list[StockMove] = listed(
        "Entries made in the stock ledger: which lots moved, and from where to where.",
        move_by_id,
        "move_ids",
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


@strawberry.type(description="What came of a transfer, or why it was refused.")
class ReceiveTransferPayload(Payload):
    """Outcome of `resolvers.warehousing.commands.receive_transfer`."""

    transfer: StockTransfer | None = related(
        "The transfer as it is now; null when there is no such transfer.", transfer_by_id, "id"
    )
    moves: list[StockMove] = listed(
        "Entries made in the stock ledger, in the order of the lines.", move_by_id, "move_ids"
    )
    reserved_orders: list[SalesOrder] = listed(
        "Sales orders that waited for the goods and got some of them.", order_by_id, "reserved_ids"
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


@strawberry.type(description="What was done with a count, or why it was refused.")
class StockCountPayload(Payload):
    """Outcome of commands on a count that leave stock as it is."""

    count: StockCount | None = related(
        "The count as it is now; null when there is no such count.", count_by_id, "id"
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


@strawberry.type(description="How stock was corrected by a count, or why it was refused.")
class PostStockCountPayload(Payload):
    """Outcome of `resolvers.warehousing.commands.post_count`."""

    count: StockCount | None = related(
        "The count as it is now; null when there is no such count.", count_by_id, "id"
    )
    moves: list[StockMove] = listed(
        "Entries made in the stock ledger: one for each line with a difference.",
        move_by_id,
        "move_ids",
    )
    levels: list[StockLevel] = listed(
        "The stock levels concerned, as they are now.", level_by_id, "level_ids"
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


TransferId = Annotated[strawberry.ID, argument("Id of the transfer.")]
CountId = Annotated[strawberry.ID, argument("Id of the count.")]


def _transfer(id_: strawberry.ID, expected_version: int | None) -> Asked:
    return Asked(decode_id(id_, "StockTransfer", path=("id",)), expected_version)


def _count(id_: strawberry.ID, expected_version: int | None) -> Asked:
    return Asked(decode_id(id_, "StockCount", path=("id",)), expected_version)


def _trimmed(text: str | None) -> str | None:
    return None if text is None else text.strip()


@strawberry.type
class Mutation:
    """Root fields of this module."""

    @mutation(
        "Let goods leave a warehouse for another, all lines or none. Only what is promised to "
        "nobody can go; on its way it is incoming where it goes to.",
        requires="stock.transfer",
    )
    async def transfer_stock(
        context: Context,
        idempotency_key: IdempotencyKey,
        from_warehouse_id: Annotated[strawberry.ID, argument("Warehouse the goods leave.")],
        to_warehouse_id: Annotated[strawberry.ID, argument("Warehouse the goods go to.")],
        lines: Annotated[list[TransferLineInput], argument("What is carried, 1 to 200 lines.")],
        *,
        expected_on: Annotated[
            date | None, argument("Date the goods are to be there; null: today.")
        ] = None,
    ) -> TransferStockPayload | None:
        """Run the command."""
        new = NewTransfer(
            decode_id(from_warehouse_id, "Warehouse", path=("fromWarehouseId",)),
            decode_id(to_warehouse_id, "Warehouse", path=("toWarehouseId",)),
            [
                TransferLine(line.sku, line.qty, _trimmed(line.lot_number), line.uom)
                for line in lines
            ],
            expected_on,
        )
        return TransferStockPayload.done(**await transfer_stock(context, idempotency_key, new))

    @mutation(
        "Take in what came of a transfer: everything, or the lines given. Sales orders that wait "
        "for the goods get them at once.",
        requires="stock.transfer",
    )
    async def receive_transfer(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: TransferId,
        lines: Annotated[
            list[TransferReceiptInput] | None,
            argument("What came, 1 to 200 lines; null: all that is on its way."),
        ] = None,
        *,
        expected_version: ExpectedVersion = None,
    ) -> ReceiveTransferPayload | None:
        """Run the command."""
        transfer = _transfer(id, expected_version)
        came = None
        if lines is not None:
            came = [
                TransferReceipt(
                    decode_id(
                        line.transfer_line_id,
                        "StockTransferLine",
                        path=("lines", str(position), "transferLineId"),
                    ),
                    line.qty,
                    line.uom,
                )
                for position, line in enumerate(lines)
            ]
        return ReceiveTransferPayload.done(
            **await receive_transfer(context, idempotency_key, transfer, came)
        )

    @mutation(
        "Let what is on its way of a transfer go back to the warehouse it left. What came stays.",
        requires="stock.transfer",
    )
    async def cancel_transfer(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: TransferId,
        expected_version: ExpectedVersion = None,
    ) -> TransferStockPayload | None:
        """Run the command."""
        return TransferStockPayload.done(
            **await cancel_transfer(context, idempotency_key, _transfer(id, expected_version))
        )

    @mutation(
        "Begin to count a warehouse, or some products or locations of it: one line for each "
        "product, location and lot that there is stock of, 1,000 at most. Work goes on meanwhile.",
        requires="stock.count",
    )
    async def start_stock_count(
        context: Context,
        idempotency_key: IdempotencyKey,
        warehouse_id: Annotated[strawberry.ID, argument("Warehouse to count.")],
        *,
        skus: Annotated[
            list[str] | None, argument("Only these products; null: all that are there.")
        ] = None,
        location_ids: Annotated[
            list[strawberry.ID] | None, argument("Only at these locations; null: at all.")
        ] = None,
        note: Annotated[str | None, argument("A note, 1 to 200 characters.")] = None,
    ) -> StockCountPayload | None:
        """Run the command."""
        warehouse = decode_id(warehouse_id, "Warehouse", path=("warehouseId",))
        places = None
        if location_ids is not None:
            places = [
                decode_id(id_, "StockLocation", path=("locationIds", str(position)))
                for position, id_ in enumerate(location_ids)
            ]
        new = NewCount(warehouse, skus, places, _trimmed(note))
        return StockCountPayload.done(**await start_count(context, idempotency_key, new))

    @mutation(
        "Enter what was found of lines of a count. Entered again it replaces what was entered "
        "before.",
        requires="stock.count",
    )
    async def record_stock_count(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: CountId,
        lines: Annotated[list[CountedLineInput], argument("What was found, 1 to 200 lines.")],
        expected_version: ExpectedVersion = None,
    ) -> StockCountPayload | None:
        """Run the command."""
        count = _count(id, expected_version)
        found = [
            Counted(
                decode_id(line.line_id, "StockCountLine", path=("lines", str(position), "lineId")),
                line.counted_qty,
                line.again,
                line.uom,
            )
            for position, line in enumerate(lines)
        ]
        return StockCountPayload.done(**await record_count(context, idempotency_key, count, found))

    @mutation(
        "Correct stock by what was counted, all of it or nothing. Lines whose goods moved since "
        "are refused (CONFLICT_VERSION): count them again. What was not counted is left.",
        requires="stock.adjust",
    )
    async def post_stock_count(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: CountId,
        expected_version: ExpectedVersion = None,
    ) -> PostStockCountPayload | None:
        """Run the command."""
        return PostStockCountPayload.done(
            **await post_count(context, idempotency_key, _count(id, expected_version))
        )

    @mutation("Give up a count; stock stays as it is.", requires="stock.count")
    async def cancel_stock_count(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: CountId,
        expected_version: ExpectedVersion = None,
    ) -> StockCountPayload | None:
        """Run the command."""
        return StockCountPayload.done(
            **await cancel_count(context, idempotency_key, _count(id, expected_version))
        )
