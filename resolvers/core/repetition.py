"""Finds statements that are repeated for every row: the N+1 problem, seen from outside.

Batched reads take the same number of statements however many rows there are. So an operation whose
number varies from run to run has a field that asks for each row by itself. The ratio of the spread
to the height is near 0 for sound operations and near 1 for such.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

WINDOW = 100
"""Executions of an operation that are looked at, the latest."""
ENOUGH = 20
"""Executions before anything is said of an operation."""
_MANY = 5
"""A statement that comes less often than this in nine of ten executions is not worth a word."""
_SPREAD = 0.5


class Repeated(NamedTuple):
    """A statement that an operation repeats: how often at least, and at most, leaving out tails."""

    name: str
    p10: int
    p90: int


class Repetition:
    """The statement counts of one operation lately.

    The counts are kept as they came, and looked at when somebody asks.
    """

    __slots__ = ("_latest", "seen")

    def __init__(self) -> None:
        self._latest: deque[tuple[int, Mapping[str, int]]] = deque(maxlen=WINDOW)
        """Of each execution the statements, all and by name."""
        self.seen = 0
        """Executions so far."""

    def observe(
        self, statements: int, by_name: Mapping[str, int], times: int, pieces: int = 1
    ) -> None:
        """Take so many executions into account, each with the same statements.

        Of an answer made in ``pieces`` those of one count: each asks for itself, which is no field
        that asks for each row.
        """
        if pieces > 1:
            statements = -(-statements // pieces)
            by_name = {name: -(-count // pieces) for name, count in by_name.items()}
        self._latest.extend([(statements, by_name)] * min(times, WINDOW))
        self.seen += times

    @property
    def ratio(self) -> float:
        """(p90 - p10) / p90 of the statements of an execution; 0 before there are enough."""
        return _ratio([statements for statements, _ in self._latest.copy()])

    def repeated(self) -> list[Repeated]:
        """Return the statements that come once for each of a varying number of rows.

        An execution in which a statement does not come at all says nothing: an empty list has no
        children to read.
        """
        by_name: dict[str, list[int]] = {}
        for _, statements in self._latest.copy():
            for name, count in statements.items():
                by_name.setdefault(name, []).append(count)
        found = []
        for name, counts in by_name.items():
            p10, p90 = _percentiles(counts)
            if len(counts) >= ENOUGH and p90 >= _MANY and (p90 - p10) / p90 >= _SPREAD:
                found.append(Repeated(name, p10, p90))
        return found


def _ratio(counts: Sequence[int]) -> float:
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
