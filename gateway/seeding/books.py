"""The books of the demo: invoices for what left, bills for what came, payments, and the ledger.

Everything is posted by the recipes of accounting, in whole ten-thousandths, on the day it happens.
An invoice is written down when it is paid, or when the history ends.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from gateway.seeding.amounts import amount_text, half_up, line_net, percent_of, rounded
from gateway.seeding.calendar import Calendar
from gateway.seeding.companies import PAYMENT_TERMS, Company, Currency
from gateway.seeding.orders import Line, Order
from gateway.seeding.purchases import Purchase, Receipt
from gateway.seeding.rates import SCALE as RATE_SCALE
from gateway.seeding.rates import ExchangeRates
from gateway.seeding.rows import Sheet
from resolvers.accounting.posting import (
    Posting,
    customer_invoice,
    goods_moved,
    opening,
    payment_in,
    payment_out,
    vendor_bill,
)
from resolvers.accounting.rules import (
    AccountKind,
    AccountRole,
    EntrySource,
    InvoiceKind,
    Journal,
    PaymentDirection,
    PaymentMethod,
    PeriodState,
    payment_status,
)

CHART: tuple[tuple[str, str, AccountKind, AccountRole], ...] = (
    ("1000", "Bank", AccountKind.ASSET, AccountRole.BANK),
    ("1200", "Trade receivables", AccountKind.ASSET, AccountRole.RECEIVABLE),
    ("1300", "Input tax", AccountKind.ASSET, AccountRole.INPUT_TAX),
    ("2000", "Trade payables", AccountKind.LIABILITY, AccountRole.PAYABLE),
    ("2300", "Output tax", AccountKind.LIABILITY, AccountRole.OUTPUT_TAX),
    ("3000", "Capital", AccountKind.EQUITY, AccountRole.CAPITAL),
    ("4000", "Sales", AccountKind.INCOME, AccountRole.SALES),
    ("4800", "Gains from exchange rates", AccountKind.INCOME, AccountRole.EXCHANGE_GAINS),
    ("5000", "Purchases", AccountKind.EXPENSE, AccountRole.PURCHASES),
    ("6800", "Losses from exchange rates", AccountKind.EXPENSE, AccountRole.EXCHANGE_LOSSES),
    ("1400", "Inventory", AccountKind.ASSET, AccountRole.INVENTORY),
    ("2100", "Goods received, not billed", AccountKind.LIABILITY, AccountRole.GOODS_RECEIVED),
    ("5100", "Cost of goods sold", AccountKind.EXPENSE, AccountRole.COST_OF_GOODS_SOLD),
    ("5200", "Stock differences", AccountKind.EXPENSE, AccountRole.STOCK_DIFFERENCES),
    ("5300", "Price differences", AccountKind.EXPENSE, AccountRole.PRICE_DIFFERENCES),
    ("2150", "Landed costs, not billed", AccountKind.LIABILITY, AccountRole.LANDED_COSTS),
)
CAPITAL = 5_000_000 * 10_000
"""What every company began with, in its own currency."""
SUPPLIERS_WAIT = 30
"""Days until a supplier's bill is due."""
ON_TIME, LATE, PART = 0.70, 0.95, 0.98
"""Shares of invoices paid in time, or else late, or else in part only; the rest are not paid."""
LATEST = 45
PAID_IN_PART = (30, 80)
"""Percent of an invoice that somebody pays who pays a part."""
STAY_OPEN = 45
"""A period is closed so many days after its end."""
METHODS = (PaymentMethod.BANK_TRANSFER,) * 6 + (PaymentMethod.CARD, PaymentMethod.DIRECT_DEBIT)
CLERK = "user:4"


@dataclass(slots=True, eq=False)
class Invoice:
    """An invoice or a bill; amounts in ten-thousandths, ``settled`` the day it was paid."""

    id: int
    kind: InvoiceKind
    number: str
    company: Company
    partner_id: int
    order_id: int
    ref: str | None
    currency: Currency
    rate: str
    day: int
    due: int
    net: int
    tax: int
    base: int
    residual: int
    residual_base: int
    settled: int | None = None

    @property
    def total(self) -> int:
        """What is to be paid."""
        return self.net + self.tax


