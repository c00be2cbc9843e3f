"""Which columns an operation asks of a type: only those are read from the database."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLIncludeDirective,
    GraphQLObjectType,
    GraphQLSkipDirective,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    get_directive_values,
    get_named_type,
    is_abstract_type,
)

from schema.core.info import CoreInfo
from schema.core.plan import PartPlan, plan_of

CONNECTION_PATHS = (("nodes",), ("edges", "node"))
"""Where the nodes of a connection are in its selection."""


def wanted_columns(
    info: CoreInfo, type_: GraphQLObjectType, paths: Iterable[tuple[str, ...]] = ((),)
) -> frozenset[str]:
    """Return the columns that the selection below the field being resolved needs of ``type_``.

    ``paths`` lead from the field to where ``type_`` is selected. @skip and @include are not looked
    at: a column too many is read rather than one too few.
    """
    key = (type_.name, *(id(node) for node in info.field_nodes))
    known = info.context.selections
    found = known.get(key)
    if found is None:
        columns: set[str] = set()
        for path in paths:
            nodes = _at(info, list(info.field_nodes), path)
            for node in nodes:
                columns |= _columns(info, node.selection_set, type_, set())
        found = known[key] = frozenset(columns)
    return found


def _at(info: CoreInfo, nodes: list[FieldNode], path: tuple[str, ...]) -> list[FieldNode]:
    for name in path:
        nodes = [
            child
            for node in nodes
            for child in _fields(info, node.selection_set, None, set())
            if child.name.value == name
        ]
    return nodes


def _columns(
    info: CoreInfo,
    selection: SelectionSetNode | None,
    type_: GraphQLObjectType,
    seen: set[str],
) -> set[str]:
    columns: set[str] = set()
    for node in _fields(info, selection, type_, seen):
        field = type_.fields.get(node.name.value)
        plan = None if field is None else plan_of(field.extensions["strawberry-definition"])
        if isinstance(plan, PartPlan):
            assert field is not None
            part: Any = get_named_type(field.type)
            inner = _columns(info, node.selection_set, part, set())
            columns |= {plan.column(name) for name in inner}
        elif plan is not None:
            columns |= plan.needs
    return columns


def selected_names(info: CoreInfo) -> frozenset[str]:
    """Return the names of the fields selected directly below the field being resolved."""
    nodes = info.field_nodes
    fields = (one for node in nodes for one in _fields(info, node.selection_set, None, set()))
    return frozenset(one.name.value for one in fields)


def included_names(info: CoreInfo) -> frozenset[str]:
    """Return the names of the selected fields that @skip and @include do not leave out."""

    def wanted(node: SelectionNode) -> bool:
        skip = get_directive_values(GraphQLSkipDirective, node, info.variable_values)
        include = get_directive_values(GraphQLIncludeDirective, node, info.variable_values)
        return not (skip and skip["if"]) and (not include or include["if"])

    nodes = info.field_nodes
    fields = (
        one for node in nodes for one in _fields(info, node.selection_set, None, set(), wanted)
    )
    return frozenset(one.name.value for one in fields)


def _fields(
    info: CoreInfo,
    selection: SelectionSetNode | None,
    type_: GraphQLObjectType | None,
    seen: set[str],
    wanted: Callable[[SelectionNode], bool] = lambda _: True,
) -> Iterator[FieldNode]:
    """Yield the fields of a selection set, through fragments that can apply to ``type_``."""
    if selection is None:
        return
    for node in filter(wanted, selection.selections):
        if isinstance(node, FieldNode):
            yield node
        elif isinstance(node, FragmentSpreadNode):
            name = node.name.value
            if name not in seen:
                seen.add(name)
                fragment = info.fragments[name]
                if _applies(info, fragment.type_condition.name.value, type_):
                    yield from _fields(info, fragment.selection_set, type_, seen, wanted)
        elif isinstance(node, InlineFragmentNode):
            condition = node.type_condition
            if condition is None or _applies(info, condition.name.value, type_):
                yield from _fields(info, node.selection_set, type_, seen, wanted)


def _applies(info: CoreInfo, condition: str, type_: GraphQLObjectType | None) -> bool:
    if type_ is None or condition == type_.name:
        return True
    named = get_named_type(info.schema.type_map[condition])
    return is_abstract_type(named) and info.schema.is_sub_type(named, type_)
