"""Cost formulas, and what fields declare about their cost."""

import pytest
import strawberry
from graphql import parse

from schema.core.cost import CostFormula, Line, VariableSize
from schema.core.limits import measure


def page(first: int | None = None) -> "list[OrderLine]":
    """Resolve a list; nothing runs in these tests."""
    raise NotImplementedError(first)


def orders(first: int = 50) -> "list[Order]":
    """Resolve a list with a page size of its own."""
    raise NotImplementedError(first)


@strawberry.type
class OrderLine:
    """A line, with a column and something that is worked out."""

    number: int
    available: int = strawberry.field(metadata={"cost": 3})


@strawberry.type
class Order:
    """An order: few lines without a page argument, few with one, and a dear object."""

    lines: list[OrderLine] = strawberry.field(metadata={"assumed_size": 4})
    history: list[OrderLine] = strawberry.field(resolver=page, metadata={"assumed_size": 4})
    balance: OrderLine = strawberry.field(metadata={"cost": 5})


@strawberry.type
class Query:
    """Roots."""

    order: Order
    orders: list[Order] = strawberry.field(resolver=orders)


@strawberry.type
class Mutation:
    """A verb that costs what it declares instead of what mutations cost."""

    rebuild: Order = strawberry.field(metadata={"cost": 100})


SCHEMA = strawberry.Schema(query=Query, mutation=Mutation)._schema


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{ order { lines { number } } }", 1 + 4),
        ("{ order { lines { available } } }", 1 + 4 + 4 * 3),
        ("{ order { history { number } } }", 1 + 4),
        ("{ order { history(first: 9) { number } } }", 1 + 9),
        ("{ order { balance { available } } }", 1 + 5 + 3),
        ("{ orders { lines { number } } }", 50 + 50 * 4),
        ("mutation { rebuild { lines { number } } }", 100 + 4),
    ],
)
def test_fields_declare_their_cost_in_metadata(text: str, expected: int) -> None:
    """``cost`` replaces what one occurrence costs, ``assumed_size`` the usual page size."""
    found = measure(SCHEMA, parse(text))
    assert found.formula.evaluate(found.operations[0].cost, {}) == expected


def test_what_is_known_is_worked_out_at_once() -> None:
    """Without variables there is no formula to evaluate, only a number."""
    formula = CostFormula()
    assert formula.total([(2, 3), (10, formula.total([(1, 1), (0, 7)]))]) == 16
    assert formula.evaluate(16, {}) == 16


def test_lines_refer_to_lines_above() -> None:
    """A line is evaluated once and used wherever it is referred to."""
    formula = CostFormula()
    size = VariableSize(("n",), None, otherwise=7)
    inner = formula.total([(size, 2), (1, 1)])
    outer = formula.total([(size, inner), (3, inner), (1, 5)])
    assert isinstance(inner, Line)
    assert formula.evaluate(inner, {"n": 4}) == 9
    assert formula.evaluate(outer, {"n": 4}) == 4 * 9 + 3 * 9 + 5
    assert formula.evaluate(outer, {}) == 7 * 15 + 3 * 15 + 5


def test_terms_that_come_to_nothing_are_left_out() -> None:
    """Nothing times a variable stays nothing, known at once."""
    formula = CostFormula()
    size = VariableSize(("n",), None, otherwise=7)
    line = formula.total([(size, 1)])
    assert formula.total([(size, 0), (0, line)]) == 0


def test_evaluation_is_linear_in_the_formula() -> None:
    """Ten thousand lines that each double the one above take no time and no stack."""
    formula = CostFormula()
    amount = formula.total([(VariableSize(("n",), None, otherwise=1), 1)])
    for _ in range(10_000):
        amount = formula.total([(1, amount), (1, amount)])
    # doubled at every line, it would not end
    assert formula.evaluate(amount, {"n": 3}) == 3 * 2**10_000
