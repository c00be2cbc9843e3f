"""Aggregates of a connection: `aggregates(groupBy:)` beside its nodes, over the same list.

One declaration for each list: what its rows can be grouped by and what is measured stands in the
list's `Aggregation`; here it gets its types and its words. A connection with aggregates is a class
of its own, because the type of its groups is.
"""

import inspect
from collections.abc import Mapping, Sequence
from copy import copy
from enum import Enum
from typing import Annotated, Any

import strawberry

from resolvers.core.aggregation import (
    DEFAULT_GROUPS,
    FUNCTIONS,
    MAX_GROUPINGS,
    MAX_GROUPS,
    Aggregation,
    GroupRequest,
)
from resolvers.core.errors import Forbidden
from resolvers.core.loader import BatchLoader
from resolvers.core.principal import Principal
from resolvers.core.relation import pascal_case
from schema.core.connection import SortDirection
from schema.core.fields import RowType, column, declare_field, named_type, origin_of
from schema.core.info import Info, core_info
from schema.core.plan import AggregatesPlan, PartPlan
from schema.core.selection import wanted_columns

NOT_GROUPED = "null unless grouped by it"
"""What the description of a key ends with."""
BY_COUNT = {"count": "By how many rows are in the group."}
"""Description of the order by the count, which every list has."""
_FUNCTION_WORDS = {
    "sum": "Sums over the rows of the group.",
    "avg": "Averages over the rows of the group, rounded half up to the digits of the measure.",
    "min": "Least values in the group.",
    "max": "Greatest values in the group.",
}


class _Part:
    """A group's row as one of its parts sees it: under the names of the measures."""

    __slots__ = ("_plan", "_row")

    def __init__(self, row: Any, plan: PartPlan) -> None:
        self._row = row
        self._plan = plan

    def __getitem__(self, name: str) -> Any:
        """Return a column of the part."""
        return self._row[self._plan.column(name)]


def part(description: str, prefix: str, shared: frozenset[str]) -> Any:
    """Declare an object of columns of the same row, which begin with ``prefix`` there."""
    plan = PartPlan(prefix, shared)

    def resolve(root: Any, info: Info) -> Any:
        return origin_of(named_type(core_info(info).return_type)).of(_Part(root.row, plan))

    return declare_field(description, plan=plan, resolver=resolve)


def group_type(type_name: str, aggregation: Aggregation, measures: type) -> Any:
    """Finish the type of a list's groups: the decorated class has its keys, or inherits them.

    Adds ``count`` and, of the type ``measures``, what each function makes of the measures.
    """
    shared = frozenset(aggregation.constants)

    def declare(keys: type) -> Any:
        annotations: dict[str, Any] = {}
        for base in reversed(keys.__mro__):
            annotations |= vars(base).get("__annotations__", {}) if base is not RowType else {}
        # copies, because a field belongs to one type
        namespace = {name: copy(getattr(keys, name)) for name in annotations}
        annotations["count"] = int
        namespace["count"] = column("How many rows are in the group.")
        for function in FUNCTIONS:
            annotations[function] = measures
            namespace[function] = part(_FUNCTION_WORDS[function], f"{function}_", shared)
        namespace |= {
            "__annotations__": annotations,
            "__doc__": keys.__doc__,
            "__module__": keys.__module__,
        }
        made = type(keys.__name__, (RowType,), namespace)
        described = f"Rows of a list of {type_name} that have the same keys, taken together."
        return strawberry.type(made, description=described)

    return declare


def _enum(name: str, words: Mapping[str, str], description: str) -> Any:
    values = {word: strawberry.enum_value(word, description=text) for word, text in words.items()}
    made = Enum(name, values)  # type: ignore[misc]
    return strawberry.enum(made, description=description)


