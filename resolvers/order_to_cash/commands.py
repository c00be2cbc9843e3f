"""Verbs of sales orders that several modules have a say in: one function per command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

from resolvers.accounting.commands import check_credit
from resolvers.catalog.commands import Entered, in_stock_units, unit_asked
from resolvers.catalog.loaders import product as product_entity
from resolvers.core.amounts import converted, line_amounts
from resolvers.core.command import CommandRefused, Outcome, run_command
from resolvers.core.context import Context
from resolvers.core.document import Asked
from resolvers.core.errors import (
    Archived,
    CreditLimit,
    Duplicate,
    ErpError,
    Invalid,
    InvalidTransition,
    NotFound,
    shown,
)
from resolvers.core.quantities import check_quantity
from resolvers.core.table import as_given
from resolvers.core.transaction import Transaction
from resolvers.identity.loaders import company as company_entity
from resolvers.inventory.commands import Held, lock_hold
from resolvers.inventory.loaders import warehouse as warehouse_entity
from resolvers.partners.loaders import address as address_entity
from resolvers.partners.loaders import partner as partner_entity
from resolvers.partners.loaders import terms as terms_entity
from resolvers.pricing.loaders import price_by_product, price_list
from resolvers.reference.commands import SALE, digits_of, rates_on, tax_on
from resolvers.sales.commands import (
    BACKORDER,
    CONFIRM,
    SINGLE_WAREHOUSE_FIRST,
    Policy,
    Strategy,
    change_order,
    hold_for_credit,
    insert_order,
    lock_order,
    order_of_reference,
    source_order,
    write_confirmed,
)

MAX_LINES: Final = 400
"""Most lines of an order that is placed."""
MAX_TEXT: Final = 100
"""Most characters of a reference or a channel."""


@dataclass(frozen=True, slots=True)
class OrderLine:
    """So much of a product that is ordered, in the unit ``uom`` or that of the product."""

    sku: str
    quantity: Decimal
    uom: str | None = None


@dataclass(frozen=True, slots=True)
class NewOrder:
    """What is ordered, by whom, and where it goes; what is None is found out."""

    partner_id: int
    lines: Sequence[OrderLine]
    warehouse_id: int | None = None
    ship_to_id: int | None = None
    channel: str = "API"
    customer_ref: str | None = None
    external_ref: str | None = None
    requested_on: date | None = None
    valid_until: date | None = None
    """Last day of a quote."""
    sourcing: Strategy = SINGLE_WAREHOUSE_FIRST
    """How it is chosen where lines leave from, where no warehouse is given."""
    policy: Policy = BACKORDER
    """What becomes of what there is not enough stock for."""
    hold_id: int | None = None
    """Stock that is held for it."""


async def place_order(
    context: Context, key: str, new: NewOrder, *, confirm: bool, quote: bool = False
) -> Outcome:
    """Take an order at today's prices and taxes, and with ``confirm`` accept it at once.

    Over the customer's credit it is placed, and put on hold instead of being confirmed. A ``quote``
    is only offered: it can be confirmed at these prices until it ends. Returns the order's ``id``
    and ``shortages``: the lines that wait for stock.

    Raises:
        CommandRefused: the customer, a product, the warehouse or the address is unknown or
            archived, the customer is blocked, a quantity is 0, or there is such an order already.

    """
    _check(new, context.clock().date())
    if new.hold_id is not None and not confirm:
        message = "Only an order that is confirmed at once takes over what is held."
        raise CommandRefused([Invalid(message, path=("input", "holdId"))])

    async def body(connection: Transaction) -> Outcome:
        held = None
        if new.hold_id is not None:
            asked = Asked(new.hold_id, at=("input", "holdId"))
            held = await lock_hold(connection, asked, new.partner_id)
        terms = await _terms(connection, new.partner_id)
        home = (await connection.execute(_home(context.principal.company_id))).one()
        places = await _places(connection, new)
        currency = terms.list_currency or home.currency
        # shared locks: nobody archives a product or the customer until the order is there
        products = await _products(connection, new.lines)
        measured = await in_stock_units(
            connection,
            [
                Entered(
                    products[line.sku].id,
                    line.quantity,
                    line.uom,
                    ("input", "lines", str(position)),
                )
                for position, line in enumerate(new.lines)
            ],
        )
        # prices, and the quantities they hold from, are those of the products' units
        stocked = replace(
            new,
            lines=[
                replace(line, quantity=one.quantity)
                for line, one in zip(new.lines, measured, strict=True)
            ],
        )
        lines = await _priced(context, connection, stocked, products, home=home, currency=currency)
        abroad = places.country not in (None, home.country)
        tax = await tax_on(connection, context.clock().date(), SALE, abroad=abroad)
        digits = await digits_of(connection, currency)
        rates = await rates_on(connection, context.clock().date(), home.currency, [currency])
        if currency not in rates:
            refusal = Invalid(
                f"There is no exchange rate from {currency} to {home.currency}.",
                path=("partnerId",),
            )
            raise CommandRefused([refusal])
        for line, one in zip(lines, measured, strict=True):
            line.update(one.entered)
            amounts = line_amounts(
                line["quantity"],
                line["unit_price"],
                tax_kind=None if tax is None else tax.kind,
                tax_rate=Decimal(0) if tax is None else tax.rate,
                digits=digits,
            )
            line["net"], line["tax"] = amounts.net, amounts.tax
            line["tax_id"] = None if tax is None else tax.id
        order_id = await insert_order(
            context,
            connection,
            {
                "partner_id": new.partner_id,
                "ship_to_id": places.ship_to_id,
                "warehouse_id": places.warehouse_id,
                "price_list_id": terms.price_list_id,
                "currency": currency,
                "fx_rate": rates[currency],
                "channel": new.channel,
                "customer_ref": new.customer_ref,
                "external_ref": new.external_ref,
                "requested_on": new.requested_on,
                "valid_until": new.valid_until,
                "fulfillment_policy": new.policy,
            },
            lines,
            quoted=quote,
        )
        if order_id is None:
            known = await order_of_reference(connection, new.channel, new.external_ref)
            duplicate = Duplicate(
                "There is an order with this reference already.", path=("input", "externalRef")
            )
            raise CommandRefused([duplicate], {} if known is None else {"id": known})
        shortages = await _accept(context, connection, new, order_id, confirm=confirm, held=held)
        return {"id": order_id, "shortages": shortages}

    return await run_command(
        context,
        operation="quoteSalesOrder" if quote else "placeSalesOrder",
        key=key,
        request={
            "partnerId": new.partner_id,
            "lines": [
                [line.sku, f"{line.quantity.normalize():f}", *unit_asked(line.uom)]
                for line in new.lines
            ],
            "warehouseId": new.warehouse_id,
            "shipToId": new.ship_to_id,
            "channel": new.channel,
            "customerRef": new.customer_ref,
            "externalRef": new.external_ref,
            "requestedOn": None if new.requested_on is None else new.requested_on.isoformat(),
            "confirm": confirm,
            # appended, so that requests without one are what they were
            **({} if new.valid_until is None else {"validUntil": new.valid_until.isoformat()}),
            **({} if new.sourcing == SINGLE_WAREHOUSE_FIRST else {"sourcing": new.sourcing}),
            **({} if new.hold_id is None else {"holdId": new.hold_id}),
            **({} if new.policy == BACKORDER else {"fulfillmentPolicy": new.policy}),
        },
        cause="RESERVATION",
        body=body,
    )


async def _accept(
    context: Context,
    connection: Transaction,
    new: NewOrder,
    order_id: int,
    *,
    confirm: bool,
    held: Held | None,
) -> list[dict[str, Any]]:
    """Choose where the lines of a new order leave from, and ``confirm`` it; return its shortages.

    Over the customer's credit it is put on hold instead, and what is held for it stays held.
    """
    strategy = new.sourcing if new.warehouse_id is None else None
    if not confirm and strategy is None:
        return []
    order = await lock_order(connection, order_id)
    if confirm and await _has_credit(context, connection, order):
        return await write_confirmed(
            context,
            connection,
            order,
            operation="placeSalesOrder",
            strategy=strategy,
            held=held,
        )
    if strategy is not None:
        await source_order(connection, order, strategy)
    if confirm:
        await hold_for_credit(context, connection, order, operation="placeSalesOrder")
    return []


async def _has_credit(context: Context, connection: Transaction, order: Any) -> bool:
    try:
        await check_credit(context, connection, order.partner_id, order.total, order.fx_rate)
    except CommandRefused as refusal:
        if not any(isinstance(error, CreditLimit) for error in refusal.errors):
            raise
        return False
    return True


def _check(new: NewOrder, today: date) -> None:
    """Refuse what is wrong by itself, before anything is read."""
    errors: list[ErpError] = []
    if new.valid_until is not None and new.valid_until < today:
        errors.append(Invalid("validUntil has passed.", path=("validUntil",)))
    if not 1 <= len(new.lines) <= MAX_LINES:
        errors.append(Invalid(f"Give 1 to {MAX_LINES} lines.", path=("input", "lines")))
    for name, text in (
        ("channel", new.channel),
        ("customerRef", new.customer_ref),
        ("externalRef", new.external_ref),
    ):
        if text is not None and not 1 <= len(text) <= MAX_TEXT:
            errors.append(
                Invalid(f"{name} must have 1 to {MAX_TEXT} characters.", path=("input", name))
            )
    for position, line in enumerate(new.lines):
        errors += check_quantity(line.quantity, ("input", "lines", str(position), "qty"))
    if errors:
        raise CommandRefused(errors)


async def _terms(connection: Transaction, partner_id: int) -> Any:
    """Lock the customer, and return the terms the company has with it; null if none."""
    partner, terms, prices = partner_entity.columns, terms_entity.columns, price_list.columns
    given = bindparam("id", partner_id, type_=as_given(partner["id"].type))
    found = await connection.execute(
        select(partner["is_customer"], partner["archived_at"])
        .where(partner["id"] == given)
        .with_for_update(read=True)
    )
    customer = found.first()
    at = ("input", "partnerId")
    if customer is None:
        raise CommandRefused([NotFound("There is no such customer.", path=at)])
    if customer.archived_at is not None:
        raise CommandRefused([Archived("The customer is archived.", path=at)])
    if not customer.is_customer:
        raise CommandRefused([Invalid("The partner is no customer.", path=at)])
    found = await connection.execute(
        select(
            func.max(prices["id"]).label("price_list_id"),
            func.max(prices["currency"]).label("list_currency"),
            func.max(terms["blocked_at"]).label("blocked_at"),
            func.max(terms["block_reason"]).label("block_reason"),
        )
        .select_from(
            terms_entity.table.outerjoin(
                price_list.table,
                (prices["id"] == terms["price_list_id"]) & prices["archived_at"].is_(None),
            )
        )
        .where(terms["partner_id"] == given)
    )
    row = found.one()
    if row.blocked_at is not None:
        refusal = InvalidTransition(
            "The customer is blocked.", path=at, details={"reason": row.block_reason or ""}
        )
        raise CommandRefused([refusal])
    return row


def _home(company_id: int) -> Any:
    company = company_entity.columns
    return select(company["currency"], company["country"]).where(company["id"] == company_id)


@dataclass(frozen=True, slots=True)
class _Places:
    warehouse_id: int
    ship_to_id: int | None
    country: str | None


async def _places(connection: Transaction, new: NewOrder) -> _Places:
    """Find the warehouse and the address: those that are given, or those that come first."""
    warehouse, address = warehouse_entity.columns, address_entity.columns
    ours = select(warehouse["id"]).where(warehouse["archived_at"].is_(None))
    if new.warehouse_id is not None:
        ours = ours.where(
            warehouse["id"]
            == bindparam("warehouse", new.warehouse_id, type_=as_given(warehouse["id"].type))
        )
    ours = ours.order_by(warehouse["priority"], warehouse["id"]).limit(1)
    warehouse_id = await connection.scalar(ours)
    if warehouse_id is None:
        refusal = NotFound("There is no such warehouse.", path=("input", "warehouseId"))
        raise CommandRefused([refusal])
    theirs = select(address["id"], address["country"]).where(
        address["partner_id"] == new.partner_id, address["archived_at"].is_(None)
    )
    if new.ship_to_id is not None:
        theirs = theirs.where(
            address["id"] == bindparam("to", new.ship_to_id, type_=as_given(address["id"].type))
        )
    found = await connection.execute(
        theirs.order_by(
            (address["kind"] == "SHIPPING").desc(), address["is_default"].desc(), address["id"]
        ).limit(1)
    )
    ship_to = found.first()
    if ship_to is None:
        if new.ship_to_id is not None:
            refusal = NotFound("The customer has no such address.", path=("input", "shipToId"))
            raise CommandRefused([refusal])
        return _Places(int(warehouse_id), None, None)
    return _Places(int(warehouse_id), ship_to.id, ship_to.country)


async def _products(connection: Transaction, lines: Sequence[OrderLine]) -> Mapping[str, Any]:
    """Lock the products of an order and return them by SKU."""
    product = product_entity.columns
    found = await connection.execute(
        select(product["id"], product["sku"], product["name"], product["uom_id"])
        .where(
            product["sku"] == any_(bindparam("skus", type_=ARRAY(Text))),
            product["archived_at"].is_(None),
        )
        .order_by(product["id"])
        .with_for_update(read=True),
        {"skus": sorted({line.sku for line in lines})},
    )
    products = {row.sku: row for row in found}
    unknown: list[ErpError] = [
        NotFound(
            f"There is no product {shown(line.sku)}.", path=("input", "lines", str(position), "sku")
        )
        for position, line in enumerate(lines)
        if line.sku not in products
    ]
    if unknown:
        raise CommandRefused(unknown)
    return products


async def _priced(
    context: Context,
    connection: Transaction,
    new: NewOrder,
    products: Mapping[str, Any],
    *,
    home: Any,
    currency: str,
) -> list[dict[str, Any]]:
    """Return the lines with the customer's prices of today, in the currency of the order."""
    rows = await price_by_product.rows(
        context.reads,
        [products[line.sku].id for line in new.lines],
        frozenset({"currency", "unit_price"}),
        {
            "on": context.clock().date(),
            "partner_id": new.partner_id,
            "quantities": [line.quantity for line in new.lines],
        },
    )
    quoted = [(Decimal(row["unit_price"]), row["currency"].strip()) for row in rows]
    foreign = sorted({code for _, code in quoted if code != currency})
    rates = (
        await rates_on(connection, context.clock().date(), home.currency, [currency, *foreign])
        if foreign
        else {}
    )
    lines, errors = [], []
    for position, (line, (price, code)) in enumerate(zip(new.lines, quoted, strict=True)):
        unit_price = converted(price, code, currency, rates)
        if unit_price is None:
            errors.append(
                Invalid(
                    f"There is no exchange rate from {code} to {currency}.",
                    path=("input", "lines", str(position), "sku"),
                )
            )
            continue
        product = products[line.sku]
        lines.append(
            {
                "product_id": product.id,
                "description": product.name,
                "uom_id": product.uom_id,
                "quantity": line.quantity,
                "unit_price": unit_price,
            }
        )
    if errors:
        raise CommandRefused(errors)
    return lines


async def confirm_order(context: Context, key: str, asked: Asked) -> Outcome:
    """Accept an order within the customer's credit: it is demand now, and gets what there is.

    Returns the order's ``id`` and ``shortages``: the lines that wait for stock.

    Raises:
        CommandRefused: there is no such order, it changed, is on hold, was confirmed before, or the
            customer would owe too much.

    """

    async def change(connection: Transaction, order: Any) -> Outcome:
        if order.valid_until is not None and order.valid_until < context.clock().date():
            ended = {"validUntil": order.valid_until.isoformat()}
            refusal = InvalidTransition("The quote has ended.", path=asked.at, details=ended)
            raise CommandRefused([refusal])
        await check_credit(context, connection, order.partner_id, order.total, order.fx_rate)
        shortages = await write_confirmed(context, connection, order, operation="confirmSalesOrder")
        return {"shortages": shortages}

    return await change_order(
        context,
        key,
        asked,
        action=CONFIRM,
        operation="confirmSalesOrder",
        cause="RESERVATION",
        change=change,
    )
