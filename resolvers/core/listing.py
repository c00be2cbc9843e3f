"""Lists with typed filters, orders and keyset pages, alone or for many parents in one statement.

Pages go by keyset, not by offset: a page starts behind the values of the last row seen, so it costs
the same anywhere in the list and neither skips nor repeats rows when others are inserted
(https://use-the-index-luke.com/no-offset). Cursors follow the Relay connection specification
(https://relay.dev/graphql/connections.htm).
"""

import json
import math
import zlib
from abc import ABC, abstractmethod
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Date,
    DateTime,
    Integer,
    Numeric,
    Select,
    any_,
    bindparam,
    func,
    lateral,
    literal_column,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine

from resolvers.core.context import Reads
from resolvers.core.entity import Entity
from resolvers.core.errors import Invalid
from resolvers.core.relation import KEY
from resolvers.core.search import matches, prefix_query
from resolvers.core.statement import Statement, compile_statement
from resolvers.core.table import AMOUNT_STEPS, as_given

DEFAULT_PAGE = 50
MAX_PAGE = 200
_MOST_DIGITS = 40
COUNT_CAP = 10_001
"""totalCount stops here, so that counting cannot cost more than a page is worth."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One leaf of a filter: a SQL condition and, unless it is fixed, the value it is bound to."""

    sql: ColumnElement[bool]
    parameter: str | None


class Filter(ABC):
    """Turns the value a client gave for one filter into conditions."""

    entity_name: str | None = None
    """Name of the entity whose ids the filter takes, if it takes ids."""

    @abstractmethod
    def conditions(self, name: str) -> Mapping[str, Condition]:
        """Return every condition the filter ``name`` can add, by leaf name."""

    @abstractmethod
    def leaves(self, name: str, value: Any) -> dict[str, Any]:
        """Return the leaves that ``value`` switches on, with their bound values."""


@dataclass(frozen=True)
class OneOf(Filter):
    """The column equals one of a list of values."""

    column: ColumnElement[Any]
    entity_name: str | None = None

    def conditions(self, name: str) -> Mapping[str, Condition]:
        """Return the one membership condition."""
        values = bindparam(name, type_=ARRAY(as_given(self.column.type)))
        return {name: Condition(self.column == any_(values), name)}

    def leaves(self, name: str, value: Any) -> dict[str, Any]:
        """Bind the list of values."""
        return {name: list(value)}


@dataclass(frozen=True)
class Equals(Filter):
    """The column equals a value."""

    column: ColumnElement[Any]
    entity_name: str | None = None

    def conditions(self, name: str) -> Mapping[str, Condition]:
        """Return the one equality."""
        value = bindparam(name, type_=as_given(self.column.type))
        return {name: Condition(self.column == value, name)}

    def leaves(self, name: str, value: Any) -> dict[str, Any]:
        """Bind the value."""
        return {name: value}


@dataclass(frozen=True)
class Between(Filter):
    """The column lies between two bounds, each optional, both included."""

    column: ColumnElement[Any]

    def conditions(self, name: str) -> Mapping[str, Condition]:
        """Return the condition of each bound."""
        low, high = f"{name}_from", f"{name}_to"
        type_ = as_given(self.column.type)
        return {
            low: Condition(self.column >= bindparam(low, type_=type_), low),
            high: Condition(self.column <= bindparam(high, type_=type_), high),
        }

    def leaves(self, name: str, value: Any) -> dict[str, Any]:
        """Bind the bounds that were given; ``value`` is a (low, high) pair."""
        low, high = value
        bounds = {f"{name}_from": low, f"{name}_to": high}
        return {leaf: bound for leaf, bound in bounds.items() if bound is not None}


class AmountBetween(Between):
    """An amount lies between two bounds; the column is `sortable` by it."""

    def leaves(self, name: str, value: Any) -> dict[str, Any]:
        """Bind the steps between the bounds that were given."""
        low, high = value
        return super().leaves(
            name,
            (
                None if low is None else _within_bigint(math.ceil(low * AMOUNT_STEPS)),
                None if high is None else _within_bigint(math.floor(high * AMOUNT_STEPS)),
            ),
        )


@dataclass(frozen=True)
class Flag(Filter):
    """True adds one fixed condition, False another; None for one that adds nothing."""

    if_true: ColumnElement[bool] | None
    if_false: ColumnElement[bool] | None

    def conditions(self, name: str) -> Mapping[str, Condition]:
        """Return the fixed conditions."""
        both = {f"{name}=true": self.if_true, f"{name}=false": self.if_false}
        return {leaf: Condition(sql, None) for leaf, sql in both.items() if sql is not None}

    def leaves(self, name: str, value: Any) -> dict[str, Any]:
        """Switch on the condition of the value."""
        chosen = self.if_true if value else self.if_false
        return {} if chosen is None else {f"{name}={'true' if value else 'false'}": None}


