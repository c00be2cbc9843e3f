"""The verbs of purchase orders: one function per command.

A purchase order is locked first, then the sales orders that wait for its goods, then stock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Exists, bindparam, exists, func, insert, select, true, update

from resolvers.catalog.commands import (
    AS_STOCKED,
    Entered,
    in_stock_units,
    lines_in_stock_units,
    unit_asked,
)
from resolvers.catalog.loaders import product as product_entity
from resolvers.core.amounts import PRICE_STEP, goods_cost, line_amounts
from resolvers.core.command import CommandRefused, Outcome, run_command, write_audit
from resolvers.core.context import Context
from resolvers.core.document import Asked, Change, Document, change_document, write_document
from resolvers.core.errors import (
    Archived,
    ErpError,
    Invalid,
    InvalidTransition,
    NotFound,
    OverReceipt,
    shown,
)
from resolvers.core.quantities import check_quantity
from resolvers.core.table import as_given, given_quantities
from resolvers.core.transaction import Transaction
from resolvers.identity.loaders import company as company_entity
from resolvers.inventory.commands import Arrival, Goods, prepare_landing, receive_goods
from resolvers.inventory.loaders import GOODS_RECEIPT_LINE, reorder_rule, stock_move
from resolvers.inventory.loaders import warehouse as warehouse_entity
from resolvers.partners.loaders import address as address_entity
from resolvers.partners.loaders import partner as partner_entity
from resolvers.purchasing.loaders import best_offer
from resolvers.purchasing.rules import (
    NOT_CONFIRMED,
    PurchaseAction,
    PurchaseOrderState,
    ReceiptStatus,
    bill_status,
    may_still_come,
    purchase_actions,
    receipt_status,
    to_order,
)
from resolvers.purchasing.tables import (
    goods_receipt,
    goods_receipt_line,
    landed_cost,
    purchase_order,
    purchase_order_line,
    supplier_offer,
)
from resolvers.reference.commands import PURCHASE as PURCHASE_TAX
from resolvers.reference.commands import digits_of, rates_on, tax_on
from resolvers.sales.commands import lock_stock_waited_for, lock_waiting, promise_waiting
from resolvers.valuation.commands import digits_of_books
from resolvers.valuation.loaders import valuation_entry

MAX_LINES: Final = 200
"""Most lines of one receipt."""
MAX_TEXT: Final = 100
"""Most characters of the number on a delivery note."""
LARGEST_PRICE: Final = Decimal(10) ** 12
_REPLENISHMENT: Final = 0x5E
"""Advisory lock of a company's replenishment, beside the company's id."""

PURCHASE: Final = Document("PurchaseOrder", purchase_order, "purchase order")


@dataclass(frozen=True, slots=True)
class ReceiveLine:
    """So much of an order's line that came, of which some may be put aside."""

    order_line_id: int
    quantity: Decimal
    rejected: Decimal
    lot_number: str | None = None
    expires_on: date | None = None
    uom: str | None = None
    """Unit of both quantities, if it is not the product's."""


async def change_purchase(
    context: Context,
    key: str,
    order: Asked,
    *,
    actions: Sequence[PurchaseAction],
    operation: str,
    cause: str,
    change: Change,
    request: Mapping[str, Any] | None = None,
) -> Outcome:
    """Run ``change`` on a purchase order that one of ``actions`` can be done with now.

    Raises:
        CommandRefused: there is no such order, it changed, or none of it can be done with it.

    """

    def refuse(row: Any) -> InvalidTransition | None:
        possible = purchase_actions(row.state, row.receipt_status)
        if set(actions) & set(possible):
            return None
        return InvalidTransition(
            "This cannot be done with the purchase order now.",
            path=order.at,
            details={
                "state": row.state,
                "receiptStatus": row.receipt_status,
                "availableActions": ", ".join(possible),
            },
        )

    return await change_document(
        context,
        key,
        PURCHASE,
        order,
        operation=operation,
        cause=cause,
        refuse=refuse,
        change=change,
        request=request,
    )


@dataclass(frozen=True, slots=True)
class PurchaseLine:
    """So much of a product that is bought, at the supplier's offer if there is no price.

    The price is that of one of the product's unit, whatever ``uom`` is.
    """

    sku: str
    quantity: Decimal
    unit_price: Decimal | None = None
    uom: str | None = None


