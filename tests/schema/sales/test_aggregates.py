"""Groups of sales orders and of their lines, against SQL written by hand."""

from typing import Any

import pytest

from tests.fixtures.gateway import principal
from tests.fixtures.paths import BothPaths

YEAR = {"from": "2025-07-01", "to": "2026-06-30"}

BY_MONTH_AND_CATEGORY = """
query Sales($days: DateRange) {
  salesOrderLines(filter: { placedOn: $days, states: [CONFIRMED, FULFILLED] }) {
    aggregates(groupBy: [MONTH, CATEGORY], first: 1000) {
      month category { code } day customer { id } country warehouse { id } channel product { id }
      count
      sum { net { amount currency } tax { amount } qty qtyShipped }
      avg { net { amount } qty }
      min { net { amount } qty }
      max { net { amount } qty }
    }
  }
}
"""
BY_HAND = """
select date_trunc('month', o.placed_on)::date::text as month, c.code, count(*) as n,
  round(sum(l.net * o.fx_rate), 4)::text as net, round(sum(l.tax * o.fx_rate), 4)::text as tax,
  sum(l.quantity)::text as qty, sum(l.shipped)::text as shipped,
  round(avg(l.net * o.fx_rate), 4)::text as avg_net, round(avg(l.quantity), 4)::text as avg_qty,
  round(min(l.net * o.fx_rate), 4)::text as min_net, min(l.quantity)::text as min_qty,
  round(max(l.net * o.fx_rate), 4)::text as max_net, max(l.quantity)::text as max_qty
from sales_order o join sales_order_line l on l.order_id = o.id
join product p on p.id = l.product_id join product_category c on c.id = p.category_id
where o.company_id = 1 and o.state in ('CONFIRMED', 'FULFILLED')
  and o.placed_on between '2025-07-01' and '2026-06-30'
group by 1, 2, c.id order by 1, c.id
"""


async def test_by_month_and_category(reader: BothPaths) -> None:
    """Every measure agrees with SQL by hand; keys that were not asked for are null."""
    found = await reader.data(BY_MONTH_AND_CATEGORY, {"days": YEAR})
    groups = found["salesOrderLines"]["aggregates"]
    assert reader.statements == 2  # the groups, and the names of their categories
    expected = [
        {
            "month": row["month"],
            "category": {"code": row["code"]},
            "day": None,
            "customer": None,
            "country": None,
            "warehouse": None,
            "channel": None,
            "product": None,
            "count": row["n"],
            "sum": {
                "net": {"amount": row["net"], "currency": "EUR"},
                "tax": {"amount": row["tax"]},
                "qty": row["qty"],
                "qtyShipped": row["shipped"],
            },
            "avg": {"net": {"amount": row["avg_net"]}, "qty": row["avg_qty"]},
            "min": {"net": {"amount": row["min_net"]}, "qty": row["min_qty"]},
            "max": {"net": {"amount": row["max_net"]}, "qty": row["max_qty"]},
        }
        for row in await reader.owner.fetch(BY_HAND)
    ]
    assert len(expected) > 100
    assert groups == expected


KEYS = {
    "DAY": ("day", "o.placed_on::text"),
    "MONTH": ("month", "date_trunc('month', o.placed_on)::date::text"),
    "CUSTOMER": ("customer { code }", "(select code from partner where id = o.partner_id)"),
    "COUNTRY": ("country", "(select country from partner_address where id = o.ship_to_id)"),
    "WAREHOUSE": ("warehouse { code }", "(select code from warehouse where id = o.warehouse_id)"),
    "CHANNEL": ("channel", "o.channel"),
    "STATE": ("state", "o.state"),
}


@pytest.mark.parametrize("one", KEYS)
@pytest.mark.parametrize("other", KEYS)
async def test_by_any_two_keys(reader: BothPaths, one: str, other: str) -> None:
    """Any two keys together make the groups that SQL makes; a key given twice counts once."""
    fields = " ".join({KEYS[key][0] for key in (one, other)})
    query = (
        f"{{ salesOrders {{ aggregates(groupBy: [{one}, {other}], first: 1000) "
        f"{{ {fields} count sum {{ total {{ amount }} }} }} }} }}"
    )
    found = (await reader.data(query))["salesOrders"]["aggregates"]

    def key(group: dict[str, Any], name: str) -> Any:
        value = group[KEYS[name][0].split()[0]]
        return value["code"] if isinstance(value, dict) else value

    told = {
        (key(group, one), key(group, other), group["count"], group["sum"]["total"]["amount"])
        for group in found
    }
    rows = await reader.owner.fetch(
        f"select {KEYS[one][1]}, {KEYS[other][1]}, count(*), round(sum(total * fx_rate), 4)::text"
        " from sales_order o where company_id = 1 group by 1, 2"
    )
    by_hand = {tuple(row) for row in rows}
    assert len(told) == len(found)
    assert len(told) == min(len(by_hand), 1000)
    assert told <= by_hand