@dataclass(frozen=True)
class Search(Filter):
    """Every word of the text begins a word of the row; ``vector`` is an indexed tsvector."""

    vector: ColumnElement[Any]

    def conditions(self, name: str) -> Mapping[str, Condition]:
        """Return the one match."""
        return {name: Condition(matches(self.vector, name), name)}

    def leaves(self, name: str, value: Any) -> dict[str, Any]:
        """Bind the words as a prefix query.

        Raises:
            Invalid: there is nothing to search for in the text, or too much.

        """
        return {name: prefix_query(value, path=("filter", name))}


@dataclass(frozen=True)
class Through(Filter):
    """A filter on another table, whose ``key`` this list's rows refer to by their ``link``."""

    link: ColumnElement[Any]
    key: ColumnElement[Any]
    filter: Filter

    @property
    def table(self) -> Any:
        """Return the table that is looked into."""
        return self.key.table

    @property
    def entity_name(self) -> str | None:  # type: ignore[override]
        """Return the entity whose ids the filter takes, if it takes ids."""
        return self.filter.entity_name

    def conditions(self, name: str) -> Mapping[str, Condition]:
        """Return the conditions as ones on the row referred to."""
        return {
            leaf: Condition(self.link.in_(select(self.key).where(inner.sql)), inner.parameter)
            for leaf, inner in self.filter.conditions(name).items()
        }

    def leaves(self, name: str, value: Any) -> dict[str, Any]:
        """Bind what the filter itself binds."""
        return self.filter.leaves(name, value)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page of a list: sizes and cursors as the client gave them, and the chosen order."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None
    order: str = ""
    descending: bool = False
    leaves: Mapping[str, Any] = field(default_factory=dict)

    def fingerprint(self) -> tuple[Any, ...]:
        """Return what makes two requests the same page of the same list."""
        leaves = tuple(
            (name, tuple(v) if isinstance(v, list) else v)
            for name, v in sorted(self.leaves.items())
        )
        return (self.first, self.after, self.last, self.before, self.order, self.descending, leaves)


class Page(NamedTuple):
    """Rows of one page in list order, and whether there are more on either side."""

    rows: Sequence[Any]
    has_next: bool
    has_previous: bool


class _Window(NamedTuple):
    """A checked page request: how many rows, from where, in which direction."""

    size: int
    backward: bool
    position: tuple[Any, ...] | None


