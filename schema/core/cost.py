"""What an operation may cost: the number of objects it may return, by page sizes.

An object field costs 1, a list field costs its page size times what one item costs, scalars cost
nothing. Page sizes may come from variables, so the cost of a document is a formula: written once,
when the document is first seen, and worked out for every request.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import FieldNode, GraphQLArgument, GraphQLField, IntValueNode, VariableNode

PAGE_ARGUMENTS = ("first", "last", "limit")
"""Arguments that say how many items a list or a connection returns."""
DEFAULT_PAGE_SIZE = 10
"""Page size of a list that nothing says more about."""
MAX_PAGE_SIZE = 1_000
"""Page sizes count no higher than this, because no list returns more."""
MUTATION_COST = 10
"""Cost of a root field of a mutation, besides the objects it returns."""
INTROSPECTION_COSTS = {"__schema": 5_000, "__type": 1_000}
"""Costs of meta fields: the objects they return, at most, of a schema of two hundred types."""

_STRAWBERRY_DEFINITION = "strawberry-definition"
_LONGEST_SIZE = 9
"""Digits read of a page size; an Int has at most one more, and a longer one is over any maximum."""


@dataclass(frozen=True, slots=True)
class VariableSize:
    """A page size that depends on the variables of the request.

    The largest of what ``variables`` and ``literal`` give, ``otherwise`` when they give nothing.
    """

    variables: tuple[str, ...]
    literal: int | None
    otherwise: int

    def given(self, values: Mapping[str, Any]) -> int:
        """Return the page size for these values of the variables."""
        sizes = [_bounded(values[name]) for name in self.variables if _is_int(values.get(name))]
        if self.literal is not None:
            sizes.append(self.literal)
        return max(sizes, default=self.otherwise)


@dataclass(frozen=True, slots=True)
class Line:
    """Stands for the result of one line of a formula."""

    number: int


Size = int | VariableSize
Amount = int | Line
"""A cost that is known already, or the line of the formula that works it out."""


class CostFormula:
    """Sums of page sizes times costs, written in lines that refer only to lines above them.

    What a fragment costs is one line, however often the fragment is spread, so the formula is no
    longer than its document. What does not depend on variables is worked out while it is written.
    """

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines: list[tuple[int, Sequence[tuple[Size, Amount]]]] = []

    def total(self, terms: Iterable[tuple[Size, Amount]]) -> Amount:
        """Write the sum of size times cost over ``terms``; return what stands for it."""
        known, unknown = 0, []
        for size, cost in terms:
            if isinstance(size, int) and isinstance(cost, int):
                known += size * cost
            elif size != 0 and cost != 0:
                unknown.append((size, cost))
        if not unknown:
            return known
        self._lines.append((known, unknown))
        return Line(len(self._lines) - 1)

    def evaluate(self, amount: Amount, variables: Mapping[str, Any]) -> int:
        """Work out ``amount`` for coerced ``variables``; linear in the length of the formula."""
        if isinstance(amount, int):
            return amount
        results: list[int] = []
        for known, unknown in self._lines[: amount.number + 1]:
            result = known
            for size, cost in unknown:
                times = size if isinstance(size, int) else size.given(variables)
                result += times * (cost if isinstance(cost, int) else results[cost.number])
            results.append(result)
        return results[amount.number]


def declared_cost(field: GraphQLField) -> int | None:
    """Return the ``cost`` of one occurrence that the field's metadata declares, if any."""
    return _metadata(field).get("cost")


def page_size(field: GraphQLField, node: FieldNode) -> Size | None:
    """Return how many items a field may return, None when nothing is said about it.

    The page argument of the query says it, else its default in the schema, else ``assumed_size`` in
    the field's metadata.
    """
    given = [a.value for a in node.arguments or () if a.name.value in PAGE_ARGUMENTS]
    literals = [_bounded(_literal(value)) for value in given if isinstance(value, IntValueNode)]
    literal = max(literals, default=None)
    variables = tuple(value.name.value for value in given if isinstance(value, VariableNode))
    if literal is not None and not variables:
        return literal
    otherwise = _assumed_size(field)
    if not variables:
        return otherwise
    return VariableSize(variables, literal, DEFAULT_PAGE_SIZE if otherwise is None else otherwise)


def _assumed_size(field: GraphQLField) -> int | None:
    """Return the page size of a field that is given none."""
    arguments = [field.args[name] for name in PAGE_ARGUMENTS if name in field.args]
    defaults = [_default(argument) for argument in arguments]
    sizes = [_bounded(default) for default in defaults if _is_int(default)]
    if sizes:
        return max(sizes)
    assumed: int | None = _metadata(field).get("assumed_size")
    if assumed is None and arguments:
        return DEFAULT_PAGE_SIZE
    return assumed


def _default(argument: GraphQLArgument) -> Any:
    """Return the default of an argument, declared in Python or in SDL."""
    if argument.default is None:
        return argument.default_value
    literal = argument.default.literal
    return _literal(literal) if isinstance(literal, IntValueNode) else argument.default.value


def _metadata(field: GraphQLField) -> Mapping[str, Any]:
    """Return the metadata that the field was declared with in Python."""
    definition = field.extensions.get(_STRAWBERRY_DEFINITION)
    return getattr(definition, "metadata", None) or {}


def _literal(value: IntValueNode) -> int:
    """Read an integer literal of any length."""
    return int(value.value) if len(value.value) <= _LONGEST_SIZE else MAX_PAGE_SIZE


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _bounded(size: int) -> int:
    return max(0, min(size, MAX_PAGE_SIZE))
