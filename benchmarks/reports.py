"""Reports: ``python -m benchmarks.reports``. Whole answers of the gateway beside SQL by hand.

What a controller asks on a month's end, of a year or of all there is. The gateway answers in this
process, without HTTP; the SQL runs on a connection of the same role and company. Both are warm, and
take turns.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, get_args

import orjson
from pydantic import SecretStr

from benchmarks.database import USER, Database, connect, open_database
from gateway.lifespan import Runtime
from gateway.postgres import EmbeddedPostgresError
from gateway.seeding.sizes import SizeName
from gateway.settings import Settings
from gateway.steps import Steps
from gateway.tokens import issue_user_token
from resolvers.core.principal import Principal
from schema.core.execution import GraphQLRequest

ROUNDS = 7
PUBLISHED = Path(__file__).parent / "REPORTS.md"
TABLES = {"sales_order_line": "order lines", "journal_line": "journal lines", "invoice": "invoices"}
YEAR = {"from": "2025-07-01", "to": "2026-06-30"}


@dataclass(frozen=True, slots=True)
class Question:
    """An operation, and SQL that somebody would write for it; ``known`` is what both must tell."""

    name: str
    document: str
    variables: Mapping[str, Any]
    by_hand: str
    known: Callable[[Any], Any]
    known_by_hand: Callable[[list[Any]], Any]


QUESTIONS = (
    Question(
        "Sales of a year by month and category",
        """query($days: DateRange) { salesOrderLines(filter: { placedOn: $days }) {
          aggregates(groupBy: [MONTH, CATEGORY], first: 1000) {
            month category { code } count sum { net { amount } qty } } } }""",
        {"days": YEAR},
        """select date_trunc('month', o.placed_on)::date, c.code, count(*),
             round(sum(l.net * o.fx_rate), 4), sum(l.quantity)
           from sales_order_line l join sales_order o on o.id = l.order_id
           join product p on p.id = l.product_id join product_category c on c.id = p.category_id
           where l.placed_on between '2025-07-01' and '2026-06-30'
           group by 1, c.id order by 1, c.id""",
        lambda data: len(data["salesOrderLines"]["aggregates"]),
        len,
    ),
    Question(
        "The ten best customers of a year",
        """query($days: DateRange) { salesOrders(filter: { placedOn: $days }) {
          aggregates(groupBy: [CUSTOMER], orderBy: { field: SUM_TOTAL }, first: 10) {
            customer { name } count sum { total { amount } } } } }""",
        {"days": YEAR},
        """select p.name, count(*), round(sum(o.total * o.fx_rate), 4)
           from sales_order o join partner p on p.id = o.partner_id
           where o.placed_on between '2025-07-01' and '2026-06-30'
           group by p.id order by 3 desc limit 10""",
        lambda data: data["salesOrders"]["aggregates"][0]["customer"]["name"],
        lambda rows: rows[0][0],
    ),
    Question(
        "Trial balance of a month",
        """{ trialBalance(startsOn: "2026-05-01", endsOn: "2026-05-31") {
          totalDebit balanced rows { account { code name } opening debit credit closing } } }""",
        {},
        """select a.code, a.name,
             sum(l.debit - l.credit) filter (where l.posted_on < '2026-05-01'),
             coalesce(sum(l.debit) filter (where l.posted_on >= '2026-05-01'), 0),
             coalesce(sum(l.credit) filter (where l.posted_on >= '2026-05-01'), 0),
             sum(l.debit - l.credit)
           from journal_line l join account a on a.id = l.account_id
           where l.posted_on <= '2026-05-31' group by a.id order by a.code""",
        lambda data: data["trialBalance"]["totalDebit"],
        lambda rows: format(sum(Decimal(row[3]) for row in rows), "f"),
    ),
    Question(
        "Receivables by age, as of a past day",
        """{ agedReceivables(asOf: "2026-03-31") {
          totals { total over90 } reconciles rows { partner { name } total over90 } } }""",
        {},
        """select p.name, sum(open), sum(open) filter (where due_on < '2026-03-31'::date - 90)
           from (select i.partner_id, i.due_on, i.total_base - coalesce(
                   sum(a.settled_base) filter (where a.allocated_on <= '2026-03-31'), 0) as open
                 from invoice i left join payment_allocation a on a.invoice_id = i.id
                 where i.kind = 'CUSTOMER_INVOICE' and i.invoiced_on <= '2026-03-31'
                 group by i.id) x
           join partner p on p.id = x.partner_id where open <> 0 group by p.id""",
        lambda data: data["agedReceivables"]["totals"]["total"],
        lambda rows: format(sum(Decimal(row[1]) for row in rows), "f"),
    ),
    Question(
        "Stock valuation, as of a past day",
        """{ stockValuation(asOf: "2026-03-31") {
          value rows { warehouse { code } category { name } onHand value } } }""",
        {},
        """select w.code, c.name, sum(x.quantity), sum(round(x.quantity * x.cost, 4))
           from (select l.warehouse_id, m.product_id, sum(m.quantity) as quantity,
                        coalesce(min(o.standard_cost), 0) as cost
                 from (select to_location_id as location_id, product_id, quantity
                       from stock_move where effective_on <= '2026-03-31'
                       union all
                       select from_location_id, product_id, -quantity
                       from stock_move where effective_on <= '2026-03-31') m
                 join stock_location l on l.id = m.location_id and l.warehouse_id is not null
                 left join product_company o on o.product_id = m.product_id
                 group by 1, 2) x
           join product p on p.id = x.product_id join product_category c on c.id = p.category_id
           join warehouse w on w.id = x.warehouse_id
           where x.quantity <> 0 group by w.id, c.id""",
        lambda data: data["stockValuation"]["value"],
        lambda rows: format(sum(Decimal(row[3]) for row in rows), "f"),
    ),
)


async def _seconds(run: Callable[[], Awaitable[Any]]) -> tuple[float, Any]:
    started = perf_counter()
    found = await run()
    return perf_counter() - started, found


async def measure(database: Database, say: Callable[[str], None]) -> list[tuple[str, ...]]:
    """Return a row for each question: seconds of the gateway, of SQL, and their ratio.

    Raises:
        LookupError: the two do not tell the same.

    """
    settings = Settings(
        environment="test",
        database_url=SecretStr(database.owner_url),
        serving_database_url=SecretStr(database.serving_url),
        jwt_secret=SecretStr("signs nothing, because nobody is asked over HTTP"),
        relay=False,
    )
    runtime = Runtime(settings, alone=False)
    table = []
    async with runtime.running():
        caller = await _caller(runtime)
        connection = await connect(database.serving_url, database.company_id)
        try:
            for question in QUESTIONS:
                say(question.name)
                table.append(await _compare(runtime, caller, connection, question))
        finally:
            await connection.close()
    return table


async def _caller(runtime: Runtime) -> Principal:
    token = issue_user_token(runtime.settings, USER, timedelta(hours=1), runtime.clock)
    return await runtime.authenticator.authenticate(f"Bearer {token}", None)


async def _compare(
    runtime: Runtime, caller: Principal, connection: Any, question: Question
) -> tuple[str, ...]:
    request = GraphQLRequest(question.document, None, question.variables)
    prepared = runtime.executor.prepare(request, known_caller=True)

    async def ask() -> Any:
        answer = await runtime.executor.execute(
            prepared, lambda: runtime.open_context(caller, "benchmark")
        )
        if answer.errors:
            raise LookupError(f"{question.name}: {answer.errors}")
        orjson.dumps(answer.body())
        return answer.data

    async def look_up() -> Any:
        return await connection.fetch(question.by_hand)

    told = question.known(await ask())
    by_hand = question.known_by_hand(await look_up())
    if str(told) != str(by_hand):
        raise LookupError(f"{question.name}: {told} here, {by_hand} by hand")
    ours, theirs = [], []
    for number in range(ROUNDS):
        for run, kept in ((ask, ours), (look_up, theirs))[:: 1 if number % 2 else -1]:
            kept.append((await _seconds(run))[0])
    ratio = median(one / other for one, other in zip(ours, theirs, strict=True))
    spread = f"{median(ours) * 1e3:,.0f} ({min(ours) * 1e3:,.0f} to {max(ours) * 1e3:,.0f})"
    return question.name, spread, f"{median(theirs) * 1e3:,.0f}", f"{ratio:.2f} x"


async def _rows(database: Database) -> str:
    connection = await connect(database.serving_url, database.company_id)
    try:
        counts = [
            f"{await connection.fetchval(f'select count(*) from {table}'):,} {name}"
            for table, name in TABLES.items()
        ]
    finally:
        await connection.close()
    return ", ".join(counts)


def page(size: str, rows: str, table: Sequence[Sequence[str]]) -> str:
    """Return the table as Markdown."""
    lines = [
        "# What reports take",
        "",
        "Written by `python -m benchmarks.reports --publish`. Answers of the gateway, without",
        "HTTP, beside SQL somebody would write. Milliseconds: the median (least to greatest).",
        "",
        f"- Data: `{size}`; the caller's company has {rows}",
        f"- {ROUNDS} rounds in turns, after one to warm up",
        "",
        "| question | gateway, ms | SQL by hand, ms | ratio |",
        "| --- | ---: | ---: | ---: |",
        *(f"| {' | '.join(row)} |" for row in table),
        "",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Measure and print; with ``--publish`` write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reports")
    parser.add_argument("--size", choices=get_args(SizeName), default="medium")
    parser.add_argument("--data-dir", type=Path, default=Path(".data/bench"))
    parser.add_argument("--publish", action="store_true", help="replace benchmarks/REPORTS.md")
    options = parser.parse_args(arguments)
    steps = Steps()
    try:
        with open_database(options.data_dir, options.size, steps) as database:
            with steps.step("Measuring"):
                table = asyncio.run(measure(database, steps.say))
            text = page(options.size, asyncio.run(_rows(database)), table)
    except (EmbeddedPostgresError, LookupError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.publish:
        PUBLISHED.write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