async def test_without_keys_all_is_one_group(reader: BothPaths) -> None:
    """Totals of the whole list; of an empty list the count is 0 and measures are null."""
    query = """query($days: DateRange) { salesOrders(filter: { placedOn: $days }) {
      aggregates { count sum { total { amount currency } } avg { total { amount } } } } }"""
    [group] = (await reader.data(query, {"days": None}))["salesOrders"]["aggregates"]
    [by_hand] = await reader.owner.fetch(
        "select count(*), round(sum(total * fx_rate), 4)::text from sales_order"
        " where company_id = 1"
    )
    assert (group["count"], group["sum"]["total"]["amount"]) == tuple(by_hand)
    none = {"from": "1990-01-01", "to": "1990-01-02"}
    [group] = (await reader.data(query, {"days": none}))["salesOrders"]["aggregates"]
    assert group == {"count": 0, "sum": {"total": None}, "avg": {"total": None}}


async def test_groups_of_which_nothing_is_asked(reader: BothPaths) -> None:
    """There are as many as there would be otherwise, and no more."""
    query = """{ salesOrders {
      all: aggregates { __typename }
      states: aggregates(groupBy: [STATE]) { __typename }
      none: aggregates(groupBy: [STATE], first: 0) { __typename } }
      partners(first: 3) { nodes { orders { aggregates { __typename } } } } }"""
    data = await reader.data(query)
    states = await reader.owner.fetchval(
        "select count(distinct state) from sales_order where company_id = 1"
    )
    found = data["salesOrders"]
    assert [len(found[name]) for name in ("all", "states", "none")] == [1, states, 0]
    for partner in data["partners"]["nodes"]:
        assert len(partner["orders"]["aggregates"]) == 1


async def test_top_of_an_order(reader: BothPaths) -> None:
    """The best customers are those with the greatest sums, whatever page is shown."""
    query = """{ salesOrders(first: 1) { nodes { id } totalCount
      aggregates(groupBy: [CUSTOMER], orderBy: { field: SUM_TOTAL }, first: 5) {
        customer { code } sum { total { amount } } }
      worst: aggregates(
        groupBy: [CUSTOMER], orderBy: { field: SUM_TOTAL, direction: ASC }, first: 3
      ) { sum { total { amount } } } } }"""
    found = (await reader.data(query))["salesOrders"]
    assert reader.statements == 5  # the page, the count, both groups, and the customers
    rows = await reader.owner.fetch(
        "select p.code, round(sum(total * fx_rate), 4)::text as total from sales_order o"
        " join partner p on p.id = o.partner_id where company_id = 1"
        " group by p.code order by sum(total * fx_rate) desc"
    )
    best = [(g["customer"]["code"], g["sum"]["total"]["amount"]) for g in found["aggregates"]]
    assert best == [(row["code"], row["total"]) for row in rows[:5]]
    worst = [g["sum"]["total"]["amount"] for g in found["worst"]]
    assert worst == [row["total"] for row in rows[:-4:-1]]


async def test_of_each_parent(reader: BothPaths) -> None:
    """Groups of the orders of each customer take one statement for all of them."""
    query = """{ partners(first: 200) { nodes { code orders(filter: { states: [FULFILLED] }) {
      aggregates(groupBy: [WAREHOUSE], first: 2) { warehouse { code } count } } } } }"""
    found = (await reader.data(query))["partners"]["nodes"]
    assert reader.statements == 3
    rows = await reader.owner.fetch(
        "select p.code, w.code as warehouse, count(*) from sales_order o"
        " join partner p on p.id = o.partner_id join warehouse w on w.id = o.warehouse_id"
        " where o.company_id = 1 and o.state = 'FULFILLED' group by 1, 2"
    )
    expected = {tuple(row) for row in rows}
    listed = {partner["code"] for partner in found}
    told = {
        (partner["code"], group["warehouse"]["code"], group["count"])
        for partner in found
        for group in partner["orders"]["aggregates"]
    }
    assert told == {row for row in expected if row[0] in listed}
    assert len(told) > 50


async def test_partners_add_up_their_own(reader: BothPaths) -> None:
    """A client of a partner gets the sums of that partner's orders, and of nothing else."""
    [partner_id] = await reader.ids(
        "select partner_id from sales_order where company_id = 1"
        " group by 1 order by count(*) desc limit 1"
    )
    query = "{ salesOrders { aggregates { count sum { total { amount } } } } }"
    caller = principal(partner_id=partner_id, permissions=frozenset({"sales.read"}))
    [group] = (await reader.data(query, caller=caller))["salesOrders"]["aggregates"]
    [by_hand] = await reader.owner.fetch(
        "select count(*), round(sum(total * fx_rate), 4)::text from sales_order"
        " where company_id = 1 and partner_id = $1",
        partner_id,
    )
    assert (group["count"], group["sum"]["total"]["amount"]) == tuple(by_hand)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("first: -1", "first must be between 0 and 1000, not -1."),
        ("first: 1001", "first must be between 0 and 1000, not 1001."),
        ("groupBy: [DAY, MONTH, CUSTOMER, COUNTRY, STATE]", "groupBy takes at most 4 keys."),
    ],
)
async def test_refused(reader: BothPaths, arguments: str, told: str) -> None:
    """What cannot be grouped is refused with the argument's name."""
    error = await reader.refusal(f"{{ salesOrders {{ aggregates({arguments}) {{ count }} }} }}")
    assert error["message"] == told
    assert error["extensions"]["code"] == "VALIDATION"


async def test_a_page_that_is_not_shown_is_checked(reader: BothPaths) -> None:
    """Beside groups, sizes and cursors of the page are checked, though it is not read."""
    error = await reader.refusal("{ salesOrders(first: 999) { aggregates { count } } }")
    assert error["message"] == "first must be between 0 and 200, not 999."
