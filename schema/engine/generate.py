"""Writes the Python that runs a plan: fetch level after level, then assemble from the deepest up.

The source reads rows by position and builds each object in one dict display, which is what makes it
as fast as code written by hand. It does no bookkeeping of errors: a value that must not be missing
raises, and ordinary execution answers in its place.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any

from schema.core.ids import encode_id
from schema.engine.plan import (
    Amount,
    Chosen,
    Column,
    Computed,
    Constant,
    Either,
    Fetched,
    Finish,
    Followed,
    Given,
    GlobalId,
    Grouped,
    Groups,
    Held,
    Level,
    Many,
    Masked,
    Nodes,
    One,
    OperationPlan,
    Own,
    Page,
    Paged,
    PageInfo,
    PagePart,
    Part,
    Ready,
    Shape,
    Source,
    Value,
)
from schema.engine.turns import next_turn


class Unusual(Exception):
    """The answer needs ordinary execution: something is missing where nothing may be."""


def missing() -> Any:
    """Leave the answer to ordinary execution: there is nothing where something must be."""
    raise Unusual


MANY = 250
"""Rows that are made part of an answer in one go: about a millisecond's work."""


def portions(rows: Sequence[Any]) -> Sequence[Sequence[Any]]:
    """Return ``rows`` some at a time: a large answer must not hold up small ones."""
    if len(rows) <= MANY:
        return (rows,)
    return [rows[start : start + MANY] for start in range(0, len(rows), MANY)]


