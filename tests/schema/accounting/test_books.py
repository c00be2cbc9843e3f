"""Invoices, payments and the ledger as clients see them, against SQL written by hand."""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from schema.core.ids import encode_id
from tests.fixtures.gateway import principal
from tests.fixtures.paths import BothPaths

AS_OF = "2026-03-31"

CUSTOMER = """
query CustomerAccount($id: ID!) {
  partner(id: $id) {
    name code taxId
    terms { creditLimit }
    receivables {
      open { amount currency } overdue { amount } ordered { amount }
      aging { current { amount currency } d1to30 { amount } d31to60 { amount } d61to90 { amount }
              over90 { amount } }
      creditLimit { amount } available { amount }
    }
    invoices(first: 25, filter: { paymentStatus: [NOT_PAID, PARTIAL] }) {
      totalCount
      nodes {
        number invoicedOn dueOn total { amount } residual { amount }
        payments { amount { amount } payment { number method reference } }
        salesOrder { number }
      }
    }
    payments(first: 10) {
      nodes {
        number paidOn amount { amount } unallocated { amount }
        allocations { invoice { number } amount { amount } }
      }
    }
    orders(first: 5, filter: { states: [CONFIRMED] }) {
      nodes { number total { amount } shipmentStatus }
    }
    addresses { kind line1 city country }
  }
}
"""

OWED = """
select coalesce(sum(total - paid) * 1, 0)::numeric(20, 4)::text from (
  select i.total_base as total, coalesce(sum(a.settled_base), 0) as paid from invoice i
  left join payment_allocation a on a.invoice_id = i.id
  where i.company_id = 1 and i.partner_id = $1 and i.kind = 'CUSTOMER_INVOICE' and {}
  group by i.id
) x
"""


async def busiest(reader: BothPaths, limit: int = 5) -> list[int]:
    """Return customers with the most open invoices."""
    return await reader.ids(
        "select partner_id from invoice where company_id = 1 and kind = 'CUSTOMER_INVOICE'"
        f" and residual > 0 group by 1 order by count(*) desc, 1 limit {limit}"
    )


async def test_customer_page(reader: BothPaths) -> None:
    """What a customer owes, and why, takes thirteen statements at most, and is what SQL finds."""
    for partner_id in await busiest(reader):
        data = await reader.data(CUSTOMER, {"id": encode_id("Partner", partner_id)})
        assert reader.compiled.statements <= 13
        partner = data["partner"]
        owed = partner["receivables"]
        assert owed["open"]["amount"] == await reader.owner.fetchval(
            OWED.format("true"), partner_id
        )
        today = await reader.owner.fetchval("select current_date")
        overdue = OWED.format(f"i.due_on < '{today}'")
        assert Decimal(owed["overdue"]["amount"]) == Decimal(
            await reader.owner.fetchval(overdue, partner_id)
        )
        ages = {
            "current": "i.due_on >= $2",
            "d1to30": "i.due_on between $2::date - 30 and $2::date - 1",
            "d31to60": "i.due_on between $2::date - 60 and $2::date - 31",
            "d61to90": "i.due_on between $2::date - 90 and $2::date - 61",
            "over90": "i.due_on < $2::date - 90",
        }
        for age, condition in ages.items():
            by_hand = await reader.owner.fetchval(OWED.format(condition), partner_id, today)
            assert Decimal(owed["aging"][age]["amount"]) == Decimal(by_hand), age
        rows = await reader.owner.fetch(
            "select i.number, i.invoiced_on::text, i.due_on::text, i.total::text, i.residual::text,"
            " o.number as order from invoice i join sales_order o on o.id = i.sales_order_id"
            " where i.company_id = 1 and i.partner_id = $1 and i.payment_status <> 'PAID'"
            " order by i.invoiced_on desc, i.id desc",
            partner_id,
        )
        invoices = partner["invoices"]
        assert invoices["totalCount"] == len(rows)
        assert [
            (
                one["number"],
                one["invoicedOn"],
                one["dueOn"],
                one["total"]["amount"],
                one["residual"]["amount"],
                one["salesOrder"]["number"],
            )
            for one in invoices["nodes"]
        ] == [tuple(row) for row in rows[:25]]
        for one in invoices["nodes"]:
            paid = sum(Decimal(part["amount"]["amount"]) for part in one["payments"])
            assert Decimal(one["residual"]["amount"]) == Decimal(one["total"]["amount"]) - paid
        for one in partner["payments"]["nodes"]:
            used = sum(Decimal(part["amount"]["amount"]) for part in one["allocations"])
            assert used + Decimal(one["unallocated"]["amount"]) == Decimal(one["amount"]["amount"])


