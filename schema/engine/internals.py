"""What graphql-core and Strawberry do not promise and the engine needs; pinned by tests."""

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Any

from graphql import (
    BooleanValueNode,
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLIncludeDirective,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLSkipDirective,
    InlineFragmentNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    Visitor,
    get_named_type,
    is_abstract_type,
    visit,
)
from graphql.execution.values import VariableValues, get_argument_values
from strawberry.types.field import StrawberryField

from schema.core.inputs import build_for


class CannotPlan(Exception):
    """The operation is left to ordinary execution; the text says what is in the way."""


def definition_of(field: GraphQLField) -> StrawberryField:
    """Return the Strawberry field behind a field of graphql-core's schema."""
    definition: StrawberryField = field.extensions["strawberry-definition"]
    return definition


class _Absent:
    """Stands for a variable that was not given."""


_ABSENT = _Absent()
_COMPARABLE = frozenset({str, int, bool, date, type(None), _Absent})
"""Types of which equal values are the same value; decimals, for one, may differ in their zeros."""


class Arguments:
    """The arguments of one selected field: coerced by graphql-core, converted by Strawberry.

    Those without variables are worked out once, and one that is a variable is what the variable was
    coerced to; so a request pays for literals that hold variables, and for input objects.
    """

    __slots__ = (
        "_asked",
        "_direct",
        "_field",
        "_fixed",
        "_known",
        "_nested",
        "_node",
        "_variables",
        "constant",
    )

    def __init__(self, field: GraphQLField, node: FieldNode, converter: Any) -> None:
        self._field = field
        self._node = node
        self._asked = {
            name: _Asked(argument.python_name, argument.type, converter)
            for argument in definition_of(field).arguments
            if (name := converter.config.name_converter.from_argument(argument))
        }
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        direct = {n: v.name.value for n, v in given.items() if isinstance(v, VariableNode)}
        nested = {n for n, v in given.items() if n not in direct and _variables(v)}
        self._variables = sorted({name for value in given.values() for name in _variables(value)})
        self._direct = direct
        self._nested = nested
        self._fixed = set(field.args) - set(direct) - nested
        self._known: dict[str, Any] | None = None
        self.constant = not direct and not nested
        """Whether the values are the same in every execution."""

    def values(self, variables: VariableValues) -> dict[str, Any]:
        """Return the arguments by Python name.

        Raises:
            GraphQLError: a value does not fit; ordinary execution tells it.

        """
        if self._known is None:
            self._known = self._coerced(self._fixed, variables)
        if self.constant:
            return self._known
        values = dict(self._known)
        coerced = variables.coerced
        others = self._nested
        for name, variable in self._direct.items():
            value = coerced.get(variable)
            if value is None:
                # null, or not given: there may be a default, or an error to tell
                others = others | {name}
            else:
                asked = self._asked[name]
                values[asked.python_name] = asked.converted(value)
        return values | self._coerced(others, variables) if others else values

    def key(self, variables: VariableValues) -> tuple[Any, ...] | None:
        """Return what decides about the values, None where it cannot be compared exactly."""
        coerced = variables.coerced
        key = tuple(coerced.get(name, _ABSENT) for name in self._variables)
        return key if _COMPARABLE.issuperset(map(type, key)) else None

    def _coerced(self, names: Collection[str], variables: VariableValues) -> dict[str, Any]:
        """Return some of the arguments, coerced as the specification says in section 6.4.1."""
        arguments = tuple(a for a in self._node.arguments or () if a.name.value in names)
        coerced = get_argument_values(
            GraphQLField(self._field.type, {name: self._field.args[name] for name in names}),
            FieldNode(name=self._node.name, arguments=arguments),
            variables,
        )
        return {
            self._asked[name].python_name: self._asked[name].converted(value)
            for name, value in coerced.items()
        }


class _Asked:
    """An argument as its resolver knows it."""

    __slots__ = ("_build", "python_name")

    def __init__(self, python_name: str, type_: Any, converter: Any) -> None:
        self.python_name = python_name
        self._build = build_for(type_, converter)

    def converted(self, value: Any) -> Any:
        """Return a coerced value as resolvers get it: only input objects differ."""
        build = self._build
        return value if build is None or value is None else build(value)


def _variables(value: ValueNode) -> list[str]:
    """Return the names of the variables in a value."""
    found: list[str] = []

    class Finder(Visitor):
        def enter_variable(self, variable: VariableNode, *_: Any) -> None:
            found.append(variable.name.value)

    visit(value, Finder())
    return found


class Selections:
    """Collects the fields of selection sets, as the specification says in section 6.3.2.

    ``included`` are the variables used by @skip and @include, with their values, None for one that
    is null: the only variables a plan depends on.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        included: Mapping[str, bool | None],
    ) -> None:
        self.schema = schema
        self._fragments = fragments
        self._included = included

    def fields(
        self, type_: GraphQLObjectType, sets: list[SelectionSetNode]
    ) -> dict[str, list[FieldNode]]:
        """Return the selected fields of ``type_`` by response name, in document order.

        Raises:
            CannotPlan: a condition is null, which ordinary execution tells.

        """
        found: dict[str, list[FieldNode]] = {}
        seen: set[str] = set()
        for selection_set in sets:
            for node in self._walk(type_, selection_set, seen):
                name = node.alias.value if node.alias else node.name.value
                found.setdefault(name, []).append(node)
        return found

    def _walk(
        self, type_: GraphQLObjectType, selection_set: SelectionSetNode, seen: set[str]
    ) -> Iterator[FieldNode]:
        for node in selection_set.selections:
            if not self._wanted(node.directives):
                continue
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                if condition is None or self._applies(condition.name.value, type_):
                    yield from self._walk(type_, node.selection_set, seen)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                fragment = self._fragments[node.name.value]
                if self._applies(fragment.type_condition.name.value, type_):
                    yield from self._walk(type_, fragment.selection_set, seen)

    def _applies(self, condition: str, type_: GraphQLObjectType) -> bool:
        if condition == type_.name:
            return True
        named = get_named_type(self.schema.type_map[condition])
        return is_abstract_type(named) and self.schema.is_sub_type(named, type_)

    def _wanted(self, directives: tuple[DirectiveNode, ...] | None) -> bool:
        for directive in directives or ():
            name = directive.name.value
            if name == GraphQLSkipDirective.name and self._condition(directive):
                return False
            if name == GraphQLIncludeDirective.name and not self._condition(directive):
                return False
        return True

    def _condition(self, directive: DirectiveNode) -> bool:
        assert directive.arguments, "validation sees to it that there is a condition"
        value = directive.arguments[0].value
        if isinstance(value, VariableNode):
            chosen = self._included[value.name.value]
            if chosen is None:
                raise CannotPlan(f"${value.name.value} decides what is selected, and is null")
            return chosen
        assert isinstance(value, BooleanValueNode)
        return value.value
