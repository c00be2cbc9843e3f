"""Purchase orders and goods receipts: priced when ordered, written when nothing more happens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

from gateway.seeding.amounts import SCALE, amount_text, goods_cost, line_net, percent_of
from gateway.seeding.calendar import Calendar
from gateway.seeding.catalog import Product
from gateway.seeding.companies import UNIT_IDS, Company, Warehouse, actor
from gateway.seeding.offers import Offer, Supplier
from gateway.seeding.rates import ExchangeRates
from gateway.seeding.rows import Sheet
from gateway.seeding.stock import Stock
from resolvers.inventory.rules import IncomingSource
from resolvers.purchasing.rules import PurchaseOrderState, bill_status, receipt_status

NOT_TAXED = frozenset({"US"})
"""Countries where goods that are sold on are bought without tax."""
NOTED = 0.85
"""Share of deliveries that come with a delivery note."""


@dataclass(slots=True, eq=False)
class PurchaseLine:
    """A line of a purchase order; amounts in ten-thousandths, ``expected`` is a day."""

    id: int
    product: Product
    slot: int
    offer: Offer
    quantity: int
    unit_price: int
    net: int
    tax: int
    expected: int
    received: int = 0
    canceled: int = 0
    billed: int = 0

    @property
    def outstanding(self) -> int:
        """What is still to come."""
        return max(0, self.quantity - self.received - self.canceled)

    @property
    def unbilled(self) -> int:
        """What is still to be billed."""
        return max(0, self.quantity - self.canceled - self.billed)


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """How much of a line arrived, and how much of that was put aside."""

    id: int
    line: PurchaseLine
    quantity: int
    rejected: int


@dataclass(slots=True, eq=False)
class Receipt:
    """What arrived in one delivery."""

    id: int
    number: str
    day: int
    posted_at: str
    note: str | None
    lines: list[ReceiptLine] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Purchase:
    """A purchase order on its way; ``version`` counts its changes."""

    id: int
    number: str
    company: Company
    warehouse: Warehouse
    supplier: Supplier
    day: int
    second: int
    expected: int
    lines: list[PurchaseLine]
    rate: str
    state: PurchaseOrderState = PurchaseOrderState.DRAFT
    version: int = 1
    supplier_ref: str | None = None
    confirmed_at: str | None = None
    receipts: list[Receipt] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Amount to pay."""
        return sum(line.net + line.tax for line in self.lines)

    def worth(self, line: PurchaseLine, quantity: int) -> int:
        """Return what so much of a line costs in the currency of the books."""
        return goods_cost(quantity, line.unit_price, self.rate, self.company.currency.digits)

    @property
    def done(self) -> bool:
        """Whether nothing is still to come."""
        return not any(line.outstanding for line in self.lines)