@dataclass(frozen=True, slots=True)
class NewPurchase:
    """What is bought, of whom, and where it goes; what is None is found out."""

    supplier_id: int
    warehouse_id: int
    lines: Sequence[PurchaseLine]
    expected_on: date | None = None


async def create_purchase(context: Context, key: str, new: NewPurchase) -> Outcome:
    """Write a purchase order at the supplier's offers of today, as a draft.

    Returns the order's ``id``.

    Raises:
        CommandRefused: the supplier, the warehouse or a product is unknown or archived, or there is
            neither an offer nor a price.

    """
    errors: list[ErpError] = []
    if not 1 <= len(new.lines) <= MAX_LINES:
        errors.append(Invalid(f"Give 1 to {MAX_LINES} lines.", path=("lines",)))
    for position, line in enumerate(new.lines):
        at = ("lines", str(position))
        errors += check_quantity(line.quantity, (*at, "qty"))
        price = line.unit_price
        if price is not None and not (
            0 <= price < LARGEST_PRICE and price == price.quantize(PRICE_STEP)
        ):
            message = f"unitPrice must be 0 to below {LARGEST_PRICE:f} with at most 6 decimals."
            errors.append(Invalid(message, path=(*at, "unitPrice")))
    if new.expected_on is not None and new.expected_on < context.clock().date():
        errors.append(Invalid("expectedOn has passed.", path=("expectedOn",)))
    if errors:
        raise CommandRefused(errors)

    async def body(connection: Transaction) -> Outcome:
        await _check_supplier(connection, new.supplier_id)
        await _check_warehouse(connection, new.warehouse_id)
        products = await _products(connection, new.lines)
        measured = await in_stock_units(
            connection,
            [
                Entered(products[line.sku].id, line.quantity, line.uom, ("lines", str(position)))
                for position, line in enumerate(new.lines)
            ],
        )
        stocked = replace(
            new,
            lines=[
                replace(line, quantity=one.quantity)
                for line, one in zip(new.lines, measured, strict=True)
            ],
        )
        offers = await _offers(connection, stocked, products)
        missing: list[ErpError] = [
            Invalid(
                "The supplier offers no such quantity; give a price.",
                path=("lines", str(position), "unitPrice"),
            )
            for position, line in enumerate(new.lines)
            if line.unit_price is None and offers[position] is None
        ]
        if missing:
            raise CommandRefused(missing)
        wanted = [
            Bought(
                products[line.sku].id,
                line.quantity,
                offer.price if line.unit_price is None else line.unit_price,
                None if offer is None else offer.currency.strip(),
                None if offer is None else offer.supplier_sku,
                0 if offer is None else offer.lead_days,
                one.entered,
            )
            for line, offer, one in zip(stocked.lines, offers, measured, strict=True)
        ]
        order_id = await _insert_purchase(
            context,
            connection,
            new.supplier_id,
            new.warehouse_id,
            wanted,
            expected_on=new.expected_on,
            operation="createPurchaseOrder",
        )
        return {"id": order_id}

    return await run_command(
        context,
        operation="createPurchaseOrder",
        key=key,
        request={
            "supplierId": new.supplier_id,
            "warehouseId": new.warehouse_id,
            "lines": [
                [
                    line.sku,
                    f"{line.quantity.normalize():f}",
                    None if line.unit_price is None else f"{line.unit_price.normalize():f}",
                    *unit_asked(line.uom),
                ]
                for line in new.lines
            ],
            "expectedOn": None if new.expected_on is None else new.expected_on.isoformat(),
        },
        cause="PURCHASE",
        body=body,
    )


