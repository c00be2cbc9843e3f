"""Mutations of purchase orders."""

from datetime import date
from decimal import Decimal
from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.core.document import Asked
from resolvers.inventory.loaders import move_by_id
from resolvers.purchasing.commands import (
    NewPurchase,
    PurchaseLine,
    ReceiveLine,
    add_landed_cost,
    approve_purchase,
    cancel_purchase,
    confirm_purchase,
    create_purchase,
    receive_order,
    run_replenishment,
    send_purchase,
)
from resolvers.purchasing.loaders import purchase_by_id, receipt_by_id
from resolvers.sales.loaders import order_by_id
from schema.core.fields import argument, column, listed, related
from schema.core.ids import decode_id
from schema.core.payload import ExpectedVersion, IdempotencyKey, Payload, UserError, mutation
from schema.inventory.types import StockMove
from schema.purchasing.inputs import PurchaseLineInput, ReceiveLineInput
from schema.purchasing.types import GoodsReceipt, PurchaseOrder
from schema.sales.types import SalesOrder


@strawberry.type(description="What was done with a purchase order, or why it was refused.")
class PurchaseOrderPayload(Payload):
    """Outcome of commands that change a purchase order and nothing besides."""

    order: PurchaseOrder | None = related(
        "The purchase order as it is now; null when there is no such order.", purchase_by_id, "id"
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


@strawberry.type(description="The orders that were written, or why that was refused.")
class RunReplenishmentPayload(Payload):
    """Outcome of `resolvers.purchasing.commands.run_replenishment`."""

    orders: list[PurchaseOrder] = listed(
        "Drafts of purchase orders: one for each supplier and warehouse, none if nothing is to be "
        "ordered.",
        purchase_by_id,
        "order_ids",
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


@strawberry.type(description="What was taken in, or why it was refused.")
class ReceiveGoodsPayload(Payload):
    """Outcome of `resolvers.purchasing.commands.receive_order`."""

    receipt: GoodsReceipt | None = related(
        "The goods receipt; null when it was refused.", receipt_by_id, "receipt_id"
    )
    moves: list[StockMove] = listed(
        "Entries made in the stock ledger, in the order of the lines.", move_by_id, "move_ids"
    )
    order: PurchaseOrder | None = related(
        "The purchase order as it is now; null when there is no such order.", purchase_by_id, "id"
    )
    reserved_orders: list[SalesOrder] = listed(
        "Sales orders that waited for the goods and got some of them.", order_by_id, "reserved_ids"
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


@strawberry.type(description="What a cost was added to, or why it was refused.")
class AddLandedCostPayload(Payload):
    """Outcome of `resolvers.purchasing.commands.add_landed_cost`."""

    receipt: GoodsReceipt | None = related(
        "The goods receipt; null when there is no such receipt.", receipt_by_id, "receipt_id"
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


OrderId = Annotated[strawberry.ID, argument("Id of the purchase order.")]


@strawberry.type
class Mutation:
    """Root fields of this module."""

    @mutation(
        "Write a purchase order at the supplier's offers, as a draft.", requires="purchasing.write"
    )
    async def create_purchase_order(
        context: Context,
        idempotency_key: IdempotencyKey,
        supplier_id: Annotated[strawberry.ID, argument("The supplier.")],
        warehouse_id: Annotated[strawberry.ID, argument("Warehouse the goods go to.")],
        lines: Annotated[list[PurchaseLineInput], argument("What is bought, 1 to 200 lines.")],
        *,
        expected_on: Annotated[
            date | None,
            argument("Date the goods are to arrive; null: as the offers say how long it takes."),
        ] = None,
    ) -> PurchaseOrderPayload | None:
        """Run the command."""
        new = NewPurchase(
            decode_id(supplier_id, "Partner", path=("supplierId",)),
            decode_id(warehouse_id, "Warehouse", path=("warehouseId",)),
            [PurchaseLine(line.sku, line.qty, line.unit_price, line.uom) for line in lines],
            expected_on,
        )
        return PurchaseOrderPayload.done(**await create_purchase(context, idempotency_key, new))

    @mutation(
        "Write drafts of purchase orders for what reorderSuggestions tells, by those offers. "
        "What is on orders that no supplier has confirmed yet is not ordered twice.",
        requires="purchasing.write",
    )
    async def run_replenishment(
        context: Context,
        idempotency_key: IdempotencyKey,
        warehouse_id: Annotated[
            strawberry.ID | None, argument("Only for this warehouse; null: for all.")
        ] = None,
    ) -> RunReplenishmentPayload | None:
        """Run the command."""
        place = None
        if warehouse_id is not None:
            place = decode_id(warehouse_id, "Warehouse", path=("warehouseId",))
        return RunReplenishmentPayload.done(
            **await run_replenishment(context, idempotency_key, place)
        )

    @mutation(
        "Send a draft of a purchase order to the supplier. Over the company's limit it waits for "
        "an approval instead.",
        requires="purchasing.write",
    )
    async def send_purchase_order(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: OrderId,
        expected_version: ExpectedVersion = None,
    ) -> PurchaseOrderPayload | None:
        """Run the command."""
        order_id = decode_id(id, "PurchaseOrder", path=("id",))
        return PurchaseOrderPayload.done(
            **await send_purchase(context, idempotency_key, Asked(order_id, expected_version))
        )

    @mutation(
        "Allow a purchase order that waits for an approval: it is sent to the supplier.",
        requires="purchasing.approve",
    )
    async def approve_purchase_order(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: OrderId,
        expected_version: ExpectedVersion = None,
    ) -> PurchaseOrderPayload | None:
        """Run the command."""
        order_id = decode_id(id, "PurchaseOrder", path=("id",))
        return PurchaseOrderPayload.done(
            **await approve_purchase(context, idempotency_key, Asked(order_id, expected_version))
        )

    @mutation(
        "Write down that the supplier accepted a purchase order; its goods are incoming then.",
        requires="purchasing.write",
    )
    async def confirm_purchase_order(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: OrderId,
        expected_version: ExpectedVersion = None,
    ) -> PurchaseOrderPayload | None:
        """Run the command."""
        order_id = decode_id(id, "PurchaseOrder", path=("id",))
        return PurchaseOrderPayload.done(
            **await confirm_purchase(context, idempotency_key, Asked(order_id, expected_version))
        )

    @mutation(
        "Give up what has not come of a purchase order. What came stays, and the order is "
        "fulfilled then.",
        requires="purchasing.write",
    )
    async def cancel_purchase_order(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: OrderId,
        expected_version: ExpectedVersion = None,
    ) -> PurchaseOrderPayload | None:
        """Run the command."""
        order_id = decode_id(id, "PurchaseOrder", path=("id",))
        return PurchaseOrderPayload.done(
            **await cancel_purchase(context, idempotency_key, Asked(order_id, expected_version))
        )

    @mutation(
        "Take in what came of a confirmed purchase order, all lines or none. Sales orders that "
        "wait for the goods get them at once, those to be delivered first before others.",
        requires="purchasing.receive",
    )
    async def receive_goods(
        context: Context,
        idempotency_key: IdempotencyKey,
        order_id: OrderId,
        lines: Annotated[list[ReceiveLineInput], argument("What came, 1 to 200 lines.")],
        *,
        delivery_note: Annotated[
            str | None, argument("Number on the supplier's delivery note, 1 to 100 characters.")
        ] = None,
        expected_version: ExpectedVersion = None,
    ) -> ReceiveGoodsPayload | None:
        """Run the command."""
        ordered = decode_id(order_id, "PurchaseOrder", path=("orderId",))
        asked = [
            ReceiveLine(
                decode_id(
                    line.purchase_order_line_id,
                    "PurchaseOrderLine",
                    path=("lines", str(position), "purchaseOrderLineId"),
                ),
                line.qty,
                Decimal(0) if line.qty_rejected is None else line.qty_rejected,
                None if line.lot_number is None else line.lot_number.strip(),
                line.expires_on,
                line.uom,
            )
            for position, line in enumerate(lines)
        ]
        return ReceiveGoodsPayload.done(
            **await receive_order(
                context,
                idempotency_key,
                Asked(ordered, expected_version, ("orderId",)),
                came=asked,
                delivery_note=None if delivery_note is None else delivery_note.strip(),
            )
        )

    @mutation(
        "Add a cost to goods that came, such as freight or customs, in the currency of the books. "
        "It is shared out by what they cost: what is still there is worth more, what has left is "
        "an expense of today.",
        requires="valuation.write",
    )
    async def add_landed_cost(
        context: Context,
        idempotency_key: IdempotencyKey,
        receipt_id: Annotated[strawberry.ID, argument("Id of the goods receipt.")],
        amount: Annotated[Decimal, argument("How much, above 0, with the currency's decimals.")],
        description: Annotated[str, argument("What for, 1 to 100 characters.")],
    ) -> AddLandedCostPayload | None:
        """Run the command."""
        id_ = decode_id(receipt_id, "GoodsReceipt", path=("receiptId",))
        return AddLandedCostPayload.done(
            **await add_landed_cost(context, idempotency_key, id_, amount, description.strip())
        )