class Known:
    """What was found for each key, kept for the operation: no key is asked for twice."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[Any, Any] = {}

    async def find(
        self, keys: Sequence[Any], find: Callable[[Sequence[Any]], Awaitable[Sequence[Any]]]
    ) -> None:
        """Find what is not known of ``keys``; ``find`` returns one value per key, in order."""
        new = list(set(keys).difference(self._found))
        if new:
            self._found.update(zip(new, await find(new), strict=True))

    def of(self, keys: Sequence[Any]) -> list[Any]:
        """Return what was found for ``keys``."""
        return [self._found[key] for key in keys]


async def together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run ``work`` side by side and return its results; when one fails the others end."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in work]
    return [task.result() for task in tasks]


_PAGE_INFO = {
    "hasNextPage": "page.has_next",
    "hasPreviousPage": "page.has_previous",
    "startCursor": "(cursor{n}(request{n}, page.rows[0]) if page.rows else None)",
    "endCursor": "(cursor{n}(request{n}, page.rows[-1]) if page.rows else None)",
}


class Generator:
    """Writes the source of one plan and collects the names it refers to."""

    def __init__(self, plan: OperationPlan, *, traced: bool = False) -> None:
        self._plan = plan
        self._traced = traced
        self._lines: list[str] = []
        self.names: dict[str, Any] = {
            "missing": missing,
            "together": together,
            "Known": Known,
            "portions": portions,
            "pause": next_turn,
            "gid": encode_id,
        }
        self._constants = 0
        self._connections: dict[int, str] = {}
        self._kinds: dict[int, str] = {}
        self._known: set[str] = set()
        self._here: Collection[Level] = plan.levels
        """The levels that the function being written makes."""
        self._encoded: dict[int, str] = {}
        """Expressions of parts of pages that are encoded by the time they are needed."""

    def source(self) -> str:
        """Return the source of the function ``run(context, reads, arguments, rows0)``."""
        self._line("async def run(context, reads, arguments, rows0):")
        if self._traced:
            self._line("    trace = context.stats.trace")
        self._make(self._plan.levels)
        self._line(f"    return [{self._item(self._plan.shape)} for row in rows0]")
        return self._written()

    def compiled(self, source: str) -> Callable[..., Any]:
        """Return the function ``run`` that a source of this generator defines."""
        namespace = {**self.names, "EMPTY": [], "NONE": {}}
        exec(compile(source, "<plan>", "exec"), namespace)  # noqa: S102 - our own, no client text
        function: Callable[..., Any] = namespace["run"]
        return function

    def _written(self) -> str:
        return "\n".join(self._lines) + "\n"

    def _make(self, levels: Sequence[Level]) -> None:
        """Write how levels are fetched, the upper first, and then assembled, the deepest first."""
        self._start(levels)
        for level in levels:
            self._fetch(level)
        for level in reversed(levels):
            for shape in level.shapes:
                self._by_kind(shape)
                self._assemble(level, shape)
            self._pages(level)

    def _line(self, text: str) -> None:
        self._lines.append(text)

    def _name(self, stem: str, value: Any) -> str:
        """Make ``value`` available to the source under a name of its own."""
        name = f"{stem}_{self._constants}"
        self._constants += 1
        self.names[name] = value
        return name

    # --- fetching

    def _fetch(self, level: Level) -> None:
        source = level.source
        if isinstance(source, Given | Chosen):
            return
        if self._traced and not isinstance(source, Fetched | Held):
            self._line(f"    trace.at = {'.'.join(level.path)!r}")
        if isinstance(source, Fetched):
            self._fetch_root(level, source)
        elif isinstance(source, Held):
            self._take(level, source)
        elif isinstance(source, Grouped):
            self._fetch_groups(level, source)
        elif isinstance(source, Paged) and source.parent is None:
            self._fetch_page(level, source)
        else:
            beside = self._beside(level)
            if level is beside[0]:
                self._fetch_twins(beside)

    def _twins(self, level: Level) -> list[Level]:
        """Return the levels made here that ask the same as ``level``, itself among them."""
        return [twin for twin in level.twins if twin in self._here]

    def _beside(self, level: Level) -> list[Level]:
        """Return those of them that share a statement with it."""
        return [twin for twin in self._twins(level) if twin.depth == level.depth]

    def _start(self, levels: Sequence[Level]) -> None:
        """Fetch what root functions fetch; side by side, so that their loads share batches."""
        names, calls, places = [], [], []
        for level in levels:
            source, n = level.source, level.number
            where = ".".join(level.path)
            if isinstance(source, Fetched | Chosen):
                places.append(where)
            if isinstance(source, Fetched):
                columns = self._name("columns", frozenset(level.columns))
                fetch = self._name("fetch", source.plan.fetch)
                self._line(f"    # {where}: {source.plan.name}")
                names.append(f"found{n}")
                calls.append(f"{fetch}(context, {columns}, **arguments[{n}])")
            elif isinstance(source, Chosen):
                self._line(f"    # {where}: {source.plan.name}, as the type it turns out to be")
                names.append(f"ready{n}")
                calls.append(f"arguments[{n}]()")
        if len(calls) == 1:
            if self._traced:
                self._line(f"    trace.at = {places[0]!r}")
            self._line("    context.alone = True")
            self._line(f"    {names[0]} = await {calls[0]}")
        elif calls:
            self._line(f"    {', '.join(names)} = await together({', '.join(calls)})")

    def _fetch_root(self, level: Level, source: Fetched) -> None:
        n = level.number
        if source.many:
            self._line(f"    rows{n} = [row for row in found{n} if row is not None]")
        else:
            self._line(f"    rows{n} = () if found{n} is None else (found{n},)")

    def _take(self, level: Level, source: Held) -> None:
        """Write the rows that the parents' rows hold, where something is to be found for them."""
        if not level.children:
            return
        assert level.parent is not None
        at = self._at(level.parent, source.column)
        held = f"{at} or ()" if source.many else f"({at},)"
        each = f"for row in rows{level.parent.number} for held in {held} if held is not None"
        self._line(f"    rows{level.number} = [held {each}]")

    def _fetch_twins(self, levels: list[Level]) -> None:
        """Write one statement for levels that ask the same, each for its own parents."""
        for level in levels:
            source = level.source
            what = source.relation.name if isinstance(source, Followed) else _listed_by(source)
            self._line(f"    # {'.'.join(level.path)}: {what}")
        for level in levels:
            self._line(f"    keys{level.number} = {self._keys(level)}")
        if isinstance(levels[0].source, Followed):
            self._follow(levels, levels[0].source)
        elif isinstance(levels[0].source, Paged):
            self._fetch_pages(levels, levels[0].source)

    def _follow(self, levels: list[Level], source: Followed) -> None:
        first, relation = levels[0], source.relation
        n, columns = first.number, self._columns(first)
        bound = f"arguments[{n}]" if source.bind is not None else "{}"
        if len(self._twins(first)) == 1:
            rows = self._name("rows_of", relation.rows)
            self._line(
                f"    rows{n} = await {rows}(reads, keys{n}, {columns}, {bound}) if keys{n} else ()"
            )
            return
        batch = self._name("batch_of", relation.batch)
        self._find("found", levels, lambda keys: f"{batch}(reads, {keys}, {columns}, {bound})")
        each = (
            "[row for rows in found{n} for row in rows]"
            if relation.many
            else "[row for row in found{n} if row is not None]"
        )
        for level in levels:
            self._line(f"    rows{level.number} = {each.format(n=level.number)}")

    def _find(self, name: str, levels: list[Level], call: Callable[[str], str]) -> None:
        """Write the ``call`` that finds something for each key of ``levels``, under ``name``."""
        first = levels[0]
        n = first.number
        twins = self._twins(first)
        if len(twins) == 1:
            self._line(f"    {name}{n} = await {call(f'keys{n}')} if keys{n} else []")
            return
        known = f"known{twins[0].number}_{name}"
        if known not in self._known:
            self._known.add(known)
            self._line(f"    {known} = Known()")
        keys = ", ".join(f"*keys{level.number}" for level in levels)
        self._line(f"    await {known}.find([{keys}], lambda keys: {call('keys')})")
        for level in levels:
            self._line(f"    {name}{level.number} = {known}.of(keys{level.number})")

    def _keys(self, level: Level) -> str:
        """Return the expression of the keys that lead to a level, each once and none missing."""
        parent = level.parent
        assert parent is not None
        rows, at = f"rows{parent.number}", self._at(parent, level.key)
        if level.kind is not None:
            column, word = level.kind
            known = f"{self._at(parent, column)} == {word!r}"
            return f"list({{{at} for row in {rows} if {known}}} - {{None}})"
        if level.listed:
            return f"list({{key for row in {rows} for key in {at}}})"
        if parent.is_unique(level.key):
            return f"[{at} for row in {rows}]"
        return f"list({{{at} for row in {rows}}} - {{None}})"

    def _columns(self, level: Level) -> str:
        return self._name("columns", frozenset(level.columns))

    def _fetch_page(self, level: Level, source: Paged) -> None:
        n = level.number
        listing = self._name("listing", source.listing)
        self._line(f"    # {'.'.join(level.path)}: {source.listing.name}")
        self._line(f"    request{n} = arguments[{n}]")
        if level.paged:
            columns = self._columns(level)
            self._line(f"    page{n} = await {listing}.page(reads, request{n}, {columns})")
            self._line(f"    rows{n} = page{n}.rows")
        else:
            self._line(f"    {listing}.check(request{n})")
            self._line(f"    page{n} = rows{n} = ()")
        if level.counted:
            self._line(f"    total{n} = (await {listing}.counts(reads, None, (), request{n}))[0]")
        self.names[f"cursor{n}"] = source.listing.cursor

    def _fetch_groups(self, level: Level, source: Grouped) -> None:
        n, page = level.number, source.page.number
        aggregation = self._name("aggregation", source.plan.aggregation)
        asked = f"arguments[{page}], arguments[{n}], {self._columns(level)}"
        self._line(f"    # {'.'.join(level.path)}: {source.plan.aggregation.name}")
        if source.parent is None:
            self._line(f"    rows{n} = await {aggregation}.rows(reads, {asked})")
            return
        self._line(f"    keys{n} = {self._keys(level)}")
        by = f"parent={source.parent!r}, keys=keys{n}"
        self._line(
            f"    rows{n} = await {aggregation}.rows(reads, {asked}, {by}) if keys{n} else ()"
        )

    def _fetch_pages(self, levels: list[Level], source: Paged) -> None:
        listing, asked = self._name("listing", source.listing), f"request{levels[0].number}"
        for level in levels:
            self._line(f"    request{level.number} = arguments[{level.number}]")
            self.names[f"cursor{level.number}"] = source.listing.cursor
        columns, by = self._columns(levels[0]), repr(source.parent)

        def pages(keys: str) -> str:
            return f"{listing}.pages(reads, {by}, {keys}, {asked}, {columns})"

        def counts(keys: str) -> str:
            return f"{listing}.counts(reads, {by}, {keys}, {asked})"

        if any(level.paged for level in levels):
            self._find("pages", levels, pages)
        else:
            self._line(f"    {listing}.check({asked})")
        for level in levels:
            n = level.number
            shown = any(one.paged for one in levels)
            found = f"[row for page in pages{n} for row in page.rows]" if shown else "()"
            self._line(f"    rows{n} = {found}")
        counted = [level for level in levels if level.counted]
        if counted:
            self._find("totals", counted, counts)

    # --- assembling

    def _assemble(self, level: Level, shape: Shape) -> None:
        """Write what one shape's rows become, filed under the key of their parents."""
        source, name = level.source, f"shape{shape.number}"
        if isinstance(source, Grouped) and source.parent is None:
            self._line(f"    {name} = [{self._item(shape)} for row in rows{level.number}]")
        elif isinstance(source, Followed | Grouped):
            self._line(f"    {name} = {{}}")
            self._line(f"    for some in portions(rows{level.number}):")
            if isinstance(source, Grouped) or source.relation.many:
                self._line("        for row in some:")
                self._line(f"            item = {self._item(shape)}")
                self._line(f"            known = {name}.get(row[0])")
                self._line("            if known is None:")
                self._line(f"                {name}[row[0]] = [item]")
                self._line("            else:")
                self._line("                known.append(item)")
            else:
                item = self._item(shape)
                self._line(f"        {name}.update({{row[0]: {item} for row in some}})")
            self._line(f"        if some is not rows{level.number}: await pause(context)")
        elif isinstance(source, Fetched):
            item = self._item(shape)
            found = f"found{level.number}"
            if source.many:
                self._line(f"    {name} = [None if row is None else {item} for row in {found}]")
            else:
                self._line(f"    {name} = [{item} for row in rows{level.number}]")

    def _by_kind(self, shape: Shape) -> None:
        """Write which shapes the fields of a row have whose objects are of several types."""
        for _, value in shape.entries:
            if isinstance(value, Either):
                name = self._kinds[id(value)] = f"kinds{len(self._kinds)}"
                shapes = (f"{word!r}: shape{below.number}" for word, below in value.shapes)
                self._line(f"    {name} = {{{', '.join(shapes)}}}")

    def _pages(self, level: Level) -> None:
        """Write the connections that parents show of this level's pages."""
        source, n = level.source, level.number
        if not isinstance(source, Paged):
            return
        assert level.parent is not None
        values = [value for shape in level.parent.shapes for _, value in shape.entries]
        shown = [v for v in values if isinstance(v, Page) and v.level is level]
        for place, value in enumerate(shown):
            name = self._connections[id(value)] = f"connection{n}_{place}"
            body = self._connection(value, n)
            if source.parent is None:
                self._line(f"    page = page{n}")
                self._line(f"    total = total{n}" if level.counted else "    total = None")
                self._line(f"    {name} = {body}")
            else:
                totals = f"totals{n}" if level.counted else f"keys{n}"
                paged = any(twin.paged for twin in self._beside(level))
                pages = f"pages{n}" if paged else f"keys{n}"
                each = f"for key, page, total in zip(keys{n}, {pages}, {totals})"
                self._line(f"    {name} = {{key: {body} {each}}}")

    def _connection(self, value: Page, n: int) -> str:
        parts = ", ".join(f"{name!r}: {self._part(part, n)}" for name, part in value.entries)
        return f"{{{parts}}}"

    def _part(self, part: PagePart, n: int) -> str:
        match part:
            case Constant():
                return repr(part.value)
            case PageInfo():
                return self._page_info(part, n)
            case Nodes():
                return self._encoded.get(id(part)) or self._nodes(part, n)
            case Groups():
                groups, source = f"shape{part.shape.number}", part.shape.level.source
                of_parent = isinstance(source, Grouped) and source.parent is not None
                return f"{groups}.get(key, EMPTY)" if of_parent else groups
            case _:
                return "total"

    def _page_info(self, part: PageInfo, n: int) -> str:
        entries = (
            f"{name!r}: {_PAGE_INFO.get(field, repr('PageInfo')).format(n=n)}"
            for name, field in part.names
        )
        return f"{{{', '.join(entries)}}}"

    def _nodes(self, part: Nodes, n: int, rows: str = "page.rows") -> str:
        if part.shape is not None:
            return f"[{self._item(part.shape)} for row in {rows}]"
        assert part.entries is not None
        entries = []
        for name, what in part.entries:
            if isinstance(what, Shape):
                entries.append(f"{name!r}: {self._item(what)}")
            elif what == "cursor":
                entries.append(f"{name!r}: cursor{n}(request{n}, row)")
            else:
                entries.append(f"{name!r}: {what!r}")
        return f"[{{{', '.join(entries)}}} for row in {rows}]"

    def _item(self, shape: Shape) -> str:
        """Return the expression for one row of a shape."""
        entries = (f"{name!r}: {self._value(value, shape.level)}" for name, value in shape.entries)
        return f"{{{', '.join(entries)}}}"

    def _value(self, value: Value, level: Level) -> str:
        match value:
            case Constant():
                return repr(value.value)
            case GlobalId():
                return f"gid({value.type_name!r}, {self._at(level, value.column)})"
            case Computed():
                return self._computed(value)
            case Ready():
                return f"ready{value.level.number}"
            case Masked():
                return "missing()"
            case _:
                return self._from_level(value, level)

    def _from_level(
        self, value: Column | Amount | One | Many | Either | Own | Part | Page, level: Level
    ) -> str:
        writers: dict[type, Callable[[Any, Level], str]] = {
            Column: self._column,
            Amount: self._amount,
            One: self._one,
            Many: self._many,
            Either: self._either,
            Own: self._own,
            Part: self._part_of_row,
            Page: self._connection_of,
        }
        return writers[type(value)](value, level)

    def _connection_of(self, value: Page, level: Level) -> str:
        name = self._connections[id(value)]
        source = value.level.source
        assert isinstance(source, Paged)
        return name if source.parent is None else f"{name}[{self._at(level, value.key)}]"

    def _column(self, value: Column, level: Level) -> str:
        at = self._at(level, value.column)
        if value.words is not None:
            known = value.words if value.required else {None: None, **value.words}
            return f"{self._name('words', known)}[{at}]"
        if value.required:
            at = _present(at)
        if value.convert is None:
            return at
        converted = f"{self._name('convert', value.convert)}({at})"
        return converted if value.required else f"(None if {at} is None else {converted})"

    def _amount(self, value: Amount, level: Level) -> str:
        amount, currency = self._at(level, value.amount), self._at(level, value.currency)
        shown = amount
        if value.convert is not None:
            shown = f"{self._name('convert', value.convert)}({amount})"
        parts = {"amount": shown, "currency": _present(currency)}
        entries = (f"{name!r}: {parts.get(field, repr('Money'))}" for name, field in value.names)
        missing = "missing()" if value.required else "None"
        return f"({missing} if {amount} is None else {{{', '.join(entries)}}})"

    def _computed(self, value: Computed) -> str:
        compute = self._name("compute", value.compute)
        finish = self._name("finish", finisher(value.finish))
        return f"{finish}({compute}(row))"

    def _one(self, value: One, level: Level) -> str:
        name = f"shape{value.shape.number}"
        if isinstance(value.shape.level.source, Fetched):
            found = f"({name}[0] if {name} else None)"
            return _present(found) if value.required else found
        at = self._at(level, value.key)
        return f"{name}[{at}]" if value.required else f"{name}.get({at})"

    def _many(self, value: Many, level: Level) -> str:
        name = f"shape{value.shape.number}"
        if isinstance(value.shape.level.source, Fetched):
            return f"[{_present('item')} for item in {name}]" if value.required_items else name
        at = self._at(level, value.key)
        if value.listed:
            return f"[{name}[key] for key in {at}]"
        return f"{name}.get({at}, EMPTY)"

    def _either(self, value: Either, level: Level) -> str:
        kind, key = self._at(level, value.kind), self._at(level, value.key)
        return f"{self._kinds[id(value)]}.get({kind}, NONE).get({key})"

    def _own(self, value: Own, level: Level) -> str:
        """Return the expression of what a row holds; the inner ``row`` is the one held."""
        at = self._at(level, value.column)
        without = "missing()" if value.required else "None"
        item = self._item(value.shape)
        if not value.many:
            return f"({without} if {at} is None else [{item} for row in ({at},)][0])"
        gap = "missing()" if value.required_items else "None"
        items = f"[{gap} if row is None else {item} for row in {at}]"
        return f"({without} if {at} is None else {items})"

    def _part_of_row(self, value: Part, level: Level) -> str:
        inner = (f"{name!r}: {self._value(one, level)}" for name, one in value.entries)
        return f"{{{', '.join(inner)}}}"

    def _at(self, level: Level, column: str) -> str:
        """Return the expression that reads a column of ``row``, by position where that is known."""
        source = level.source
        if isinstance(source, Given | Fetched | Held):
            return f"row[{column!r}]"
        first = 0 if isinstance(source, Paged | Grouped) and source.parent is None else 1
        return f"row[{first + sorted(level.columns).index(column)}]"


