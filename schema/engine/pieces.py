"""Large answers in pieces: read, made and encoded one after the other, each from start to end.

An answer of thousands of rows, made as a whole, is in memory three times before it is sent: as
rows, as objects and as JSON. That is more than a processor's second-level cache holds, so each step
has to fetch again what the step before has left, and a row costs up to twice as much as one of a
small answer. A piece fits: its objects are made while its rows are at hand, and its JSON while its
objects are; then both are let go, and the next piece is made in the same memory.

A piece is one list of the root with all that is below it, or some of the rows of such a list. What
several pieces ask for is asked for by each of them: an answer takes more statements this way, so
small ones are made as a whole.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from resolvers.core.context import OperationStats
from schema.engine.generate import Generator
from schema.engine.plan import Grouped, Level, Nodes, OperationPlan, Page, Paged, Shape, Value

ROWS: Final = 1_500
"""Rows of a piece, about: what they are made into is half a megabyte or so."""
WEIGHT: Final = 1 / 8
"""What the latest answer counts for among those before it."""


class RootList:
    """What is known of a list of the root: how many rows there are for each row of its page."""

    __slots__ = ("_rows_per_row",)

    def __init__(self) -> None:
        self._rows_per_row = 0.0
        """Itself and all below it; 0 before anything is known."""

    def pieces(self, rows: int) -> int:
        """Return in how many pieces to make a page of so many rows."""
        return max(1, round(rows * self._rows_per_row / ROWS))

    def stretches(self, rows: Sequence[Any], stats: OperationStats) -> Iterator[Sequence[Any]]:
        """Yield the rows of a page some at a time, none of them empty.

        What is read below them meanwhile, by ``stats``, is taken into account next time.
        """
        if not rows:
            return
        before = stats.rows - len(rows)
        size = -(-len(rows) // self.pieces(len(rows)))
        for start in range(0, len(rows), size):
            stats.pieces += 1
            yield rows[start : start + size]
        found, known = (stats.rows - before) / len(rows), self._rows_per_row
        self._rows_per_row = known + WEIGHT * (found - known) if known else found


def encoded(value: Any) -> orjson.Fragment:
    """Return a part of an answer as it is sent."""
    return orjson.Fragment(orjson.dumps(value))


def joined(lists: Sequence[bytes]) -> orjson.Fragment:
    """Return encoded lists as one; none of them is empty."""
    return orjson.Fragment(b"[%b]" % b",".join([one[1:-1] for one in lists]))


@dataclass(eq=False)
class Part:
    """Fields of the root that are made together, and the levels of what is below them.

    ``page`` is the level of a list that is made some rows at a time.
    """

    page: Level | None
    entries: list[tuple[str, Value]] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)


def root_parts(plan: OperationPlan) -> list[Part]:
    """Return the parts of a query's answer: each list by itself, and all other fields as one."""
    parts: dict[Level | None, Part] = {}
    for name, value in plan.shape.entries:
        page = value.level if isinstance(value, Page) else None
        parts.setdefault(page, Part(page)).entries.append((name, value))
    for level in plan.levels[1:]:
        parts[_list_of(level)].levels.append(level)
    return list(parts.values())


def _list_of(level: Level) -> Level | None:
    """Return the list of the root that a level belongs to, if it is one."""
    while level.depth > 1:
        assert level.parent is not None
        level = level.parent
    if isinstance(level.source, Grouped):
        level = level.source.page
    return level if isinstance(level.source, Paged) else None