@dataclass(frozen=True, eq=False)
class Listing:
    """A list of an entity: its filters, its orders, and the columns parents can be matched by.

    ``orders`` maps an order's name to the columns it sorts by, before the entity's key, which
    breaks ties; all of them are NOT NULL and go in one direction, so that one row comparison
    continues a page. Every filter and order is served by an index. ``defaults`` are the values of
    filters a client leaves out; ``guarded`` maps filters that tell of what not everybody may see to
    the permission they require.
    """

    name: str
    entity: Entity
    orders: Mapping[str, tuple[str, ...]]
    default_order: str
    default_descending: bool = False
    filters: Mapping[str, Filter] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    guarded: Mapping[str, str] = field(default_factory=dict)
    where: tuple[ColumnElement[bool], ...] = ()
    _statements: dict[Any, Statement] = field(default_factory=dict, repr=False)

    def request(
        self,
        *,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        order: str | None = None,
        descending: bool | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> PageRequest:
        """Describe a page; ``filters`` maps filter names to the values the client gave.

        Raises:
            Invalid: a filter value cannot be used.

        """
        leaves: dict[str, Any] = {}
        for name, value in {**self.defaults, **(filters or {})}.items():
            leaves |= self.filters[name].leaves(name, value)
        if order is None:
            order = self.default_order
            descending = self.default_descending if descending is None else descending
        return PageRequest(first, after, last, before, order, bool(descending), leaves)

    def check(self, request: PageRequest) -> None:
        """Check the sizes and cursors of a request whose page is not asked for.

        Raises:
            Invalid: they cannot be used.

        """
        self._window(request)

    async def page(self, reads: Reads, request: PageRequest, columns: frozenset[str]) -> Page:
        """Fetch one page in one statement; rows begin with ``columns`` in the order of their names.

        Raises:
            Invalid: sizes or cursors cannot be used.

        """
        window = self._window(request)
        statement = self._page_statement(request, window, columns, parent=None)
        rows = await reads.fetch(statement, self._parameters(request, window))
        return self._page(rows, request, window)

    async def pages(
        self,
        reads: Reads,
        parent: str,
        keys: Sequence[Any],
        request: PageRequest,
        columns: frozenset[str],
    ) -> list[Page]:
        """Fetch the same page for many parents in one statement, aligned with ``keys``.

        ``parent`` is the column matched with the parents' keys.

        Raises:
            Invalid: sizes or cursors cannot be used.

        """
        window = self._window(request)
        statement = self._page_statement(request, window, columns, parent=parent)
        parameters = self._parameters(request, window)
        rows = await reads.fetch(statement, {**parameters, "keys": list(keys)})
        lists: dict[Any, list[Any]] = {key: [] for key in keys}
        for row in rows:
            lists[row[0]].append(row)
        return [self._page(lists[key], request, window) for key in keys]

    async def counts(
        self, reads: Reads, parent: str | None, keys: Sequence[Any], request: PageRequest
    ) -> list[int]:
        """Count the whole list, or each parent's, up to `COUNT_CAP`, in one statement."""
        shape = ("count", parent, tuple(sorted(request.leaves)))
        statement = self._statements.get(shape)
        if statement is None:
            statement = self._statements[shape] = compile_statement(
                self._count(request, parent), f"{self.statement_name(parent)} count"
            )
        parameters = {**request.leaves, "cap": COUNT_CAP}
        if parent is None:
            rows = await reads.fetch(statement, parameters)
            return [rows[0][0]]
        rows = await reads.fetch(statement, {**parameters, "keys": list(keys)})
        counted = {row[0]: row[1] for row in rows}
        return [counted.get(key, 0) for key in keys]

    def cursor(self, request: PageRequest, row: Any) -> str:
        """Return the cursor of ``row``: where it stands in this list and order."""
        values = [_to_text(row[column]) for column in self._sorted_by(request.order)]
        text = json.dumps([self._tag(request), *values], separators=(",", ":"))
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def cursor_columns(self, order: str) -> frozenset[str]:
        """Return the columns a row needs so that its cursor can be made."""
        return frozenset(self._sorted_by(order))

    def statement_name(self, parent: str | None) -> str:
        """Return what the statements of its pages are called."""
        return self.name if parent is None else f"{self.name} by {parent}"

    # --- how a page is put together

    def _sorted_by(self, order: str) -> tuple[str, ...]:
        return (*self.orders[order], self.entity.key)

    def _tag(self, request: PageRequest) -> int:
        direction = "desc" if request.descending else "asc"
        return zlib.crc32(f"{self.name} {request.order} {direction}".encode())

    def _window(self, request: PageRequest) -> _Window:
        first, last = request.first, request.last
        if first is not None and last is not None:
            raise Invalid("Give either first or last, not both.", path=("last",))
        backward = last is not None
        size = last if last is not None else first if first is not None else DEFAULT_PAGE
        name = "last" if backward else "first"
        if not 0 <= size <= MAX_PAGE:
            raise Invalid(f"{name} must be between 0 and {MAX_PAGE}, not {size}.", path=(name,))
        if request.after is not None and backward:
            raise Invalid("after goes with first; use before with last.", path=("after",))
        if request.before is not None and not backward:
            raise Invalid("before goes with last; use after with first.", path=("before",))
        cursor = request.before if backward else request.after
        position = None
        if cursor is not None:
            position = self._position(request, cursor, "before" if backward else "after")
        return _Window(size, backward, position)

    def _position(self, request: PageRequest, cursor: str, argument: str) -> tuple[Any, ...]:
        columns = self._sorted_by(request.order)
        try:
            tag, *values = _decoded(cursor)
            of_this_list = tag == self._tag(request)
            position = tuple(
                _from_text(value, self.entity.type_of(column))
                for column, value in zip(columns, values, strict=of_this_list)
                if of_this_list
            )
        except (ValueError, ArithmeticError, RecursionError):
            raise Invalid(
                f"{argument} is not a cursor; take it from pageInfo or an edge.", path=(argument,)
            ) from None
        if not of_this_list:
            raise Invalid(
                f"{argument} is a cursor of another list or order; take it from this list.",
                path=(argument,),
            )
        return position

    def _parameters(self, request: PageRequest, window: _Window) -> dict[str, Any]:
        parameters = {**request.leaves, "limit": window.size + 1}
        if window.position is not None:
            parameters |= {f"at_{i}": value for i, value in enumerate(window.position)}
        return parameters

    def _page(self, rows: Sequence[Any], request: PageRequest, window: _Window) -> Page:
        more = len(rows) > window.size
        rows = rows[: window.size]
        if window.backward:
            return Page(rows[::-1], has_next=request.before is not None, has_previous=more)
        return Page(rows, has_next=more, has_previous=request.after is not None)

    def _page_statement(
        self, request: PageRequest, window: _Window, columns: frozenset[str], parent: str | None
    ) -> Statement:
        positioned = window.position is not None
        shape = (
            columns,
            tuple(sorted(request.leaves)),
            request.order,
            request.descending,
            window.backward,
            positioned,
            parent,
        )
        found = self._statements.get(shape)
        if found is None:
            statement = self._select_page(request, window, columns, parent)
            found = self._statements[shape] = compile_statement(
                statement, self.statement_name(parent)
            )
        return found

    def _select_page(
        self, request: PageRequest, window: _Window, columns: frozenset[str], parent: str | None
    ) -> Select[Any]:
        sort = [self.entity.expression(column) for column in self._sorted_by(request.order)]
        falling = request.descending != window.backward
        # what cursors need besides comes behind the wanted columns, so that those keep their places
        beyond = self.cursor_columns(request.order) - columns
        selected = [*sorted(columns), *sorted(beyond)]
        statement = select(*self.entity.labeled(columns), *self.entity.labeled(beyond))
        statement = self.filtered(statement, request)
        if window.position is not None:
            position = tuple_(
                *(bindparam(f"at_{i}", type_=as_given(c.type)) for i, c in enumerate(sort))
            )
            here = tuple_(*sort)
            statement = statement.where(here < position if falling else here > position)
        statement = statement.order_by(*((c.desc() if falling else c.asc()) for c in sort))
        statement = statement.limit(bindparam("limit", type_=Integer))
        if parent is None:
            return statement
        return self._for_parents(statement, parent, selected)

    def _for_parents(
        self, statement: Select[Any], parent: str, selected: Sequence[str]
    ) -> Select[Any]:
        # rows leave the lateral subquery in their order, parent after parent
        keys, key = self.unnested(parent)
        inner = lateral(statement.where(self.entity.expression(parent) == key), name="listed")
        return select(key.label(KEY), *(inner.c[name] for name in selected)).select_from(
            keys.join(inner, true())
        )

    def unnested(self, parent: str) -> tuple[Any, ColumnElement[Any]]:
        """Return a table of the parents' ``keys``, a parameter, and its column."""
        type_ = self.entity.type_of(parent)
        unnested = func.unnest(bindparam("keys", type_=ARRAY(type_)))
        keys = unnested.table_valued("key", name="parents").render_derived()
        return keys, keys.c.key

    def _count(self, request: PageRequest, parent: str | None) -> Select[Any]:
        statement = self.filtered(select(literal_column("1")), request).select_from(
            self.entity.table
        )
        statement = statement.limit(bindparam("cap", type_=Integer))
        if parent is None:
            return select(func.count()).select_from(statement.subquery("counted"))
        keys, key = self.unnested(parent)
        inner = lateral(statement.where(self.entity.expression(parent) == key), name="counted")
        return select(key, func.count()).select_from(keys.join(inner, true())).group_by(key)

    def filtered(self, statement: Select[Any], request: PageRequest) -> Select[Any]:
        """Return ``statement`` for the rows that the list has, and the request's filters leave."""
        conditions: dict[str, Condition] = {}
        for name, filter_ in self.filters.items():
            conditions |= filter_.conditions(name)
        return statement.where(
            *self.where, *(conditions[leaf].sql for leaf in sorted(request.leaves))
        )


def _within_bigint(steps: int) -> int:
    """Return the nearest number a bigint holds: no amount lies beyond it."""
    return max(-(2**63), min(steps, 2**63 - 1))


def _to_text(value: Any) -> Any:
    return value if isinstance(value, int | str) else str(value)


def _decoded(cursor: str) -> list[Any]:
    """Return what a cursor says: the tag of its list, then its position.

    Raises:
        ValueError: it is not a cursor.
        RecursionError: it is JSON nested without end.

    """
    padded = cursor + "=" * (-len(cursor) % 4)
    decoded = json.loads(b64decode(padded, b"-_", validate=True))
    if type(decoded) is not list or not decoded or type(decoded[0]) is not int:
        raise ValueError
    return decoded


def _from_text(value: Any, type_: TypeEngine[Any]) -> Any:
    """Return a cursor's value as the column's type.

    Raises:
        ValueError: it is not one.
        ArithmeticError: it is a number or an instant out of range.

    """
    if isinstance(type_, Integer):
        if type(value) is not int or not -(2**63) <= value < 2**63:
            raise ValueError
        return value
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    value.encode()  # refuses lone surrogates
    if isinstance(type_, DateTime):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    if isinstance(type_, Date):
        return date.fromisoformat(value)
    if isinstance(type_, Numeric):
        number = Decimal(value)
        if not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS:
            raise ValueError
        return number
    return value
