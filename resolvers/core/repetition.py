"""Finds statements that are repeated for every row: the N+1 problem, seen from outside.

Batched reads take the same number of statements however many rows there are. So an operation whose
number varies from run to run has a field that asks for each row by itself. The ratio of the spread
to the height is near 0 for sound operations and near 1 for such.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from resolvers.core.context import OperationStats

WINDOW = 100
"""Executions of an operation that are looked at, the latest."""
ENOUGH = 20
"""Executions before anything is said of an operation."""
_MANY = 5
"""A statement that comes less often than this in nine of ten executions is not worth a word."""
_SPREAD = 0.5
_MOST_NAMES = 50


class Repeated(NamedTuple):
    """A statement that an operation repeats: how often at least, and at most, leaving out tails."""

    name: str
    p10: int
    p90: int


class Repetition:
    """The statement counts of one operation lately."""

    __slots__ = ("_by_name", "_statements", "seen")

    def __init__(self) -> None:
        self._statements: deque[int] = deque(maxlen=WINDOW)
        self._by_name: dict[str, deque[int]] = {}
        self.seen = 0
        """Executions so far."""

    def observe(self, stats: OperationStats) -> None:
        """Take one execution into account."""
        self.seen += 1
        self._statements.append(stats.statements)
        by_name = self._by_name
        for name, count in stats.statements_by_name.items():
            counts = by_name.get(name)
            if counts is None:
                if len(by_name) >= _MOST_NAMES:
                    continue
                counts = by_name[name] = deque(maxlen=WINDOW)
            counts.append(count)

    @property
    def ratio(self) -> float:
        """(p90 - p10) / p90 of the statements of an execution; 0 before there are enough."""
        return _ratio(self._statements.copy())

    def repeated(self) -> list[Repeated]:
        """Return the statements that come once for each of a varying number of rows.

        An execution in which a statement does not come at all says nothing: an empty list has no
        children to read.
        """
        found = []
        for name, counts in self._by_name.items():
            p10, p90 = _percentiles(counts)
            if len(counts) >= ENOUGH and p90 >= _MANY and (p90 - p10) / p90 >= _SPREAD:
                found.append(Repeated(name, p10, p90))
        return found


def _ratio(counts: "deque[int]") -> float:
    if len(counts) < ENOUGH:
        return 0.0
    p10, p90 = _percentiles(counts)
    return (p90 - p10) / p90 if p90 else 0.0


def _percentiles(counts: Iterable[int]) -> tuple[int, int]:
    ordered = sorted(counts)
    last = len(ordered) - 1
    return ordered[last // 10], ordered[last - last // 10]


def told(repeated: Iterable[Repeated], fields: Mapping[str, Iterable[str]]) -> list[str]:
    """Say which fields ask for each row by itself; ``fields`` are those that a statement is for."""
    return [
        f"{', '.join(fields.get(one.name, ())) or one.name or 'a statement without a name'}: "
        f"{one.p10} to {one.p90} times"
        for one in repeated
    ]
