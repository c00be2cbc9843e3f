"""What graphql-core and Strawberry do not promise and the engine needs; pinned by tests."""

from collections.abc import Iterator, Mapping
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
    VariableNode,
    Visitor,
    get_named_type,
    is_abstract_type,
    visit,
)
from graphql.execution.values import VariableValues, get_argument_values
from strawberry.types.arguments import convert_argument
from strawberry.types.field import StrawberryField


class CannotPlan(Exception):
    """The operation is left to ordinary execution; the text says what is in the way."""


def definition_of(field: GraphQLField) -> StrawberryField:
    """Return the Strawberry field behind a field of graphql-core's schema."""
    definition: StrawberryField = field.extensions["strawberry-definition"]
    return definition


class Arguments:
    """The arguments of one selected field: coerced by graphql-core, converted by Strawberry."""

    __slots__ = ("_config", "_field", "_known", "_node", "_registry", "_types", "constant")

    def __init__(self, field: GraphQLField, node: FieldNode, converter: Any) -> None:
        self._field = field
        self._node = node
        self._config = converter.config
        # resolving an argument's type is what takes Strawberry long, so it is done once
        self._types = [
            (
                argument.python_name,
                self._config.name_converter.from_argument(argument),
                argument.type,
            )
            for argument in definition_of(field).arguments
        ]
        self._known: dict[str, Any] | None = None
        self._registry = converter.scalar_registry
        self.constant = not _has_variables(node)
        """Whether the values are the same in every execution."""

    def values(self, variables: VariableValues) -> dict[str, Any]:
        """Return the arguments by Python name.

        Raises:
            GraphQLError: a value does not fit; ordinary execution tells it.

        """
        if self._known is not None:
            return self._known
        coerced = get_argument_values(self._field, self._node, variables)
        values = {
            python_name: self._converted(coerced[name], name, type_)
            for python_name, name, type_ in self._types
            if name in coerced
        }
        if self.constant:
            self._known = values
        return values

    def _converted(self, value: Any, name: str, type_: Any) -> Any:
        """Return a coerced value as resolvers get it: only input objects differ."""
        if not _has_objects(value):
            return value
        return convert_argument(value, type_, self._registry, self._config, path=(name,))


def _has_objects(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and any(_has_objects(item) for item in value)
    )


def _has_variables(node: FieldNode) -> bool:
    found: list[VariableNode] = []

    class Finder(Visitor):
        def enter_variable(self, variable: VariableNode, *_: Any) -> None:
            found.append(variable)

    for argument in node.arguments or ():
        visit(argument, Finder())
    return bool(found)


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
        self._schema = schema
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
        named = get_named_type(self._schema.type_map[condition])
        return is_abstract_type(named) and self._schema.is_sub_type(named, type_)

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