def _present(expression: str) -> str:
    """Return the expression of a value that must be there; inline, because it is in every row."""
    return f"(v if (v := {expression}) is not None else missing())"


def _listed_by(source: Source) -> str:
    assert isinstance(source, Paged)
    return f"{source.listing.name} by {source.parent}"


def finisher(finish: Finish) -> Callable[[Any], Any]:
    """Return the function that turns a Python value into JSON.

    It raises `Unusual` where a value is missing, or where there is no list though there must be.
    """
    make = _maker(finish)

    def required(value: Any) -> Any:
        return missing() if value is None else make(value)

    def optional(value: Any) -> Any:
        return None if value is None else make(value)

    return required if finish.required else optional


def _maker(finish: Finish) -> Callable[[Any], Any]:
    """Return the function that makes JSON of a value that is there."""
    if finish.constant is not None:
        return lambda _value: finish.constant
    if finish.items is not None:
        item = finisher(finish.items)
        return lambda values: [item(value) for value in _listed(values)]
    if finish.entries is None:
        assert finish.convert is not None
        return finish.convert
    parts = [(name, attribute, finisher(part)) for name, attribute, part in finish.entries]

    def make(value: Any) -> Any:
        return {
            name: part(getattr(value, attribute) if attribute else value)
            for name, attribute, part in parts
        }

    return make


def _listed(values: Any) -> Any:
    return values if isinstance(values, list | tuple) else missing()


def compile_plan(plan: OperationPlan, *, traced: bool = False) -> tuple[str, Callable[..., Any]]:
    """Return the source of a plan and the function it defines.

    With ``traced`` it also says, before each statement, where in the answer it belongs.
    """
    generator = Generator(plan, traced=traced)
    source = generator.source()
    return source, generator.compiled(source)