async def test_credit_left(reader: BothPaths) -> None:
    """The limit less what is owed and what is ordered; without a limit it is null."""
    query = """{ partners(first: 200) { nodes { id receivables {
      open { amount } ordered { amount } creditLimit { amount } available { amount } } } } }"""
    partners = (await reader.data(query))["partners"]["nodes"]
    assert reader.statements == 2
    limits = {
        encode_id("Partner", row["partner_id"]): row["credit_limit"]
        for row in await reader.owner.fetch(
            "select partner_id, credit_limit from partner_company where company_id = 1"
        )
    }
    some = 0
    for partner in partners:
        owed = partner["receivables"]
        limit = limits.get(partner["id"])
        if limit is None:
            assert owed["creditLimit"] is owed["available"] is None
            continue
        some += 1
        used = Decimal(owed["open"]["amount"]) + Decimal(owed["ordered"]["amount"])
        assert Decimal(owed["creditLimit"]["amount"]) == limit
        assert Decimal(owed["available"]["amount"]) == limit - used
    assert some > 10


MONTH_END = """
query MonthEnd($from: Date!, $to: Date!, $code: String!) {
  trialBalance(startsOn: $from, endsOn: $to) {
    totalDebit totalCredit balanced
    rows {
      account {
        code name kind
        lines(first: 10, filter: { postedOn: { from: $from, to: $to }, amount: { gte: "1000" } }) {
          nodes {
            debit credit partner { name }
            entry {
              number postedOn journal description
              source {
                __typename displayNumber
                ... on Invoice { kind total { amount } salesOrder { number } document { url } }
                ... on Payment { reference }
              }
            }
          }
        }
      }
      opening debit credit closing
    }
  }
  agedReceivables(asOf: $to) {
    totals { current d1to30 over90 total }
    controlBalance reconciles
    rows { partner { name } total over90 oldestDueOn }
  }
  fiscalPeriod(code: $code) { state closeChecks { code ok message count } }
}
"""


LARGE_LINES = """
select a.code, e.number, l.debit::text, l.credit::text, p.name, d.id
from account a
cross join lateral (
  select * from journal_line where account_id = a.id and company_id = 1
    and posted_on between $1::text::date and $2::text::date and debit + credit >= 1000
  order by posted_on desc, id desc limit 10) l
join journal_entry e on e.id = l.entry_id
left join partner p on p.id = l.partner_id
left join document d on d.invoice_id = e.source_id and e.source = 'INVOICE'
  and d.archived_at is null
where a.company_id = 1 order by a.code, l.posted_on desc, l.id desc
"""