async def run_replenishment(context: Context, key: str, warehouse_id: int | None) -> Outcome:
    """Write drafts of purchase orders for what is to be ordered again: one per supplier and place.

    What is on orders that are not confirmed yet is not ordered twice. Returns the ``order_ids``.

    Raises:
        CommandRefused: there is no such warehouse.

    """

    async def body(connection: Transaction) -> Outcome:
        if warehouse_id is not None:
            await _check_warehouse(connection, warehouse_id)
        # one at a time: what the one before wrote is to be seen
        await connection.execute(
            select(func.pg_advisory_xact_lock(_REPLENISHMENT, context.principal.company_id))
        )
        found = await connection.execute(_suggestions(warehouse_id))
        wanted: dict[tuple[int, int, str], list[Bought]] = {}
        for row in found:
            quantity_ = to_order(
                row.suggested_quantity, row.asked_for, row.multiple, row.min_quantity
            )
            if quantity_ > 0:
                place = (row.partner_id, row.warehouse_id, row.currency.strip())
                wanted.setdefault(place, []).append(
                    Bought(
                        row.product_id,
                        quantity_,
                        row.price,
                        row.currency.strip(),
                        row.supplier_sku,
                        row.lead_days,
                        AS_STOCKED,
                    )
                )
        order_ids = [
            await _insert_purchase(
                context,
                connection,
                supplier_id,
                place_id,
                lines[first : first + MAX_LINES],
                expected_on=None,
                operation="runReplenishment",
            )
            for (supplier_id, place_id, _), lines in sorted(wanted.items())
            for first in range(0, len(lines), MAX_LINES)
        ]
        return {"order_ids": order_ids}

    return await run_command(
        context,
        operation="runReplenishment",
        key=key,
        request={"warehouseId": warehouse_id},
        cause="PURCHASE",
        body=body,
    )


def _suggestions(warehouse_id: int | None) -> Any:
    """Find what is to be ordered again, by which offer, and what is asked for already."""
    rule, line, order, offer = (
        reorder_rule.columns,
        purchase_order_line.c,
        purchase_order.c,
        supplier_offer.c,
    )
    asked_for = (
        select(func.coalesce(func.sum(line.quantity - line.canceled), 0))
        .join(purchase_order, order.id == line.order_id)
        .where(
            line.product_id == rule["product_id"],
            order.warehouse_id == rule["warehouse_id"],
            order.state.in_(NOT_CONFIRMED),
        )
        .scalar_subquery()
    )
    found = (
        select(
            rule["product_id"],
            rule["warehouse_id"],
            rule["multiple"],
            rule["suggested_quantity"].label("suggested_quantity"),
            asked_for.label("asked_for"),
            offer.partner_id,
            offer.min_quantity,
            offer.price,
            offer.currency,
            offer.supplier_sku,
            offer.lead_days,
        )
        .select_from(
            reorder_rule.table.join(best_offer, true()).join(
                supplier_offer, offer.id == best_offer.c.id
            )
        )
        .where(rule["archived_at"].is_(None), rule["suggested_quantity"] > 0)
        .order_by(rule["id"])
    )
    return found if warehouse_id is None else found.where(rule["warehouse_id"] == warehouse_id)


async def send_purchase(context: Context, key: str, asked: Asked) -> Outcome:
    """Send a draft to the supplier; over the company's limit it waits for an approval instead.

    Raises:
        CommandRefused: there is no such order, it changed, or is no draft.

    """

    async def change(connection: Transaction, order: Any) -> Outcome:
        company = company_entity.columns
        limit = await connection.scalar(
            select(company["purchase_approval_from"]).where(company["id"] == order.company_id)
        )
        waits = limit is not None and order.total * order.fx_rate >= limit
        state = PurchaseOrderState.TO_APPROVE if waits else PurchaseOrderState.SENT
        await _write_order(
            context,
            connection,
            order,
            {"state": state},
            operation="sendPurchaseOrder",
            action="send",
        )
        return {}

    return await change_purchase(
        context,
        key,
        asked,
        actions=[PurchaseAction.SEND],
        operation="sendPurchaseOrder",
        cause="PURCHASE",
        change=change,
    )


async def approve_purchase(context: Context, key: str, asked: Asked) -> Outcome:
    """Allow so much to be spent: the order is sent to the supplier.

    Raises:
        CommandRefused: there is no such order, it changed, or waits for no approval.

    """

    async def change(connection: Transaction, order: Any) -> Outcome:
        await _write_order(
            context,
            connection,
            order,
            {"state": PurchaseOrderState.SENT},
            operation="approvePurchaseOrder",
            action="approve",
        )
        return {}

    return await change_purchase(
        context,
        key,
        asked,
        actions=[PurchaseAction.APPROVE],
        operation="approvePurchaseOrder",
        cause="PURCHASE",
        change=change,
    )


