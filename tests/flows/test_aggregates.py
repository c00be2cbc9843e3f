"""Groups of invoices, payments, purchase orders, stock levels and moves, against SQL by hand."""

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import pytest

from tests.fixtures.gateway import EVERY_PERMISSION, principal
from tests.fixtures.paths import BothPaths

_PRODUCT = "(select sku from product where id = t.product_id)"
_CATEGORY = """(select c.code from product p join product_category c on c.id = p.category_id
                where p.id = t.product_id)"""
_PARTNER = "(select code from partner where id = t.partner_id)"
_WAREHOUSE = "(select code from warehouse where id = t.warehouse_id)"
_PROJECTED = """(select {} from stock_projection e
                 where e.product_id = t.product_id and e.warehouse_id = t.warehouse_id)"""


@dataclass(frozen=True)
class List:
    """One list: its table, and the SQL of its keys and measures by what clients call them."""

    table: str
    keys: dict[str, tuple[str, str]]
    measures: dict[str, str]
    money: bool = True


def dates(column: str) -> dict[str, tuple[str, str]]:
    """Return the keys of a date."""
    return {
        "DAY": ("day", f"t.{column}::text"),
        "MONTH": ("month", f"date_trunc('month', t.{column})::date::text"),
    }


LISTS = {
    "invoices": List(
        "invoice",
        {
            **dates("invoiced_on"),
            "PARTNER": ("partner { code }", _PARTNER),
            "KIND": ("kind", "t.kind"),
            "PAYMENT_STATUS": ("paymentStatus", "t.payment_status"),
        },
        {
            "subtotal": "t.subtotal * t.fx_rate",
            "taxTotal": "t.tax_total * t.fx_rate",
            "total": "t.total_base",
            "residual": "t.residual_base",
        },
    ),
    "payments": List(
        "payment",
        {
            **dates("paid_on"),
            "PARTNER": ("partner { code }", _PARTNER),
            "DIRECTION": ("direction", "t.direction"),
            "METHOD": ("method", "t.method"),
        },
        {"amount": "t.amount * t.fx_rate", "unallocated": "t.unallocated * t.fx_rate"},
    ),
    "purchaseOrders": List(
        "purchase_order",
        {
            **dates("ordered_on"),
            "SUPPLIER": ("supplier { code }", _PARTNER),
            "WAREHOUSE": ("warehouse { code }", _WAREHOUSE),
            "STATE": ("state", "t.state"),
            "RECEIPT_STATUS": ("receiptStatus", "t.receipt_status"),
        },
        {
            "subtotal": "t.subtotal * t.fx_rate",
            "taxTotal": "t.tax_total * t.fx_rate",
            "total": "t.total * t.fx_rate",
        },
    ),
    "stockLevels": List(
        "stock_level",
        {
            "WAREHOUSE": ("warehouse { code }", _WAREHOUSE),
            "PRODUCT": ("product { sku }", _PRODUCT),
            "CATEGORY": ("category { code }", _CATEGORY),
        },
        {
            "onHand": "t.on_hand",
            "reserved": "t.reserved",
            "available": "t.on_hand - t.reserved",
            "incoming": f"coalesce({_PROJECTED.format('incoming')}, 0)",
            "outgoing": f"coalesce({_PROJECTED.format('outgoing')}, 0)",
            "projected": f"t.on_hand + coalesce({_PROJECTED.format('incoming - outgoing')}, 0)",
        },
        money=False,
    ),
    "stockMoves": List(
        "stock_move",
        {
            **dates("effective_on"),
            "KIND": ("kind", "t.kind"),
            "PRODUCT": ("product { sku }", _PRODUCT),
        },
        {"qty": "t.quantity"},
        money=False,
    ),
}
PAIRS = [
    pytest.param(name, one, other, id=f"{name} {one} {other}")
    for name, asked in LISTS.items()
    for one, other in combinations_with_replacement(asked.keys, 2)
]


def flat(value: Any) -> Any:
    """Return what an object of one field holds."""
    return next(iter(value.values())) if isinstance(value, dict) else value


