"""Aggregates of a list: its rows put in groups, with a count and measures of each group.

They stand on the list itself: the same filters, the same row security, the same parents. What an
ERP is asked every day (sales by month and category, stock by warehouse) is one statement here and
needs no report of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Date,
    FromClause,
    Integer,
    Numeric,
    Select,
    any_,
    bindparam,
    cast,
    func,
    lateral,
    literal,
    null,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine

from resolvers.core.context import Reads
from resolvers.core.errors import Invalid
from resolvers.core.listing import Listing, PageRequest
from resolvers.core.relation import KEY
from resolvers.core.statement import Statement, compile_statement

DEFAULT_GROUPS = 100
MAX_GROUPS = 1_000
MAX_GROUPINGS = 4
"""Most keys rows are grouped by at once: beyond that nobody reads the answer."""
COUNT = "count"
FUNCTIONS = ("sum", "avg", "min", "max")
"""What is worked out of each measure; the column of a row is called ``sum_net``."""
AVERAGE_DIGITS = 6
_PLACE = "_place"


class Outer(NamedTuple):
    """A table that may have no row for one that is there: ``of`` left join ``table`` on ``on``."""

    of: FromClause
    table: FromClause
    on: ColumnElement[bool]


@dataclass(frozen=True)
class Grouping:
    """One key that rows can be grouped by: the ``columns`` it shows of a group.

    ``where`` and ``outer`` join the tables that the columns are of, if they are not the list's.
    """

    columns: Mapping[str, ColumnElement[Any]]
    where: tuple[ColumnElement[bool], ...] = ()
    outer: Outer | None = None


def days_and_months(day: ColumnElement[Any]) -> dict[str, Grouping]:
    """Return the groupings by a date and by its month, ``DAY`` and ``MONTH``."""
    month = cast(func.date_trunc(literal("month"), day), Date)
    return {"DAY": Grouping({"day": day}), "MONTH": Grouping({"month": month})}


@dataclass(frozen=True, slots=True)
class GroupRequest:
    """Which groups are asked for, in which order: by their keys, or by ``order``, a column."""

    groups: tuple[str, ...] = ()
    order: str = ""
    descending: bool = False
    first: int = DEFAULT_GROUPS


@dataclass(frozen=True, eq=False)
class Aggregation:
    """What the rows of ``listing`` can be grouped by, and what can be measured of a group.

    A row of a group has the columns of all groupings, NULL where it is not grouped by them,
    ``count``, each function of each measure, and the ``constants``, which are the same in all.
    ``where`` joins the tables of measures that are not the list's, and leaves no row out.
    ``guarded`` maps measures to the permission that ordering by them takes, as reading them does.
    """

    name: str
    listing: Listing
    groups: Mapping[str, Grouping]
    measures: Mapping[str, ColumnElement[Any]]
    constants: Mapping[str, ColumnElement[Any]] = field(default_factory=dict)
    where: tuple[ColumnElement[bool], ...] = ()
    guarded: Mapping[str, str] = field(default_factory=dict)
    _statements: dict[Any, Statement] = field(default_factory=dict, repr=False)

    @property
    def orders(self) -> Sequence[str]:
        """Return the columns that groups can be ordered by, besides their keys."""
        return (COUNT, *(f"sum_{measure}" for measure in self.measures))

    def request(
        self,
        groups: Sequence[str],
        *,
        order: str = "",
        descending: bool = False,
        first: int | None = None,
    ) -> GroupRequest:
        """Describe the groups that are asked for.

        Raises:
            Invalid: there are too many, or too many keys.

        """
        wanted = tuple(dict.fromkeys(groups))
        if len(wanted) > MAX_GROUPINGS:
            raise Invalid(f"groupBy takes at most {MAX_GROUPINGS} keys.", path=("groupBy",))
        size = DEFAULT_GROUPS if first is None else first
        if not 0 <= size <= MAX_GROUPS:
            raise Invalid(f"first must be between 0 and {MAX_GROUPS}, not {size}.", path=("first",))
        return GroupRequest(wanted, order, descending, size)

    async def rows(
        self,
        reads: Reads,
        request: PageRequest,
        asked: GroupRequest,
        columns: frozenset[str],
        *,
        parent: str | None = None,
        keys: Sequence[Any] = (),
    ) -> Sequence[Any]:
        """Fetch the groups of the whole list, or with ``parent`` those of each parent's list.

        One statement for all ``keys`` of parents. A row is the parent's key, if there are parents,
        then ``columns`` in the order of their names.
        """
        statement = self._statement(request, asked, columns, parent)
        parameters = {**request.leaves, "groups": asked.first}
        if parent is not None:
            parameters["keys"] = list(keys)
        return await reads.fetch(statement, parameters)

    def statement_name(self, parent: str | None) -> str:
        """Return what its statements are called."""
        return f"{self.listing.statement_name(parent)} in groups"

    def _statement(
        self,
        request: PageRequest,
        asked: GroupRequest,
        columns: frozenset[str],
        parent: str | None,
    ) -> Statement:
        leaves = tuple(sorted(request.leaves))
        shape = (leaves, asked.groups, asked.order, asked.descending, columns, parent)
        found = self._statements.get(shape)
        if found is None:
            statement = self._select(request, asked, columns, parent)
            found = compile_statement(statement, self.statement_name(parent), fresh=True)
            self._statements[shape] = found
        return found

    def _select(
        self,
        request: PageRequest,
        asked: GroupRequest,
        columns: frozenset[str],
        parent: str | None,
    ) -> Select[Any]:
        groups = [self.groups[name] for name in asked.groups]
        keys = {name: column for group in groups for name, column in group.columns.items()}
        names = sorted(columns)
        # the count is what makes one row of a group of which nothing is asked
        needed = sorted({COUNT, *names, *keys, *([asked.order] if asked.order else [])})
        names = names or [COUNT]
        statement = select(*(self._expression(name, keys).label(name) for name in needed))
        statement = self.listing.filtered(statement, request).where(*self.where)
        for group in groups:
            statement = statement.where(*group.where)
            if group.outer is not None:
                joined = group.outer.of.outerjoin(group.outer.table, group.outer.on)
                statement = statement.select_from(joined)
        statement = statement.select_from(self.listing.entity.table).group_by(*keys.values())
        if parent is None:
            return self._first(statement, asked, names, keys)
        if keys:
            return self._first_of_each(statement, asked, names, keys, parent)
        # one group for each parent, also for those without rows
        table, key = self.listing.unnested(parent)
        statement = statement.limit(bindparam("groups", type_=Integer))
        inner = lateral(statement.where(self._owner(parent) == key), name="grouped")
        return select(key.label(KEY), *(inner.c[name] for name in names)).select_from(
            table.join(inner, true())
        )

    def _owner(self, parent: str) -> ColumnElement[Any]:
        return self.listing.entity.expression(parent)

    def _first(
        self, statement: Select[Any], asked: GroupRequest, names: Sequence[str], keys: Iterable[str]
    ) -> Select[Any]:
        """Return the first groups; found apart, for a limit in sight would have all rows sorted."""
        grouped = statement.cte("grouped").prefix_with("MATERIALIZED")
        chosen = select(*(grouped.c[name] for name in names))
        chosen = chosen.order_by(*self._order(asked, grouped.c, keys))
        return chosen.limit(bindparam("groups", type_=Integer))

    def _first_of_each(
        self,
        statement: Select[Any],
        asked: GroupRequest,
        names: Sequence[str],
        keys: Iterable[str],
        parent: str,
    ) -> Select[Any]:
        """Return the first groups of each parent."""
        owner, type_ = self._owner(parent), self.listing.entity.type_of(parent)
        parents = any_(bindparam("keys", type_=ARRAY(type_)))
        statement = statement.add_columns(owner.label(KEY)).where(owner == parents).group_by(owner)
        grouped = statement.cte("grouped")
        order = self._order(asked, grouped.c, keys)
        place = func.row_number().over(partition_by=grouped.c[KEY], order_by=order)
        placed = select(grouped, place.label(_PLACE)).subquery("placed")
        chosen = select(placed.c[KEY], *(placed.c[name] for name in names))
        return chosen.where(placed.c[_PLACE] <= bindparam("groups", type_=Integer)).order_by(
            placed.c[KEY], placed.c[_PLACE]
        )

    @staticmethod
    def _order(asked: GroupRequest, columns: Any, keys: Iterable[str]) -> list[Any]:
        """Return what groups are ordered by: what was asked for, then their keys."""
        by_keys = [columns[name] for name in keys]
        if not asked.order:
            return [key.desc() for key in by_keys] if asked.descending else by_keys
        by = columns[asked.order]
        # a group without the measure comes last, whichever end is asked for
        return [(by.desc() if asked.descending else by.asc()).nulls_last(), *by_keys]

    def _expression(self, name: str, keys: Mapping[str, ColumnElement[Any]]) -> ColumnElement[Any]:
        if name in keys:
            return keys[name]
        if name == COUNT:
            return func.count()
        if name in self.constants:
            return self.constants[name]
        function, _, measure = name.partition("_")
        if function in FUNCTIONS and measure in self.measures:
            return _measured(function, self.measures[measure])
        return cast(null(), self._type_of_key(name))

    def _type_of_key(self, name: str) -> TypeEngine[Any]:
        for group in self.groups.values():
            if name in group.columns:
                return group.columns[name].type
        raise KeyError(name)


def _measured(function: str, measure: ColumnElement[Any]) -> ColumnElement[Any]:
    called: ColumnElement[Any] = getattr(func, function)(measure)
    scale = measure.type.scale if isinstance(measure.type, Numeric) else None
    if function == "avg":
        return func.round(called, AVERAGE_DIGITS if scale is None else scale)
    # what is worked out of several columns has more digits than an amount is kept with
    return called if scale is None else func.round(called, scale)