async def confirm_purchase(context: Context, key: str, asked: Asked) -> Outcome:
    """Write down that the supplier accepted an order: its goods are on their way from now on.

    Raises:
        CommandRefused: there is no such order, it changed, or it was not sent.

    """

    async def change(connection: Transaction, order: Any) -> Outcome:
        values = {"state": PurchaseOrderState.CONFIRMED, "confirmed_at": context.clock()}
        await _write_order(
            context,
            connection,
            order,
            values,
            operation="confirmPurchaseOrder",
            action="confirm",
        )
        return {}

    return await change_purchase(
        context,
        key,
        asked,
        actions=[PurchaseAction.CONFIRM],
        operation="confirmPurchaseOrder",
        cause="PURCHASE",
        change=change,
    )


async def cancel_purchase(context: Context, key: str, asked: Asked) -> Outcome:
    """Give up what has not come of a purchase order; what came stays, and it is fulfilled then.

    Raises:
        CommandRefused: there is no such order, it changed, or nothing is still to come.

    """

    async def change(connection: Transaction, order: Any) -> Outcome:
        line = purchase_order_line.c
        await connection.execute(
            update(purchase_order_line)
            .where(line.order_id == order.id)
            .values(canceled=func.greatest(line.quantity - line.received, 0))
        )
        came = order.receipt_status != ReceiptStatus.NONE
        state = PurchaseOrderState.FULFILLED if came else PurchaseOrderState.CANCELED
        await _write_order(
            context,
            connection,
            order,
            {"state": state, **await _statuses(connection, order)},
            operation="cancelPurchaseOrder",
            action="cancel",
        )
        return {}

    return await change_purchase(
        context,
        key,
        asked,
        actions=[PurchaseAction.CANCEL, PurchaseAction.CLOSE],
        operation="cancelPurchaseOrder",
        cause="PURCHASE",
        change=change,
    )


async def receive_order(
    context: Context,
    key: str,
    asked: Asked,
    *,
    came: Sequence[ReceiveLine],
    delivery_note: str | None,
) -> Outcome:
    """Take in what came of a confirmed purchase order, and promise it to orders that wait for it.

    Returns the order's ``id``, the ``receipt_id``, the ``move_ids`` of the stock ledger and the
    ``reserved_ids`` of the sales orders that got something of it.

    Raises:
        CommandRefused: there is no such order, it changed, is not on its way, more came than is
            tolerated, or a lot is wrong.

    """
    _check(came, delivery_note)

    async def change(connection: Transaction, order: Any) -> Outcome:
        rows = await _order_lines(connection, order)
        lines = await lines_in_stock_units(
            connection,
            came,
            lambda line: getattr(rows.get(line.order_line_id), "product_id", None),
            {"quantity": "qty", "rejected": "qtyRejected"},
        )
        _refuse_more(lines, rows)
        product_ids = sorted({rows[line.order_line_id].product_id for line in lines})
        waiting = await lock_waiting(connection, order.warehouse_id, product_ids)
        arrivals = [
            Arrival(
                rows[line.order_line_id].product_id,
                line.quantity,
                line.rejected,
                line.lot_number,
                line.expires_on,
                position,
            )
            for position, line in enumerate(lines)
        ]
        landing = await prepare_landing(context, connection, order.warehouse_id, arrivals)
        receipt_id, line_ids = await _write_receipt(
            context, connection, order, lines, rows=rows, delivery_note=delivery_note
        )
        digits = await digits_of_books(context, connection)
        received = {id_: row.received for id_, row in rows.items()}
        goods = []
        for line, one, lot_id, line_id in zip(
            lines, arrivals, landing.lot_ids, line_ids, strict=True
        ):
            for place, part in (
                (landing.location_id, one.quantity - one.rejected),
                (landing.aside_id, one.rejected),
            ):
                if part and place is not None:
                    before, row = received[line.order_line_id], rows[line.order_line_id]
                    received[line.order_line_id] = before + part
                    # as differences, so that parts cost what all of it does, to the last cent
                    cost = goods_cost(before + part, row.unit_price, order.fx_rate, digits)
                    cost -= goods_cost(before, row.unit_price, order.fx_rate, digits)
                    goods.append(Goods(one.product_id, place, part, lot_id, line_id, cost))
        await lock_stock_waited_for(connection, waiting, order.warehouse_id, product_ids)
        move_ids = await receive_goods(context, connection, key, goods, source=GOODS_RECEIPT_LINE)
        reserved_ids = await promise_waiting(
            context,
            connection,
            waiting,
            order.warehouse_id,
            product_ids,
            operation="receiveGoods",
        )
        await _write_received(context, connection, order, lines)
        return {"receipt_id": receipt_id, "move_ids": move_ids, "reserved_ids": reserved_ids}

    return await change_purchase(
        context,
        key,
        asked,
        actions=[PurchaseAction.RECEIVE],
        operation="receiveGoods",
        cause="RECEIPT",
        change=change,
        request={
            "lines": [
                [
                    line.order_line_id,
                    f"{line.quantity.normalize():f}",
                    f"{line.rejected.normalize():f}",
                    line.lot_number,
                    None if line.expires_on is None else line.expires_on.isoformat(),
                    *unit_asked(line.uom),
                ]
                for line in came
            ],
            "deliveryNote": delivery_note,
        },
    )