@pytest.mark.parametrize(
    ("starts", "ends"),
    [("2026-03-01", AS_OF), ("2025-01-01", "2026-06-29"), ("2026-06-10", "2026-06-20")],
)
async def test_month_end(reader: BothPaths, starts: str, ends: str) -> None:
    """The trial balance with entries and documents is what SQL adds up, closed periods or not."""
    data = await reader.data(MONTH_END, {"from": starts, "to": ends, "code": ends[:7]})
    assert reader.compiled.statements <= 14
    balance = data["trialBalance"]
    rows = await reader.owner.fetch(
        """
        select a.code,
               coalesce(sum(l.debit - l.credit) filter (where l.posted_on < $1::text::date), 0),
               coalesce(sum(l.debit) filter (where l.posted_on >= $1::text::date), 0),
               coalesce(sum(l.credit) filter (where l.posted_on >= $1::text::date), 0),
               sum(l.debit - l.credit)
        from account a join journal_line l on l.account_id = a.id
        where a.company_id = 1 and l.posted_on <= $2::text::date group by a.code order by a.code
        """,
        starts,
        ends,
    )
    told = [
        (
            row["account"]["code"],
            *(Decimal(row[name]) for name in ("opening", "debit", "credit", "closing")),
        )
        for row in balance["rows"]
    ]
    assert told == [tuple(row) for row in rows]
    assert len(told) >= 8
    assert balance["balanced"] is True
    assert balance["totalDebit"] == balance["totalCredit"]
    lines = [line for row in balance["rows"] for line in row["account"]["lines"]["nodes"]]
    large = await reader.owner.fetch(LARGE_LINES, starts, ends)
    assert [
        (
            row["account"]["code"],
            line["entry"]["number"],
            line["debit"],
            line["credit"],
            (line["partner"] or {}).get("name"),
            ((line["entry"]["source"] or {}).get("document") or {}).get("url"),
        )
        for row in balance["rows"]
        for line in row["account"]["lines"]["nodes"]
    ] == [(*row[:5], row[5] and f"/downloads/{encode_id('Document', row[5])}") for row in large]
    assert any(row[5] for row in large) or ends == AS_OF, "files of March were not kept"
    assert all(Decimal(line["debit"]) + Decimal(line["credit"]) >= 1000 for line in lines)
    sources = {line["entry"]["source"]["__typename"] for line in lines if line["entry"]["source"]}
    assert sources == {"Invoice", "Payment"}
    for line in lines:
        source = line["entry"]["source"]
        if source is not None:
            assert source["displayNumber"] in line["entry"]["description"]


CHECKS = """
select p.id,
  (select count(*) from fiscal_period where company_id = 1 and code < p.code and state = 'OPEN'),
  0, 0, 0,
  (select count(*) from shipment where company_id = 1 and shipped_at is null
   and state <> 'CANCELED' and planned_on <= p.ends_on),
  (select count(*) from goods_receipt g where company_id = 1
   and to_char(received_on, 'YYYY-MM') = p.code and (
     select coalesce(min(invoiced_on), 'infinity') from invoice
     where purchase_order_id = g.order_id) > p.ends_on),
  0, 0
from fiscal_period p where company_id = 1 order by p.code
"""
PERIODS = (
    """{ fiscalPeriods(first: 200) { nodes { code closeChecks { code ok message count } } } }"""
)
CODES = [
    "EARLIER_PERIODS_CLOSED",
    "ENTRIES_BALANCE",
    "RECEIVABLES_RECONCILE",
    "PAYABLES_RECONCILE",
    "SHIPMENTS_LEFT",
    "RECEIPTS_BILLED",
    "NUMBERS_WITHOUT_GAPS",
    "INVENTORY_RECONCILES",
]


async def test_close_checks(reader: BothPaths) -> None:
    """What is in the way of closing each period is what SQL by hand counts, in two statements."""
    data = await reader.data(PERIODS)
    assert reader.statements == 2
    told = sorted(data["fiscalPeriods"]["nodes"], key=lambda period: str(period["code"]))
    by_hand = await reader.owner.fetch(CHECKS)
    assert len(told) == len(by_hand) >= 12
    for period, expected in zip(told, by_hand, strict=True):
        checks = period["closeChecks"]
        assert [check["code"] for check in checks] == CODES
        assert [check["count"] for check in checks] == list(expected)[1:]
        assert all(check["ok"] is (check["count"] == 0) for check in checks)
        assert all(
            (check["message"] == "Nothing is in the way.") is check["ok"] for check in checks
        )
    found = {check["code"] for period in told for check in period["closeChecks"] if check["count"]}
    assert found == {"EARLIER_PERIODS_CLOSED", "SHIPMENTS_LEFT"}