def aggregates(
    type_name: str,
    aggregation: Aggregation,
    group: Any,
    *,
    group_by: Mapping[str, str],
    order_by: Mapping[str, str],
) -> Any:
    """Declare the field `aggregates` of a connection of ``type_name``.

    ``group_by`` describes every grouping of the aggregation, ``order_by`` every order, by the
    column it goes by.

    Raises:
        ValueError: a grouping or an order has no description, or there is none it could be of.

    """
    _check_words(type_name, group_by, tuple(aggregation.groups))
    _check_words(type_name, order_by, tuple(aggregation.orders))
    key = _enum(f"{type_name}GroupBy", group_by, f"What a list of {type_name} can be grouped by.")
    words = {name.upper(): text for name, text in order_by.items()}
    sort = _enum(f"{type_name}GroupSort", words, f"What groups of {type_name} can be ordered by.")
    order = _order_input(type_name, sort)

    def ask(arguments: Mapping[str, Any], caller: Principal) -> GroupRequest:
        chosen = arguments.get("order_by")
        by = "" if chosen is None else chosen.field.value.lower()
        permission = aggregation.guarded.get(by.partition("_")[2])
        if permission is not None and not caller.can(permission):
            raise Forbidden(
                f"This order requires the permission {permission}.",
                path=("orderBy", "field"),
                details={"permission": permission},
            )
        return aggregation.request(
            [one.value for one in arguments.get("group_by") or ()],
            order=by,
            descending=chosen is not None and chosen.direction is SortDirection.DESC,
            first=arguments.get("first"),
        )

    async def resolve(root: Any, info: Info, **arguments: Any) -> Any:
        raw = core_info(info)
        type_ = named_type(raw.return_type)
        columns = wanted_columns(raw, type_)
        asked = ask(arguments, info.context.principal)
        if root.parent is None:
            rows = await aggregation.rows(info.context.reads, root.request, asked, columns)
        else:
            rows = await _loader(info, aggregation, root, asked).load(root.owner, columns)
        wrap = origin_of(type_).of
        return [wrap(row) for row in rows]

    signature = (
        _parameter("root", Any),
        _parameter("info", Info),
        _parameter("group_by", _group_argument(key), default=()),
        _parameter("order_by", _described(order | None, _ORDER), default=None),
        _parameter("first", _described(int, _FIRST), default=DEFAULT_GROUPS),
    )
    resolve.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
    resolve.__annotations__ = {"return": list[group]}
    return declare_field(
        "The whole list in groups, whichever page is shown. Without `groupBy` it is one group.",
        plan=AggregatesPlan(aggregation, ask),
        resolver=resolve,
        metadata={"assumed_size": DEFAULT_GROUPS},
    )


_ORDER = "In which order; by their keys, in the order of `groupBy`, where nothing is said."
_FIRST = f"At most so many groups, the first in the order asked for; up to {MAX_GROUPS}."


def _group_argument(key: Any) -> Any:
    return _described(
        list[key],
        f"Keys: rows with the same values of all of them make a group; at most {MAX_GROUPINGS}.",
    )


def _check_words(type_name: str, words: Mapping[str, str], known: Sequence[str]) -> None:
    if set(words) != set(known):
        raise ValueError(f"{type_name}: describe exactly {', '.join(known)}.")


def _order_input(type_name: str, sort: Any) -> Any:
    namespace = {
        "__annotations__": {"field": sort, "direction": SortDirection},
        "field": strawberry.field(description="What to order by."),
        "direction": strawberry.field(
            default=SortDirection.DESC, description="Which end comes first."
        ),
        "__doc__": f"Order of groups of {type_name}.",
    }
    made = type(f"{type_name}GroupOrderBy", (), namespace)
    return strawberry.input(made, description=f"How groups of {type_name} are ordered.")


def _parameter(name: str, annotation: Any, *, default: Any = inspect.Parameter.empty) -> Any:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def _described(type_: Any, description: str) -> Any:
    return Annotated[type_, strawberry.argument(description=description)]


def _loader(
    info: Info, aggregation: Aggregation, root: Any, asked: GroupRequest
) -> BatchLoader[Any, Any]:
    """Return what loads the groups of all parents at once."""
    parent, request = root.parent, root.request

    def make(context: Any) -> BatchLoader[Any, Any]:
        async def batch(keys: Sequence[Any], columns: frozenset[str]) -> Sequence[Any]:
            rows = await aggregation.rows(
                context.reads, request, asked, columns, parent=parent, keys=keys
            )
            lists: dict[Any, list[Any]] = {key: [] for key in keys}
            for row in rows:
                lists[row[0]].append(row)
            return [lists[key] for key in keys]

        name = f"{aggregation.name}By{pascal_case(parent)}"
        return BatchLoader(name, batch, stats=context.stats)

    loader: BatchLoader[Any, Any] = info.context.loader(
        (aggregation, parent, request.fingerprint(), asked), make
    )
    return loader