@dataclass(frozen=True, slots=True)
class Bought:
    """A line of an order to a supplier; without an offer there is no currency of its own."""

    product_id: int
    quantity: Decimal
    unit_price: Decimal
    currency: str | None
    supplier_sku: str | None
    lead_days: int
    entered: Mapping[str, Any]


async def _check_supplier(connection: Transaction, supplier_id: int) -> None:
    """Lock the supplier, so that nobody archives it until the order is there."""
    partner = partner_entity.columns
    given = bindparam("id", supplier_id, type_=as_given(partner["id"].type))
    found = await connection.execute(
        select(partner["is_supplier"], partner["archived_at"])
        .where(partner["id"] == given)
        .with_for_update(read=True)
    )
    supplier = found.first()
    at = ("supplierId",)
    if supplier is None:
        raise CommandRefused([NotFound("There is no such supplier.", path=at)])
    if supplier.archived_at is not None:
        raise CommandRefused([Archived("The supplier is archived.", path=at)])
    if not supplier.is_supplier:
        raise CommandRefused([Invalid("The partner is no supplier.", path=at)])


async def _check_warehouse(connection: Transaction, warehouse_id: int) -> None:
    warehouse = warehouse_entity.columns
    given = bindparam("id", warehouse_id, type_=as_given(warehouse["id"].type))
    found = await connection.scalar(
        select(warehouse["id"]).where(warehouse["id"] == given, warehouse["archived_at"].is_(None))
    )
    if found is None:
        raise CommandRefused([NotFound("There is no such warehouse.", path=("warehouseId",))])


async def _products(connection: Transaction, lines: Sequence[PurchaseLine]) -> Mapping[str, Any]:
    """Lock the products of an order, and return them by SKU."""
    product = product_entity.columns
    found = await connection.execute(
        select(product["id"], product["sku"])
        .where(
            product["sku"].in_(sorted({line.sku for line in lines})),
            product["archived_at"].is_(None),
        )
        .order_by(product["id"])
        .with_for_update(read=True)
    )
    products = {row.sku: row for row in found}
    unknown: list[ErpError] = [
        NotFound(f"There is no product {shown(line.sku)}.", path=("lines", str(position), "sku"))
        for position, line in enumerate(lines)
        if line.sku not in products
    ]
    if unknown:
        raise CommandRefused(unknown)
    return products


async def _offers(
    connection: Transaction, new: NewPurchase, products: Mapping[str, Any]
) -> list[Any]:
    """Return of each line the supplier's offer for so much, the one for the most that holds."""
    offer = supplier_offer.c
    found = await connection.execute(
        select(supplier_offer)
        .where(
            offer.partner_id == new.supplier_id,
            offer.product_id.in_(sorted({row.id for row in products.values()})),
            offer.archived_at.is_(None),
        )
        .order_by(offer.min_quantity)
    )
    by_product: dict[int, list[Any]] = {}
    for row in found:
        by_product.setdefault(row.product_id, []).append(row)
    return [
        next(
            (
                one
                for one in reversed(by_product.get(products[line.sku].id, []))
                if one.min_quantity <= line.quantity
            ),
            None,
        )
        for line in new.lines
    ]