@pytest.mark.parametrize(
    ("code", "break_it"),
    [
        ("ENTRIES_BALANCE", "update journal_line set debit = debit + 1 where id in ({})"),
        (
            "RECEIVABLES_RECONCILE",
            "update invoice set total_base = total_base + 1 where id in ({})",
        ),
        ("PAYABLES_RECONCILE", "update invoice set total_base = total_base + 1 where id in ({})"),
        ("INVENTORY_RECONCILES", "update valuation_entry set amount = amount + 1 where id in ({})"),
        ("RECEIPTS_BILLED", "update invoice set purchase_order_id = null where id in ({})"),
        ("NUMBERS_WITHOUT_GAPS", "update invoice set number = number || '7' where id in ({})"),
    ],
)
async def test_close_checks_find_what_is_broken(
    own_reader: BothPaths, code: str, break_it: str
) -> None:
    """Books that were changed behind the product's back are found out by the check for it."""
    kind = (
        "CUSTOMER_INVOICE"
        if code in {"RECEIVABLES_RECONCILE", "NUMBERS_WITHOUT_GAPS"}
        else ("VENDOR_BILL")
    )
    which = {
        "ENTRIES_BALANCE": "select id from journal_line where company_id = 1 and debit > 0",
        "INVENTORY_RECONCILES": "select id from valuation_entry where company_id = 1",
    }.get(code, f"select id from invoice where company_id = 1 and kind = '{kind}' and residual > 0")
    before = await counts(own_reader, code)
    await own_reader.owner.execute("set session_replication_role = replica")
    await own_reader.owner.execute(break_it.format(f"{which} order by id desc limit 1"))
    after = await counts(own_reader, code)
    assert sum(before.values()) == 0
    assert sum(after.values()) > 0


async def counts(reader: BothPaths, code: str) -> dict[str, int]:
    """Return what a check counts in each period."""
    data = await reader.data(PERIODS)
    return {
        period["code"]: check["count"]
        for period in data["fiscalPeriods"]["nodes"]
        for check in period["closeChecks"]
        if check["code"] == code
    }


async def aged_by_hand(reader: BothPaths, kind: str, day: str) -> Mapping[str, Any]:
    """Return what was open at the end of a day, by partner."""
    rows = await reader.owner.fetch(
        """
        select id, sum(open), coalesce(sum(open) filter (where due_on >= $2::text::date), 0),
               coalesce(sum(open) filter (where $2::text::date - due_on > 90), 0), min(due_on)::text
        from (
          select i.partner_id as id, i.due_on, i.total_base - (
            select coalesce(sum(a.settled_base), 0) from payment_allocation a
            join payment y on y.id = a.payment_id
            where a.invoice_id = i.id and y.paid_on <= $2::text::date) as open
          from invoice i where i.company_id = 1 and i.kind = $1 and i.invoiced_on <= $2::text::date
        ) x where open <> 0 group by id
        """,
        kind,
        day,
    )
    return {encode_id("Partner", row[0]): tuple(row)[1:] for row in rows}


@pytest.mark.parametrize("day", ["2025-09-30", AS_OF, "2026-06-29"])
@pytest.mark.parametrize(
    ("field", "kind"),
    [("agedReceivables", "CUSTOMER_INVOICE"), ("agedPayables", "VENDOR_BILL")],
)
async def test_aged_balances(reader: BothPaths, field: str, kind: str, day: str) -> None:
    """What was open on a past day, most of it paid since, agrees with the ledger of then."""
    query = f"""query($day: Date!) {{ {field}(asOf: $day) {{
      asOf currency totals {{ current d1to30 d31to60 d61to90 over90 total }}
      controlBalance reconciles
      rows {{ partner {{ id }} total current over90 oldestDueOn }} }} }}"""
    report = (await reader.data(query, {"day": day}))[field]
    assert reader.compiled.statements == 3
    # a loader asks for a thousand keys at a time
    assert reader.ordinary.statements == 2 + math.ceil(len(report["rows"]) / 1_000)
    expected = await aged_by_hand(reader, kind, day)
    assert {
        row["partner"]["id"]: (
            Decimal(row["total"]),
            Decimal(row["current"]),
            Decimal(row["over90"]),
            row["oldestDueOn"],
        )
        for row in report["rows"]
    } == expected
    assert len(expected) > 5
    totals = {name: Decimal(value) for name, value in report["totals"].items()}
    assert totals["total"] == sum(row[0] for row in expected.values())
    assert totals["total"] == sum(value for name, value in totals.items() if name != "total")
    assert report["reconciles"] is True
    assert Decimal(report["controlBalance"]) == totals["total"]
    assert (report["asOf"], report["currency"]) == (day, "EUR")


