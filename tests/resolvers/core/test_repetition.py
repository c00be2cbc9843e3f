"""Statements repeated for every row are found, and those that are not are left in peace."""

import random

import pytest

from resolvers.core.context import OperationStats
from resolvers.core.repetition import ENOUGH, Repeated, Repetition, told


def stats(**by_name: int) -> OperationStats:
    """Return the counters of one execution."""
    found = OperationStats(statements=sum(by_name.values()))
    found.statements_by_name.update(by_name)
    return found


def seen(*executions: OperationStats) -> Repetition:
    """Return what is known after some executions."""
    repetition = Repetition()
    for execution in executions:
        repetition.observe(execution.statements, execution.statements_by_name, 1)
    return repetition


def test_a_statement_for_each_row() -> None:
    """Its count follows the rows, and its ratio is near one."""
    rng = random.Random(1)
    found = seen(*(stats(orders=1, LineById=rng.randint(1, 50)) for _ in range(100)))
    assert found.ratio > 0.7
    [repeated] = found.repeated()
    assert repeated.name == "LineById"
    assert repeated.p10 < 10
    assert repeated.p90 > 40


@pytest.mark.parametrize("rows", [0, 1, 50])
def test_batches(rows: int) -> None:
    """A level without parents takes no statement, which is no repetition."""
    rng = random.Random(rows)
    found = seen(
        *(stats(orders=1, LineById=int(rows > 0 and rng.random() < 0.5)) for _ in range(100))
    )
    assert found.repeated() == []


def test_many_statements_that_do_not_vary() -> None:
    """A large operation is not a bad one."""
    found = seen(*(stats(**{f"Level{n}": 2 for n in range(20)}) for _ in range(60)))
    assert (found.ratio, found.repeated()) == (0.0, [])


def test_pieces_of_large_answers() -> None:
    """Each asks for what it is made of: that varies with the rows, and is no field's fault."""
    repetition = Repetition()
    for pieces in (1, 2, 4, 8) * 10:
        by_name = {"orders": 1, "LineById": pieces, "ProductById": pieces}
        repetition.observe(1 + 2 * pieces, by_name, 1, pieces)
    assert repetition.repeated() == []
    assert repetition.ratio < 0.5


def test_too_few_executions_say_nothing() -> None:
    """A first impression is not told."""
    found = seen(*(stats(LineById=n) for n in range(1, ENOUGH)))
    assert (found.ratio, found.repeated()) == (0.0, [])


def test_it_forgets() -> None:
    """What was repaired is not told for ever."""
    found = seen(*(stats(LineById=n % 50 + 1) for n in range(200)))
    assert found.repeated()
    found.observe(1, {"LineById": 1}, 200)
    assert found.seen == 400
    assert (found.ratio, found.repeated()) == (0.0, [])


def test_told_by_fields() -> None:
    """People are told the fields, where they are known."""
    repeated = [Repeated("ProductById", 2, 40), Repeated("", 1, 9), Repeated("own", 1, 9)]
    assert told(repeated, {"ProductById": ["SalesOrderLine.product", "StockLevel.product"]}) == [
        "SalesOrderLine.product, StockLevel.product: 2 to 40 times",
        "a statement without a name: 1 to 9 times",
        "own: 1 to 9 times",
    ]