async def _insert_purchase(
    context: Context,
    connection: Transaction,
    supplier_id: int,
    warehouse_id: int,
    lines: Sequence[Bought],
    *,
    expected_on: date | None,
    operation: str,
) -> int:
    """Write a draft with its lines, and return its id.

    It is in the currency of the offers, that of the company where there are none.
    """
    today, company_id = context.clock().date(), context.principal.company_id
    company = company_entity.columns
    home = (
        await connection.execute(
            select(company["currency"], company["country"]).where(company["id"] == company_id)
        )
    ).one()
    currencies = sorted({line.currency for line in lines if line.currency is not None})
    if len(currencies) > 1:
        raise CommandRefused(
            [Invalid(f"The offers are in {', '.join(currencies)}; order apart.", path=("lines",))]
        )
    currency = currencies[0] if currencies else home.currency.strip()
    rates = await rates_on(connection, today, home.currency.strip(), [currency])
    if currency not in rates:
        message = f"There is no exchange rate from {currency} to {home.currency}."
        raise CommandRefused([Invalid(message, path=("lines",))])
    address = address_entity.columns
    country = await connection.scalar(
        select(address["country"])
        .where(address["partner_id"] == supplier_id, address["archived_at"].is_(None))
        .order_by(address["is_default"].desc(), address["id"])
        .limit(1)
    )
    tax = await tax_on(connection, today, PURCHASE_TAX, abroad=country not in {None, home.country})
    digits = await digits_of(connection, currency)
    product = product_entity.columns
    named = await connection.execute(
        select(product["id"], product["name"], product["uom_id"]).where(
            product["id"].in_(sorted({line.product_id for line in lines}))
        )
    )
    products = {row.id: row for row in named}
    amounts = [
        line_amounts(
            line.quantity,
            line.unit_price,
            tax_kind=None if tax is None else tax.kind,
            tax_rate=Decimal(0) if tax is None else tax.rate,
            digits=digits,
        )
        for line in lines
    ]
    subtotal = sum((one.net for one in amounts), Decimal(0))
    tax_total = sum((one.tax for one in amounts), Decimal(0))
    expected = [expected_on or today + timedelta(days=line.lead_days) for line in lines]
    owner = {"company_id": company_id, "partner_id": supplier_id, "currency": currency}
    made = await connection.execute(
        insert(purchase_order)
        .values(
            **owner,
            number=f"PO-{today.year}-",  # completed with the id
            warehouse_id=warehouse_id,
            fx_rate=rates[currency],
            ordered_on=today,
            expected_on=max(expected),
            subtotal=subtotal,
            tax_total=tax_total,
            total=subtotal + tax_total,
            created_at=context.clock(),
        )
        .returning(purchase_order.c.id)
    )
    order_id = int(made.scalar_one())
    await connection.execute(
        insert(purchase_order_line),
        [
            {
                **owner,
                "order_id": order_id,
                "position": position,
                "product_id": line.product_id,
                "supplier_sku": line.supplier_sku,
                "description": products[line.product_id].name,
                "uom_id": products[line.product_id].uom_id,
                "quantity": line.quantity,
                **line.entered,
                "unit_price": line.unit_price,
                "net": amount.net,
                "tax": amount.tax,
                "expected_on": day,
            }
            for position, (line, amount, day) in enumerate(
                zip(lines, amounts, expected, strict=True), start=1
            )
        ],
    )
    await write_audit(
        context,
        connection,
        operation=operation,
        action="create",
        entity="PurchaseOrder",
        changes={order_id: {"state": PurchaseOrderState.DRAFT, "lines": len(lines)}},
        versions={order_id: 1},
    )
    return order_id


