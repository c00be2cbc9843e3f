"""Sales orders: priced when they are placed, derived states when they are written."""

from dataclasses import dataclass
from decimal import Decimal
from random import Random

from gateway.seeding.amounts import amount_text, line_net, percent_of
from gateway.seeding.calendar import Calendar
from gateway.seeding.catalog import Product
from gateway.seeding.companies import UNIT_IDS
from gateway.seeding.demand import Basket
from gateway.seeding.partners import Account
from gateway.seeding.prices import PriceBook
from gateway.seeding.rates import ExchangeRates
from gateway.seeding.rows import Sheet
from gateway.seeding.stock import Stock
from gateway.seeding.taxes import sales_tax
from resolvers.partners.rules import PartnerKind
from resolvers.sales.rules import OrderHold, OrderState, reservation_status, shipment_status

BY_HAND = 0.1
"""Share of orders that are entered by hand, whatever channel their customers use."""
REFERENCED = 0.7
"""Share of orders that name the customer's own order number."""


@dataclass(slots=True, eq=False)
class Line:
    """An order line; amounts in ten-thousandths."""

    id: int
    product: Product
    slot: int
    quantity: int
    unit_price: int
    discount: int
    net: int
    tax: int
    reserved: int = 0
    shipped: int = 0
    canceled: int = 0

    @property
    def open(self) -> int:
        """What is neither shipped nor canceled."""
        return self.quantity - self.shipped - self.canceled


@dataclass(slots=True, eq=False)
class Order:
    """An order on its way; ``version`` counts its changes."""

    id: int
    number: str
    account: Account
    day: int
    second: int
    lines: list[Line]
    channel: str
    customer_ref: str | None
    state: OrderState = OrderState.DRAFT
    hold: OrderHold | None = None
    version: int = 1
    confirmed_at: str | None = None
    requested_on: str | None = None
    promised_on: str | None = None
    planned: bool = False
    """Whether a day is set on which it ships, or ships on."""

    @property
    def complete(self) -> bool:
        """Whether all that is still to ship is reserved."""
        return all(line.reserved == line.open for line in self.lines)

    @property
    def done(self) -> bool:
        """Whether nothing is left to ship."""
        return not any(line.open for line in self.lines)


class OrderBook:
    """Opens orders and writes them down when nothing more happens to them."""

    def __init__(
        self,
        calendar: Calendar,
        prices: PriceBook,
        rates: ExchangeRates,
        stock: Stock,
        rng: Random,
    ) -> None:
        self._calendar = calendar
        self._prices = prices
        self._rates = rates
        self._stock = stock
        self._rng = rng
        self._orders = self._lines = 0
        self._numbers: dict[tuple[int, int], int] = {}
        self.orders = Sheet(
            "sales_order",
            "id",
            "company_id",
            "number",
            "state",
            "hold",
            "reservation_status",
            "shipment_status",
            "channel",
            "partner_id",
            "ship_to_id",
            "warehouse_id",
            "price_list_id",
            "currency",
            "fx_rate",
            "customer_ref",
            "external_ref",
            "placed_on",
            "requested_on",
            "promised_on",
            "subtotal",
            "tax_total",
            "total",
            "version",
            "created_at",
            "confirmed_at",
        )
        self.lines = Sheet(
            "sales_order_line",
            "id",
            "company_id",
            "partner_id",
            "order_id",
            "position",
            "product_id",
            "description",
            "uom_id",
            "currency",
            "quantity",
            "unit_price",
            "discount_percent",
            "net",
            "tax",
            "promised_on",
            "reserved",
            "shipped",
            "canceled",
            "placed_on",
            "tax_id",
            "invoiced",
            "warehouse_id",
        )

    def open(self, day: int, basket: Basket) -> Order:
        """Make an order of a basket, with a number and today's prices."""
        rng, account = self._rng, basket.account
        self._orders += 1
        firm = account.partner.kind is PartnerKind.ORGANIZATION
        return Order(
            id=self._orders,
            number=self._number(account.company.id, self._calendar.date(day).year),
            account=account,
            day=day,
            second=basket.second,
            lines=[self._line(day, basket, i) for i in range(len(basket.lines))],
            channel="MANUAL" if rng.random() < BY_HAND else account.channel,
            customer_ref=f"PO-{rng.randint(10_000, 99_999)}"
            if firm and rng.random() < REFERENCED
            else None,
        )

    def _number(self, company_id: int, year: int) -> str:
        count = self._numbers[company_id, year] = self._numbers.get((company_id, year), 0) + 1
        return f"SO-{year}-{count:06d}"

    def _line(self, day: int, basket: Basket, index: int) -> Line:
        account = basket.account
        product, quantity = basket.lines[index]
        price, discount = self._prices.price(account, product, quantity, day)
        if index in basket.terms:
            special, discount = basket.terms[index]
            price = price if special is None else special
        digits = account.currency.digits
        net = line_net(quantity, price, discount, digits)
        self._lines += 1
        return Line(
            id=self._lines,
            product=product,
            slot=self._stock.slot(product, account.warehouse),
            quantity=quantity,
            unit_price=price,
            discount=discount,
            net=net,
            tax=percent_of(net, account.tax_percent, digits),
        )

    def write(self, order: Order) -> None:
        """Write an order down with its lines, totals and derived states."""
        account = order.account
        subtotal = tax = wanted = shipped = reserved = 0
        for position, line in enumerate(order.lines, 1):
            subtotal += line.net
            tax += line.tax
            wanted += line.quantity - line.canceled
            shipped += line.shipped
            reserved += line.reserved
            self._write_line(order, position, line)
        self.orders.add(
            order.id,
            account.company.id,
            order.number,
            order.state,
            order.hold,
            reservation_status(Decimal(wanted - shipped), Decimal(reserved)),
            shipment_status(Decimal(wanted), Decimal(shipped)),
            order.channel,
            account.partner.id,
            account.ship_to,
            account.warehouse.id,
            account.price_list_id,
            account.currency.code,
            self._rates.rate(account.company.currency, account.currency, order.day),
            order.customer_ref,
            None if order.channel == "MANUAL" else f"{order.channel}-{order.id:08d}",
            self._calendar.iso(order.day),
            order.requested_on,
            order.promised_on,
            amount_text(subtotal),
            amount_text(tax),
            amount_text(subtotal + tax),
            order.version,
            self._calendar.moment(order.day, order.second),
            order.confirmed_at,
        )

    def _write_line(self, order: Order, position: int, line: Line) -> None:
        product = line.product
        self.lines.add(
            line.id,
            order.account.company.id,
            order.account.partner.id,
            order.id,
            position,
            product.id,
            product.name,
            UNIT_IDS[product.leaf.unit],
            order.account.currency.code,
            amount_text(line.quantity),
            amount_text(line.unit_price),
            amount_text(line.discount),
            amount_text(line.net),
            amount_text(line.tax),
            order.promised_on,
            amount_text(line.reserved),
            amount_text(line.shipped),
            amount_text(line.canceled),
            self._calendar.iso(order.day),
            sales_tax(order.account.company.id, at_home=order.account.at_home),
            amount_text(line.shipped),  # what leaves is invoiced the same day
            order.account.warehouse.id,
        )