class PurchaseBook:
    """Opens purchase orders and receipts, and writes them down when nothing more happens."""

    def __init__(self, calendar: Calendar, rates: ExchangeRates, stock: Stock, rng: Random) -> None:
        self._calendar = calendar
        self._rates = rates
        self._stock = stock
        self._rng = rng
        self._orders = self._lines = self._receipts = self._receipt_lines = 0
        self._numbers: dict[tuple[str, int, int], int] = {}
        self.orders = Sheet(
            "purchase_order",
            "id",
            "company_id",
            "number",
            "state",
            "receipt_status",
            "bill_status",
            "partner_id",
            "warehouse_id",
            "currency",
            "fx_rate",
            "supplier_ref",
            "ordered_on",
            "expected_on",
            "subtotal",
            "tax_total",
            "total",
            "version",
            "created_at",
            "confirmed_at",
        )
        self.lines = Sheet(
            "purchase_order_line",
            "id",
            "company_id",
            "partner_id",
            "order_id",
            "position",
            "product_id",
            "supplier_sku",
            "description",
            "uom_id",
            "currency",
            "quantity",
            "unit_price",
            "net",
            "tax",
            "expected_on",
            "received",
            "canceled",
            "billed",
            "over_receipt_percent",
        )
        self.receipts = Sheet(
            "goods_receipt",
            "id",
            "company_id",
            "number",
            "order_id",
            "partner_id",
            "warehouse_id",
            "delivery_note",
            "received_on",
            "posted_at",
            "posted_by",
        )
        self.receipt_lines = Sheet(
            "goods_receipt_line",
            "id",
            "company_id",
            "partner_id",
            "receipt_id",
            "position",
            "order_line_id",
            "product_id",
            "quantity",
            "rejected",
        )

    @property
    def sheets(self) -> tuple[Sheet, ...]:
        """What is written, in the order that foreign keys need."""
        return self.orders, self.lines, self.receipts, self.receipt_lines

    def open(
        self, day: int, second: int, wanted: Sequence[tuple[int, int, Offer]], least_days: int = 0
    ) -> Purchase:
        """Make an order of slots, quantities and offers, all of one warehouse and supplier.

        It is expected after the supplier's lead time, and not before ``least_days``.
        """
        slot, _, offer = wanted[0]
        company, supplier = self._stock.company(slot), offer.supplier
        expected = self._calendar.workday(day + max(supplier.lead_days, least_days))
        percent = 0
        country = company.firm.country
        if country == supplier.partner.country.code and country not in NOT_TAXED:
            percent = company.firm.tax_percent
        self._orders += 1
        return Purchase(
            id=self._orders,
            number=self._number("PO", company, day),
            company=company,
            warehouse=self._stock.warehouse(slot),
            supplier=supplier,
            day=day,
            second=second,
            expected=expected,
            lines=[self._line(*line, percent, expected) for line in wanted],
            rate=self._rates.rate(company.currency, supplier.currency, day),
        )

    def _number(self, prefix: str, company: Company, day: int) -> str:
        year = self._calendar.date(day).year
        key = (prefix, company.id, year)
        count = self._numbers[key] = self._numbers.get(key, 0) + 1
        return f"{prefix}-{year}-{count:06d}"

    def _line(
        self, slot: int, quantity: int, offer: Offer, tax_percent: int, expected: int
    ) -> PurchaseLine:
        digits = offer.supplier.currency.digits
        price = offer.price_of(quantity)
        net = line_net(quantity, price, 0, digits)
        self._lines += 1
        return PurchaseLine(
            id=self._lines,
            product=self._stock.product(slot),
            slot=slot,
            offer=offer,
            quantity=quantity,
            unit_price=price,
            net=net,
            tax=percent_of(net, tax_percent, digits),
            expected=expected,
        )

    def open_receipt(self, day: int, purchase: Purchase) -> Receipt:
        """Make a receipt of an order; what is posted to stock now belongs to it."""
        rng = self._rng
        self._receipts += 1
        receipt = Receipt(
            id=self._receipts,
            number=self._number("GR", purchase.company, day),
            day=day,
            posted_at=self._stock.now,
            note=f"DN{rng.randint(10**6, 10**7 - 1)}" if rng.random() < NOTED else None,
        )
        purchase.receipts.append(receipt)
        return receipt

    def receive(
        self, receipt: Receipt, line: PurchaseLine, quantity: int, rejected: int
    ) -> ReceiptLine:
        """Note on a receipt how much of a line arrived."""
        self._receipt_lines += 1
        noted = ReceiptLine(self._receipt_lines, line, quantity, rejected)
        receipt.lines.append(noted)
        line.received += quantity
        return noted

    def write(self, purchase: Purchase) -> None:
        """Write an order down with its lines, totals, derived status and receipts."""
        company, supplier = purchase.company, purchase.supplier
        subtotal = tax = received = outstanding = billed = unbilled = 0
        for position, line in enumerate(purchase.lines, 1):
            subtotal += line.net
            tax += line.tax
            received += line.received
            outstanding += line.outstanding
            billed += line.billed
            unbilled += line.unbilled
            self._write_line(purchase, position, line)
        self.orders.add(
            purchase.id,
            company.id,
            purchase.number,
            purchase.state,
            receipt_status(Decimal(received), Decimal(outstanding)),
            bill_status(Decimal(billed), Decimal(unbilled)),
            supplier.partner.id,
            purchase.warehouse.id,
            supplier.currency.code,
            purchase.rate,
            purchase.supplier_ref,
            self._calendar.iso(purchase.day),
            self._calendar.iso(purchase.expected),
            amount_text(subtotal),
            amount_text(tax),
            amount_text(subtotal + tax),
            purchase.version,
            self._calendar.moment(purchase.day, purchase.second),
            purchase.confirmed_at,
        )
        for receipt in purchase.receipts:
            self._write_receipt(purchase, receipt)

    def _write_line(self, purchase: Purchase, position: int, line: PurchaseLine) -> None:
        product, supplier = line.product, purchase.supplier
        self.lines.add(
            line.id,
            purchase.company.id,
            supplier.partner.id,
            purchase.id,
            position,
            product.id,
            line.offer.sku,
            product.name,
            UNIT_IDS[product.leaf.unit],
            supplier.currency.code,
            amount_text(line.quantity),
            amount_text(line.unit_price),
            amount_text(line.net),
            amount_text(line.tax),
            self._calendar.iso(line.expected),
            amount_text(line.received),
            amount_text(line.canceled),
            amount_text(line.billed),
            amount_text(supplier.tolerance * SCALE),
        )

    def _write_receipt(self, purchase: Purchase, receipt: Receipt) -> None:
        company, supplier = purchase.company, purchase.supplier
        self.receipts.add(
            receipt.id,
            company.id,
            receipt.number,
            purchase.id,
            supplier.partner.id,
            purchase.warehouse.id,
            receipt.note,
            self._calendar.iso(receipt.day),
            receipt.posted_at,
            actor(company.id),
        )
        for position, noted in enumerate(receipt.lines, 1):
            self.receipt_lines.add(
                noted.id,
                company.id,
                supplier.partner.id,
                receipt.id,
                position,
                noted.line.id,
                noted.line.product.id,
                amount_text(noted.quantity),
                amount_text(noted.rejected),
            )

    def incoming(self, purchases: Sequence[Purchase]) -> Iterator[Sheet]:
        """Yield what is still to come of confirmed orders, some at a time."""
        sheet = Sheet(
            "incoming_stock",
            "id",
            "company_id",
            "product_id",
            "warehouse_id",
            "expected_on",
            "quantity",
            "source",
            "source_id",
        )
        number = 0
        for purchase in purchases:
            for line in purchase.lines:
                if line.outstanding:
                    number += 1
                    sheet.add(
                        number,
                        purchase.company.id,
                        line.product.id,
                        purchase.warehouse.id,
                        self._calendar.iso(line.expected),
                        amount_text(line.outstanding),
                        IncomingSource.PURCHASE_ORDER_LINE,
                        line.id,
                    )
            yield sheet