async def add_landed_cost(
    context: Context, key: str, receipt_id: int, amount: Decimal, description: str
) -> Outcome:
    """Add a cost to the goods of a receipt, such as freight, in the currency of the books.

    It is shared out by what they cost. What is still there is worth more, what has left is an
    expense of today. Returns the ``receipt_id``.

    Raises:
        CommandRefused: there is no such receipt, it brought no goods, the amount is not above 0
            or has too many decimals, or the description is too short or too long.

    """
    if not 1 <= len(description) <= MAX_TEXT:
        message = f"description must have 1 to {MAX_TEXT} characters."
        raise CommandRefused([Invalid(message, path=("description",))])

    async def body(connection: Transaction) -> Outcome:
        column = goods_receipt.c
        given = bindparam("id", receipt_id, type_=as_given(column.id.type))
        found = await connection.execute(
            select(column.id, _valued_goods().label("valued")).where(column.id == given)
        )
        receipt = found.first()
        if receipt is None:
            raise CommandRefused([NotFound("There is no such receipt.", path=("receiptId",))])
        if not receipt.valued:
            message = "No goods came with this receipt that a cost could be added to."
            raise CommandRefused([InvalidTransition(message, path=("receiptId",))])
        digits = await digits_of_books(context, connection)
        step = Decimal(1).scaleb(-digits)
        if not 0 < amount < LARGEST_PRICE or amount != amount.quantize(step):
            message = f"amount must be above 0, below {LARGEST_PRICE:f}, and a multiple of {step}."
            raise CommandRefused([Invalid(message, path=("amount",))])
        now = context.clock()
        await connection.execute(
            insert(landed_cost).values(
                company_id=context.principal.company_id,
                receipt_id=receipt_id,
                amount=amount,
                description=description,
                effective_on=now.date(),
                posted_at=now,
                posted_by=context.principal.actor,
            )
        )
        await write_audit(
            context,
            connection,
            operation="addLandedCost",
            action="post",
            entity="GoodsReceipt",
            changes={receipt_id: {"landedCost": f"{amount:f}", "description": description}},
        )
        return {"receipt_id": receipt_id}

    return await run_command(
        context,
        operation="addLandedCost",
        key=key,
        request={
            "receiptId": receipt_id,
            "amount": f"{amount.normalize():f}",
            "description": description,
        },
        cause="PURCHASE",
        body=body,
    )


def _valued_goods() -> Exists:
    """Return the condition that a receipt brought goods that have a value."""
    line, move, entry = goods_receipt_line.c, stock_move.columns, valuation_entry.columns
    return (
        exists()
        .where(
            line.receipt_id == goods_receipt.c.id,
            move["source"] == GOODS_RECEIPT_LINE,
            move["source_id"] == line.id,
            entry["move_id"] == move["id"],
            entry["quantity"] > 0,
        )
        .correlate(goods_receipt)
    )


def _check(lines: Sequence[ReceiveLine], delivery_note: str | None) -> None:
    """Refuse what is wrong by itself, before anything is read."""
    errors: list[ErpError] = []
    if not 1 <= len(lines) <= MAX_LINES:
        errors.append(Invalid(f"Give 1 to {MAX_LINES} lines.", path=("lines",)))
    if delivery_note is not None and not 1 <= len(delivery_note) <= MAX_TEXT:
        errors.append(
            Invalid(f"deliveryNote must have 1 to {MAX_TEXT} characters.", path=("deliveryNote",))
        )
    for position, line in enumerate(lines):
        at = ("lines", str(position))
        wrong = check_quantity(line.quantity, (*at, "qty"))
        if not wrong and line.rejected != 0:
            wrong = check_quantity(line.rejected, (*at, "qtyRejected"))
            if not wrong and line.rejected > line.quantity:
                wrong = [Invalid("No more can be rejected than came.", path=(*at, "qtyRejected"))]
        errors += wrong
    if errors:
        raise CommandRefused(errors)


async def _order_lines(connection: Transaction, order: Any) -> dict[int, Any]:
    line = purchase_order_line.c
    found = await connection.execute(
        select(purchase_order_line).where(line.order_id == order.id).order_by(line.position)
    )
    return {row.id: row for row in found}