class Books:
    """Keeps the books of all companies, day by day."""

    def __init__(
        self,
        calendar: Calendar,
        companies: Sequence[Company],
        rates: ExchangeRates,
        rng: Random,
    ) -> None:
        self._calendar = calendar
        self._companies = companies
        self._rates = rates
        self._rng = rng
        self._accounts = {
            (company.id, role): place * len(CHART) + position
            for place, company in enumerate(companies)
            for position, (_, _, _, role) in enumerate(CHART, 1)
        }
        self._periods = {company.id: self._months(company.id) for company in companies}
        self._ids: dict[str, int] = defaultdict(int)
        self._numbers: dict[tuple[str, int, int], int] = defaultdict(int)
        self._open: dict[int, Invoice] = {}
        self._moved_at = (0, "")
        """Company and moment of goods that are to be posted, and below what they are worth."""
        self._moved_by = companies[0]
        self._values: dict[str, int] = defaultdict(int)
        self._due: dict[int, list[tuple[Invoice, int]]] = defaultdict(list)
        self._sums: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
        self.invoices = Sheet(
            "invoice",
            *("id", "company_id", "kind", "number", "partner_id", "sales_order_id"),
            *("purchase_order_id", "external_ref", "currency", "fx_rate", "invoiced_on", "due_on"),
            *("subtotal", "tax_total", "total", "total_base", "residual", "residual_base"),
            *("payment_status", "settled_on", "version", "created_at"),
        )
        self.lines = Sheet(
            "invoice_line",
            *("id", "company_id", "partner_id", "invoice_id", "position", "sales_order_line_id"),
            *("purchase_order_line_id", "product_id", "description", "currency", "quantity"),
            *("unit_price", "discount_percent", "net", "tax"),
        )
        self.payments = Sheet(
            "payment",
            *("id", "company_id", "number", "direction", "method", "partner_id", "currency"),
            *("fx_rate", "paid_on", "amount", "unallocated", "reference", "created_at"),
        )
        self.allocations = Sheet(
            "payment_allocation",
            *("id", "company_id", "partner_id", "payment_id", "invoice_id", "currency"),
            *("allocated_on", "amount", "settled_base"),
        )
        self.entries = Sheet(
            "journal_entry",
            *("id", "company_id", "number", "journal", "posted_on", "description", "source"),
            *("source_id", "posted_by", "posted_at"),
        )
        self.postings = Sheet(
            "journal_line",
            *("id", "company_id", "entry_id", "position", "account_id", "posted_on"),
            *("partner_id", "debit", "credit"),
        )
        self.balances = Sheet(
            "account_balance",
            *("company_id", "period_id", "account_id", "ends_on", "debit", "credit"),
        )

    @property
    def sheets(self) -> tuple[Sheet, ...]:
        """What is written as the days pass."""
        return (
            self.entries,
            self.postings,
            self.invoices,
            self.lines,
            self.payments,
            self.allocations,
            self.balances,
        )

    # --- masters

    def chart(self) -> Iterator[Sheet]:
        """Yield accounts and periods."""
        accounts = Sheet("account", "id", "company_id", "code", "name", "kind", "role")
        for company in self._companies:
            for code, name, kind, role in CHART:
                accounts.add(self._accounts[company.id, role], company.id, code, name, kind, role)
        yield accounts
        periods = Sheet(
            "fiscal_period", "id", "company_id", "code", "starts_on", "ends_on", "state"
        )
        for company in self._companies:
            for id_, starts, ends in self._periods[company.id]:
                state = PeriodState.CLOSED if self._is_closed(ends) else PeriodState.OPEN
                code = f"{starts:%Y-%m}"
                periods.add(id_, company.id, code, starts.isoformat(), ends.isoformat(), state)
        yield periods

    def _months(self, company_id: int) -> list[tuple[int, date, date]]:
        """Return the months of the history, with an id each."""
        months, starts = [], self._calendar.date(0).replace(day=1)
        last = self._calendar.date(self._calendar.days)
        while starts <= last:
            following = (starts + timedelta(days=32)).replace(day=1)
            months.append((starts, following - timedelta(days=1)))
            starts = following
        first = (company_id - 1) * len(months) + 1
        return [(first + place, *month) for place, month in enumerate(months)]

    def _is_closed(self, ends: date) -> bool:
        return ends + timedelta(days=STAY_OPEN) < self._calendar.date(self._calendar.days)

    # --- what happens

    def open(self) -> None:
        """Post what the companies begin with."""
        for company in self._companies:
            self._post(company, 0, Journal.GENERAL, "Capital", opening(CAPITAL), None, None)

    def shipped(self, day: int, order: Order, taken: Sequence[tuple[Line, int]]) -> None:
        """Invoice what left for an order: so much of each line."""
        account = order.account
        digits = account.currency.digits
        days = PAYMENT_TERMS[account.payment_term - 1][2]
        id_ = self._next("invoice")
        net = tax = 0
        for position, (line, quantity) in enumerate(taken, 1):
            # what is invoiced in parts comes to what the line costs, to the last cent
            whole = line_net(line.shipped, line.unit_price, line.discount, digits)
            part = line_net(line.shipped - quantity, line.unit_price, line.discount, digits)
            taxed = percent_of(whole, account.tax_percent, digits)
            taxed -= percent_of(part, account.tax_percent, digits)
            net, tax = net + whole - part, tax + taxed
            self.lines.add(
                self._next("line"),
                account.company.id,
                account.partner.id,
                id_,
                position,
                line.id,
                None,
                line.product.id,
                line.product.name,
                account.currency.code,
                amount_text(quantity),
                amount_text(line.unit_price),
                amount_text(line.discount),
                amount_text(whole - part),
                amount_text(taxed),
            )
        invoice = self._invoice(
            id_,
            InvoiceKind.CUSTOMER_INVOICE,
            account.company,
            account.partner.id,
            order.id,
            None,
            account.currency,
            day,
            days,
            net,
            tax,
        )
        self._plan(invoice, self._rng.random())

    def received(self, day: int, purchase: Purchase, receipt: Receipt) -> None:
        """Enter the supplier's bill for what came and was accepted."""
        currency = purchase.supplier.currency
        accepted = [
            (noted.line, noted.quantity - noted.rejected)
            for noted in receipt.lines
            if noted.quantity > noted.rejected
        ]
        if not accepted:
            return
        id_ = self._next("invoice")
        net = tax = received = 0
        purchase.version += 1
        for position, (line, quantity) in enumerate(accepted, 1):
            received -= purchase.worth(line, line.billed)
            line.billed += quantity
            received += purchase.worth(line, line.billed)
            asked = line_net(quantity, line.unit_price, 0, currency.digits)
            taxed = rounded(half_up(asked * line.tax, line.net), currency.digits) if line.net else 0
            net, tax = net + asked, tax + taxed
            self.lines.add(
                self._next("line"),
                purchase.company.id,
                purchase.supplier.partner.id,
                id_,
                position,
                None,
                line.id,
                line.product.id,
                line.product.name,
                currency.code,
                amount_text(quantity),
                amount_text(line.unit_price),
                "0",
                amount_text(asked),
                amount_text(taxed),
            )
        invoice = self._invoice(
            id_,
            InvoiceKind.VENDOR_BILL,
            purchase.company,
            purchase.supplier.partner.id,
            purchase.id,
            f"RE-{self._rng.randint(10**5, 10**6 - 1)}",
            currency,
            day,
            SUPPLIERS_WAIT,
            net,
            tax,
            received,
        )
        # companies pay their bills, if not always in time
        self._plan(invoice, self._rng.random() * LATE)

    def _invoice(  # noqa: PLR0917 - a row has many columns
        self,
        id_: int,
        kind: InvoiceKind,
        company: Company,
        partner_id: int,
        order_id: int,
        ref: str | None,
        currency: Currency,
        day: int,
        days: int,
        net: int,
        tax: int,
        received: int = 0,
    ) -> Invoice:
        """Number an invoice, post it, and keep it until it is paid.

        A bill is for goods that were ``received`` at that value.
        """
        rate = self._rates.rate(company.currency, currency, day)
        net_base, tax_base = (_in_books(amount, rate, company) for amount in (net, tax))
        sale = kind is InvoiceKind.CUSTOMER_INVOICE
        base = net_base + tax_base
        invoice = Invoice(
            id_,
            kind,
            self._number("INV" if sale else "BILL", company, day),
            company,
            partner_id,
            order_id,
            ref,
            currency,
            rate,
            day,
            day + days,
            net,
            tax,
            base,
            net + tax,
            base,
        )
        posted = (
            customer_invoice(net_base, tax_base)
            if sale
            else vendor_bill(net_base, tax_base, received)
        )
        self._post(
            company,
            day,
            Journal.SALES if sale else Journal.PURCHASES,
            f"{'Invoice' if sale else 'Bill'} {invoice.number}",
            posted,
            partner_id,
            (EntrySource.INVOICE, id_),
        )
        self._open[id_] = invoice
        if not invoice.total:
            self._settle(invoice, day)
        return invoice

    def _plan(self, invoice: Invoice, luck: float) -> None:
        """Decide when an invoice is paid, and how much of it."""
        rng, amount = self._rng, invoice.total
        if not amount or luck >= PART:
            return
        day = max(invoice.day + 1, invoice.due - rng.randint(0, 5))
        if luck >= ON_TIME:
            day = invoice.due + rng.randint(1, LATEST)
        if luck >= LATE:
            amount = rounded(amount * rng.randint(*PAID_IN_PART) // 100, invoice.currency.digits)
        if amount:
            self._due[self._calendar.workday(day)].append((invoice, amount))

    def evening(self, day: int) -> None:
        """Pay what is to be paid on a day: one payment for all invoices of a partner."""
        self._post_goods()
        together: dict[tuple[int, int, InvoiceKind, str], list[tuple[Invoice, int]]] = {}
        for invoice, amount in self._due.pop(day, ()):
            key = (invoice.company.id, invoice.partner_id, invoice.kind, invoice.currency.code)
            together.setdefault(key, []).append((invoice, amount))
        for paid in together.values():
            self._pay(day, paid)
        if self._calendar.date(day + 1).day == 1:
            self._close_month(day)

    def _pay(self, day: int, paid: Sequence[tuple[Invoice, int]]) -> None:
        first = paid[0][0]
        company, currency = first.company, first.currency
        rate = self._rates.rate(company.currency, currency, day)
        amount = sum(part for _, part in paid)
        came = first.kind is InvoiceKind.CUSTOMER_INVOICE
        id_ = self._next("payment")
        number = self._number("PAY", company, day)
        self.payments.add(
            id_,
            company.id,
            number,
            PaymentDirection.IN if came else PaymentDirection.OUT,
            self._rng.choice(METHODS),
            first.partner_id,
            currency.code,
            rate,
            self._calendar.iso(day),
            amount_text(amount),
            "0",
            " ".join(invoice.number for invoice, _ in paid[:3]),
            self._calendar.moment(day, 19 * 3600),
        )
        settled = 0
        for invoice, part in paid:
            base = invoice.residual_base
            if part < invoice.residual:
                share = half_up(invoice.base * part, invoice.total)
                base = min(rounded(share, company.currency.digits), base)
            settled += base
            invoice.residual -= part
            invoice.residual_base -= base
            self.allocations.add(
                self._next("allocation"),
                company.id,
                invoice.partner_id,
                id_,
                invoice.id,
                currency.code,
                self._calendar.iso(day),
                amount_text(part),
                amount_text(base),
            )
            if not invoice.residual:
                self._settle(invoice, day)
        moved = _in_books(amount, rate, company)
        self._post(
            company,
            day,
            Journal.BANK,
            f"Payment {number}",
            (payment_in if came else payment_out)(moved, settled),
            first.partner_id,
            (EntrySource.PAYMENT, id_),
        )

    def _settle(self, invoice: Invoice, day: int) -> None:
        invoice.settled = day
        self._write(self._open.pop(invoice.id))

    def leave_the_rest(self) -> None:
        """Write down all invoices that are still open when the history ends."""
        self._post_goods()
        for invoice in self._open.values():
            self._write(invoice)
        self._open.clear()

    def goods_moved(self, company: Company, moment: str, kind: str, amount: int) -> None:
        """Post what stock is worth more or less: one entry for what a company moves at once."""
        if self._moved_at != (company.id, moment):
            self._post_goods()
            self._moved_at, self._moved_by = (company.id, moment), company
        self._values[kind] += amount

    def _post_goods(self) -> None:
        """Post what was moved last."""
        if self._values:
            told = ", ".join(sorted(self._values)).replace("_", " ").title()
            day = (date.fromisoformat(self._moved_at[1][:10]) - self._calendar.first).days
            postings = goods_moved(self._values)
            self._post(self._moved_by, day, Journal.STOCK, told, postings, None, None)
        self._values.clear()
        self._moved_at = (0, "")

    # --- writing

    def _write(self, invoice: Invoice) -> None:
        calendar = self._calendar
        sale = invoice.kind is InvoiceKind.CUSTOMER_INVOICE
        status = payment_status(Decimal(invoice.total), Decimal(invoice.residual))
        self.invoices.add(
            invoice.id,
            invoice.company.id,
            invoice.kind,
            invoice.number,
            invoice.partner_id,
            invoice.order_id if sale else None,
            None if sale else invoice.order_id,
            invoice.ref,
            invoice.currency.code,
            invoice.rate,
            calendar.iso(invoice.day),
            calendar.iso(invoice.due),
            amount_text(invoice.net),
            amount_text(invoice.tax),
            amount_text(invoice.total),
            amount_text(invoice.base),
            amount_text(invoice.residual),
            amount_text(invoice.residual_base),
            status,
            None if invoice.settled is None else calendar.iso(invoice.settled),
            1,
            calendar.moment(invoice.day, 18 * 3600),
        )

    def _post(  # noqa: PLR0917 - a row has many columns
        self,
        company: Company,
        day: int,
        journal: Journal,
        description: str,
        postings: Sequence[Posting],
        partner_id: int | None,
        source: tuple[EntrySource, int] | None,
    ) -> None:
        """Write an entry with its lines, unless there is nothing to post."""
        if not postings:
            return
        entry, on = self._next("entry"), self._calendar.iso(day)
        self.entries.add(
            entry,
            company.id,
            self._number("JE", company, day),
            journal,
            on,
            description,
            *(source or (None, None)),
            CLERK,
            self._calendar.moment(day, 20 * 3600),
        )
        for position, (role, amount) in enumerate(postings, 1):
            account = self._accounts[company.id, role]
            debit, credit = max(int(amount), 0), max(-int(amount), 0)
            sums = self._sums[company.id, account]
            sums[0] += debit
            sums[1] += credit
            self.postings.add(
                self._next("posting"),
                company.id,
                entry,
                position,
                account,
                on,
                partner_id,
                amount_text(debit),
                amount_text(credit),
            )

    def _close_month(self, day: int) -> None:
        """Keep the sums of a month that is closed by the end of the history."""
        last = self._calendar.date(day)
        if not self._is_closed(last):
            return
        for company in self._companies:
            [period] = (id_ for id_, _, ends in self._periods[company.id] if ends == last)
            for account in self._accounts_of(company):
                debit, credit = self._sums[company.id, account]
                if not (debit or credit):
                    continue
                self.balances.add(
                    company.id,
                    period,
                    account,
                    last.isoformat(),
                    amount_text(debit),
                    amount_text(credit),
                )

    def _accounts_of(self, company: Company) -> Iterable[int]:
        return (self._accounts[company.id, role] for _, _, _, role in CHART)

    def _next(self, what: str) -> int:
        self._ids[what] += 1
        return self._ids[what]

    def _number(self, prefix: str, company: Company, day: int) -> str:
        year = self._calendar.date(day).year
        self._numbers[prefix, company.id, year] += 1
        return f"{prefix}-{year}-{self._numbers[prefix, company.id, year]:06d}"


def _in_books(amount: int, rate: str, company: Company) -> int:
    """Return an amount in the currency of a company's books, at a rate as it is written."""
    whole, _, part = rate.partition(".")
    exact = amount * int(whole + part.ljust(12, "0"))
    digits = company.currency.digits
    step: int = 10 ** (4 - digits)
    return half_up(exact, RATE_SCALE * step) * step