@pytest.mark.parametrize(("name", "one", "other"), PAIRS)
async def test_by_any_two_keys(reader: BothPaths, name: str, one: str, other: str) -> None:
    """Counts, sums, averages, least and greatest values are those that SQL finds."""
    asked = LISTS[name]
    amount = "{ amount }" if asked.money else ""
    measures = " ".join(f"{measure} {amount}" for measure in asked.measures)
    functions = " ".join(
        f"{function} {{ {measures} }}" for function in ("sum", "avg", "min", "max")
    )
    fields = " ".join(dict.fromkeys(asked.keys[key][0] for key in (one, other)))
    query = (
        f"{{ {name} {{ aggregates(groupBy: [{one}, {other}], first: 1000) "
        f"{{ {fields} count {functions} }} }} }}"
    )
    found = (await reader.data(query))[name]["aggregates"]
    names = [asked.keys[key][0].split()[0] for key in (one, other)]
    told = {
        (
            *(flat(group[key]) for key in names),
            group["count"],
            *(
                flat(group[function][measure])
                for function in ("sum", "avg", "min", "max")
                for measure in asked.measures
            ),
        )
        for group in found
    }
    columns = ", ".join(
        f"round({function}({sql}), 4)::text"
        for function in ("sum", "avg", "min", "max")
        for sql in asked.measures.values()
    )
    rows = await reader.owner.fetch(
        f"select {asked.keys[one][1]}, {asked.keys[other][1]}, count(*), {columns}"
        f" from {asked.table} t where t.company_id = 1 group by 1, 2"
    )
    by_hand = {tuple(row) for row in rows}
    assert len(told) == len(found) == min(len(by_hand), 1_000)
    assert told <= by_hand
    related = {key for key in (one, other) if "{" in asked.keys[key][0]}
    assert reader.statements == 1 + len(related)


@pytest.mark.parametrize(
    ("name", "permission", "order"),
    [
        ("purchaseOrders", "cost.read", "SUM_TOTAL"),
        ("stockLevels", "stock.read", "SUM_ON_HAND"),
        ("stockLevels", "stock.read", "SUM_PROJECTED"),
    ],
)
async def test_what_is_not_to_be_read_is_not_to_be_ordered_by(
    reader: BothPaths, name: str, permission: str, order: str
) -> None:
    """The order of groups would tell which of them has the greatest sum."""
    asked = f"groupBy: [WAREHOUSE], orderBy: {{ field: {order} }}"
    query = f"{{ {name} {{ aggregates({asked}) {{ count }} }} }}"
    assert (await reader.data(query))[name]["aggregates"]
    caller = principal(permissions=EVERY_PERMISSION - {permission})
    answer = await reader.run(query, caller=caller)
    [error] = answer.errors
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert error["extensions"]["details"] == {"permission": permission}
    assert error["path"] == [name, "aggregates"]
    free = query.replace(order, "COUNT")
    assert (await reader.data(free, caller=caller))[name]["aggregates"]


async def test_guarded_measures_are_masked(reader: BothPaths) -> None:
    """Without the permission a sum is null, and told of once."""
    query = "{ purchaseOrders { aggregates(groupBy: [STATE]) { sum { total { amount } } } } }"
    caller = principal(permissions=EVERY_PERMISSION - {"cost.read"})
    answer = await reader.run(query, caller=caller)
    assert answer.data is not None
    groups = answer.data["purchaseOrders"]["aggregates"]
    assert groups
    assert all(group["sum"] == {"total": None} for group in groups)
    assert [error["extensions"]["code"] for error in answer.errors] == ["FORBIDDEN"]


async def test_customers_add_up_their_own_invoices(reader: BothPaths) -> None:
    """A client of a partner gets the sums of that partner's invoices, and of nothing else."""
    [partner_id] = await reader.ids(
        "select partner_id from invoice where company_id = 1 and kind = 'CUSTOMER_INVOICE'"
        " group by 1 order by count(*) desc, 1 limit 1"
    )
    query = """{ invoices { aggregates(groupBy: [PAYMENT_STATUS]) {
      paymentStatus count sum { residual { amount } } } } }"""
    caller = principal(partner_id=partner_id, permissions=frozenset({"invoices.read"}))
    found = (await reader.data(query, caller=caller))["invoices"]["aggregates"]
    rows = await reader.owner.fetch(
        "select payment_status, count(*), round(sum(residual_base), 4)::text from invoice"
        " where company_id = 1 and partner_id = $1 group by 1 order by 1",
        partner_id,
    )
    told = [
        (group["paymentStatus"], group["count"], group["sum"]["residual"]["amount"])
        for group in found
    ]
    assert told == [tuple(row) for row in rows]