def _refuse_more(lines: Sequence[ReceiveLine], rows: Mapping[int, Any]) -> None:
    errors: list[ErpError] = []
    left = {
        id_: may_still_come(row.quantity, row.received, row.canceled, row.over_receipt_percent)
        for id_, row in rows.items()
    }
    for position, line in enumerate(lines):
        at = ("lines", str(position))
        if line.order_line_id not in left:
            errors.append(
                NotFound("The order has no such line.", path=(*at, "purchaseOrderLineId"))
            )
            continue
        if line.quantity > left[line.order_line_id]:
            errors.append(
                OverReceipt(
                    "More came than was ordered and is tolerated.",
                    path=(*at, "qty"),
                    details={"mayStillCome": f"{left[line.order_line_id]:f}"},
                )
            )
        left[line.order_line_id] -= line.quantity
    if errors:
        raise CommandRefused(errors)


async def _write_receipt(
    context: Context,
    connection: Transaction,
    order: Any,
    lines: Sequence[ReceiveLine],
    *,
    rows: Mapping[int, Any],
    delivery_note: str | None,
) -> tuple[int, list[int]]:
    now = context.clock()
    owner = {"company_id": order.company_id, "partner_id": order.partner_id}
    made = await connection.execute(
        insert(goods_receipt)
        .values(
            **owner,
            number=f"GR-{now.year}-",  # completed with the id
            order_id=order.id,
            warehouse_id=order.warehouse_id,
            delivery_note=delivery_note,
            received_on=now.date(),
            posted_at=now,
            posted_by=context.principal.actor,
        )
        .returning(goods_receipt.c.id)
    )
    receipt_id = int(made.scalar_one())
    written = await connection.execute(
        insert(goods_receipt_line).returning(goods_receipt_line.c.id, sort_by_parameter_order=True),
        [
            {
                **owner,
                "receipt_id": receipt_id,
                "position": position,
                "order_line_id": line.order_line_id,
                "product_id": rows[line.order_line_id].product_id,
                "quantity": line.quantity,
                "rejected": line.rejected,
            }
            for position, line in enumerate(lines, start=1)
        ],
    )
    line_ids = [row.id for row in written]
    await write_audit(
        context,
        connection,
        operation="receiveGoods",
        action="post",
        entity="GoodsReceipt",
        changes={receipt_id: {"lines": len(line_ids)}},
    )
    return receipt_id, line_ids


async def _write_received(
    context: Context, connection: Transaction, order: Any, lines: Sequence[ReceiveLine]
) -> None:
    """Write down on the order what came of its lines, and what that makes of it."""
    sums: dict[int, Decimal] = {}
    for line in lines:
        sums[line.order_line_id] = sums.get(line.order_line_id, Decimal(0)) + line.quantity
    given = given_quantities()
    column = purchase_order_line.c
    await connection.execute(
        update(purchase_order_line)
        .where(column.id == given.c.id)
        .values(received=column.received + given.c.quantity),
        {"ids": list(sums), "given": list(sums.values())},
    )
    values = await _statuses(connection, order)
    if values["receipt_status"] is ReceiptStatus.RECEIVED:
        values["state"] = PurchaseOrderState.FULFILLED
    await _write_order(
        context,
        connection,
        order,
        values,
        operation="receiveGoods",
        action="receive",
        told={"received": {str(id_): f"{came:f}" for id_, came in sums.items()}},
    )


async def _statuses(connection: Transaction, order: Any) -> dict[str, Any]:
    """Derive how much of an order has come and was billed, from its lines."""
    line = purchase_order_line.c
    still = func.greatest
    sums = (
        await connection.execute(
            select(
                func.sum(line.received).label("received"),
                func.sum(still(line.quantity - line.received - line.canceled, 0)).label("rest"),
                func.sum(line.billed).label("billed"),
                func.sum(still(line.quantity - line.canceled - line.billed, 0)).label("unbilled"),
            ).where(line.order_id == order.id)
        )
    ).one()
    return {
        "receipt_status": receipt_status(sums.received, sums.rest),
        "bill_status": bill_status(sums.billed, sums.unbilled),
    }


async def _write_order(
    context: Context,
    connection: Transaction,
    order: Any,
    values: Mapping[str, Any],
    *,
    operation: str,
    action: str,
    told: Mapping[str, Any] | None = None,
) -> None:
    """Change a locked order to ``values``, count its version, and leave the trail."""
    await write_document(
        context,
        connection,
        PURCHASE,
        order,
        values,
        operation=operation,
        action=action,
        told=told,
    )