async def test_documents_both_ways(reader: BothPaths) -> None:
    """From an order to its invoices and payments, and from a payment back to the order."""
    query = """{ salesOrders(first: 100, filter: { states: [FULFILLED] }) { nodes { number
      lines { qtyShipped product { sku } }
      invoices { number kind lines { qty salesOrderLine { order { number } } product { sku } }
        payments { payment { allocations { invoice { salesOrder { number } } } } } } } }
      purchaseOrders(first: 50, filter: { states: [FULFILLED] }) { nodes { number
        bills { number purchaseOrder { number } externalRef } } } }"""
    data = await reader.data(query)
    for order in data["salesOrders"]["nodes"]:
        shipped = sum(Decimal(line["qtyShipped"]) for line in order["lines"])
        lines = [line for invoice in order["invoices"] for line in invoice["lines"]]
        assert sum(Decimal(line["qty"]) for line in lines) == shipped
        assert {line["salesOrderLine"]["order"]["number"] for line in lines} == {order["number"]}
        for invoice in order["invoices"]:
            for part in invoice["payments"]:
                paid = part["payment"]["allocations"]
                numbers = {one["invoice"]["salesOrder"]["number"] for one in paid}
                assert order["number"] in numbers
    for order in data["purchaseOrders"]["nodes"]:
        assert order["bills"]
        assert {bill["purchaseOrder"]["number"] for bill in order["bills"]} == {order["number"]}


async def test_customers_see_their_own_invoices(reader: BothPaths) -> None:
    """A client of a customer sees its invoices and payments, and nothing of the ledger."""
    [partner_id] = await busiest(reader, 1)
    permissions = frozenset({"invoices.read", "ledger.read", "sales.read"})
    caller = principal(partner_id=partner_id, permissions=permissions)
    query = """{ invoices { totalCount nodes { partner { id } } } payments { totalCount }
      journalEntries { totalCount } accounts { totalCount } fiscalPeriods { totalCount } }"""
    data = await reader.data(query, caller=caller)
    own = "company_id = 1 and partner_id = $1"
    assert data["invoices"]["totalCount"] == await reader.owner.fetchval(
        f"select count(*) from invoice where {own}", partner_id
    )
    assert data["payments"]["totalCount"] == await reader.owner.fetchval(
        f"select count(*) from payment where {own}", partner_id
    )
    ids = {node["partner"]["id"] for node in data["invoices"]["nodes"]}
    assert ids == {encode_id("Partner", partner_id)}
    for ledger in ("journalEntries", "accounts", "fiscalPeriods"):
        assert data[ledger]["totalCount"] == 0


async def test_documents_are_hidden_from_whom_they_are_not_for(reader: BothPaths) -> None:
    """Who may see the ledger but no invoices sees entries without their documents."""
    query = "{ journalEntries(first: 20) { nodes { description source { displayNumber } } } }"
    caller = principal(permissions=frozenset({"ledger.read"}))
    data = await reader.data(query, caller=caller)
    assert all(node["source"] is None for node in data["journalEntries"]["nodes"])


async def test_a_span_that_ends_before_it_begins(reader: BothPaths) -> None:
    """Days in the wrong order are refused by name."""
    error = await reader.refusal(
        '{ trialBalance(startsOn: "2026-03-31", endsOn: "2026-03-01") { balanced } }'
    )
    assert error["message"] == "endsOn must not be before startsOn."


async def test_entries_balance_at_commit(own_reader: BothPaths) -> None:
    """The database takes no entry that is out of balance, whoever writes it."""
    owner = own_reader.owner
    entry = await owner.fetchval(
        "insert into journal_entry (company_id, number, journal, posted_on, description, posted_by)"
        " values (1, 'JE-T', 'GENERAL', '2026-06-01', 'Test', 'user:1') returning id"
    )
    line = (
        "insert into journal_line (company_id, entry_id, position, account_id, posted_on, debit,"
        " credit) values (1, $1, $2, $3, '2026-06-01', $4, $5)"
    )
    with pytest.raises(Exception, match="out of balance by 5"):
        await owner.execute(line, entry, 1, 1, Decimal(5), Decimal(0))
    async with owner.transaction():
        await owner.execute(line, entry, 1, 1, Decimal(5), Decimal(0))
        await owner.execute(line, entry, 2, 2, Decimal(0), Decimal(5))