class InPieces:
    """How an answer of a plan is made in pieces; compiled when the first large one is."""

    __slots__ = ("_made", "_plan", "lists")

    def __init__(self, plan: OperationPlan) -> None:
        self._plan = plan
        self._made: tuple[str, Callable[..., Any]] | None = None
        self.lists = 0
        """Lists of the root; 0 also for a plan in whose answers errors are to be told."""
        if not plan.denied:
            self.lists = len({v.level for _, v in plan.shape.entries if isinstance(v, Page)})

    def pays_for(self, rows: float) -> bool:
        """Tell whether an answer of so many rows costs less this way: one of several pieces."""
        return rows >= (ROWS if self.lists > 1 else 1.5 * ROWS) and self.lists > 0

    @property
    def function(self) -> Callable[..., Any]:
        """Return the function ``run(context, reads, arguments, rows0)``; its answer is encoded."""
        return self._compiled()[1]

    @property
    def source(self) -> str:
        """Return the source of that function."""
        return self._compiled()[0]

    def _compiled(self) -> tuple[str, Callable[..., Any]]:
        if self._made is None:
            generator = PieceGenerator(self._plan)
            source = generator.source()
            self._made = source, generator.compiled(source)
        return self._made


class PieceGenerator(Generator):
    """Writes the source that makes a query's answer in pieces; its values are encoded."""

    def __init__(self, plan: OperationPlan) -> None:
        super().__init__(plan)
        self.names |= {
            "encode": orjson.dumps,
            "encoded": encoded,
            "joined": joined,
        }
        self._some: set[Level] = set()
        """Pages of which some rows are made at a time."""

    def source(self) -> str:
        """Return the source of ``run(context, reads, arguments, rows0)``."""
        root, made = self._plan.root, {}
        parts = list(enumerate(root_parts(self._plan)))
        for number, part in parts:
            levels = part.levels
            if part.page is not None:
                below = [level for level in levels if _is_below(level, part.page)]
                self._write_some(part, below)
                levels = [level for level in levels if level not in below]
            self._begin(f"part{number}(context, reads, arguments, row)", levels)
            self._make(levels)
            values = (
                f"{name!r}: encoded({self._value(value, root)})" for name, value in part.entries
            )
            self._line(f"    return {{{', '.join(values)}}}")
            made.update(dict.fromkeys((name for name, _ in part.entries), number))
        self._begin("run(context, reads, arguments, rows0)", ())
        self._line("    [row] = rows0")
        for number, _ in parts:
            self._line(f"    made{number} = await part{number}(context, reads, arguments, row)")
        entries = (f"{name!r}: made{made[name]}[{name!r}]" for name, _ in self._plan.shape.entries)
        self._line(f"    return [{{{', '.join(entries)}}}]")
        return self._written()

    def _begin(self, head: str, levels: Sequence[Level]) -> None:
        """Write the head of a function that makes so many levels, and knows nothing of others."""
        self._line(f"async def {head}:")
        self._here = levels
        self._known.clear()

    def _write_some(self, part: Part, below: Sequence[Level]) -> None:
        """Write the function that makes some rows of a page, each list of its nodes encoded."""
        page = part.page
        assert page is not None
        n = page.number
        nodes = [
            one
            for _, value in part.entries
            if isinstance(value, Page)
            for _, one in value.entries
            if isinstance(one, Nodes)
        ]
        if not nodes:
            return
        self._begin(f"some{n}(context, reads, arguments, rows{n})", below)
        self._line(f"    request{n} = arguments[{n}]")
        self._make(below)
        for shape in page.shapes:
            self._by_kind(shape)
        lists = ", ".join(f"encode({self._nodes(one, n, f'rows{n}')})" for one in nodes)
        self._line(f"    return ({lists},)")
        self._some.add(page)
        for place, one in enumerate(nodes):
            self._encoded[id(one)] = f"joined([lists[{place}] for lists in some_of_{n}])"

    def _by_kind(self, shape: Shape) -> None:
        if shape.level not in self._some:
            super()._by_kind(shape)

    def _fetch_page(self, level: Level, source: Paged) -> None:
        super()._fetch_page(level, source)
        if level in self._some:
            n = level.number
            some = f"await some{n}(context, reads, arguments, rows)"
            known = self._name("list", RootList())
            each = f"for rows in {known}.stretches(rows{n}, context.stats)"
            self._line(f"    some_of_{n} = [{some} {each}]")


def _is_below(level: Level, page: Level) -> bool:
    while level.parent is not None:
        level = level.parent
        if level is page:
            return True
    return False
