"""How large a document is, measured in one linear walk before anything else looks at it.

Fragments make a document a small program: thirty fragments of which each spreads the next one
twice are a kilobyte of text and a billion fields. So the walk never follows a spread. It takes the
fragments leaves first, measures each exactly once, and adds that measure wherever it is spread.

The walk runs before validation, because validation is expensive for hostile documents too. It takes
any document that parses: what does not exist in the schema is counted, and left to validation.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
)

from resolvers.core.errors import LimitExceeded
from schema.core.cost import (
    DEFAULT_PAGE_SIZE,
    INTROSPECTION_COSTS,
    MUTATION_COST,
    Amount,
    CostFormula,
    declared_cost,
    page_size,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """The most a document, an operation or its execution may be.

    ``characters`` and ``tokens`` bound a document before it is parsed, ``operations`` after. The
    others bound each operation, with every fragment spread out; ``introspection_depth`` is for
    operations that only ask about the schema. ``seconds`` bounds one execution, None does not.
    """

    characters: int = 200_000
    tokens: int = 4_000
    operations: int = 20
    variables: int = 100
    depth: int = 10
    introspection_depth: int = 15
    aliases: int = 30
    directives: int = 50
    root_fields: int = 20
    cost: int = 20_000
    seconds: float | None = None
    anonymous_introspection: bool = False


@dataclass(frozen=True, slots=True)
class Measure:
    """The size of a selection set, with every fragment spread out.

    A fragment counts as often as it is spread, a field as often as it is selected. ``fields`` are
    those of the selection set itself; ``introspection`` tells that they ask only about the schema.
    ``objects`` is the cost, but for lists that leave their page size to the field the selection set
    belongs to, like ``edges`` of a connection: ``objects_per_item`` is the cost of those, to be
    multiplied by that page size.
    """

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    introspection: bool = True
    objects: Amount = 0
    objects_per_item: Amount = 0


_NOTHING = Measure()
_TELLABLE = 1_000_000_000
"""Counts above this are told as more than this; fragments can take them to hundreds of digits."""


@dataclass(frozen=True, slots=True)
class OperationMeasure:
    """The size of an operation; ``cost`` is to be evaluated by the formula of its document."""

    node: OperationDefinitionNode
    depth: int
    root_fields: int
    aliases: int
    directives: int
    variables: int
    introspection: bool
    cost: Amount

    @property
    def name(self) -> str | None:
        """The operation's name, None if it has none."""
        return self.node.name.value if self.node.name else None


@dataclass(frozen=True, slots=True)
class DocumentMeasure:
    """The sizes of the operations of a document, and the formula of their costs."""

    operations: tuple[OperationMeasure, ...]
    formula: CostFormula


def measure(schema: GraphQLSchema, document: DocumentNode) -> DocumentMeasure:
    """Measure every operation of ``document``, in time linear in its length.

    Recurses into selection sets, with fewer frames for each than the parser took, and not into
    fragments: whatever could be parsed can be measured.
    """
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    walk = _Walk(schema)
    for fragment in leaves_first(fragments):
        walk.fragment(fragment)
    operations = tuple(
        walk.operation(definition)
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
    )
    return DocumentMeasure(operations, walk.formula)


def leaves_first(
    fragments: Mapping[str, FragmentDefinitionNode],
) -> Collection[FragmentDefinitionNode]:
    """Order fragments so that each comes after those it spreads; a cycle is cut where it closes.

    Takes no recursion, because a chain of fragments may be longer than the stack is high.
    """
    ordered: dict[str, FragmentDefinitionNode] = {}
    entered: set[str] = set()
    stack = list(fragments)
    while stack:
        name = stack[-1]
        if name in entered:
            ordered.setdefault(stack.pop(), fragments[name])
        else:
            entered.add(name)
            spread = spreads(fragments[name].selection_set)
            stack += (n for n in spread if n in fragments and n not in entered)
    return ordered.values()


def spreads(selection_set: SelectionSetNode) -> Iterator[str]:
    """Yield the names of the fragments spread anywhere in ``selection_set``."""
    stack = [selection_set]
    while stack:
        for selection in stack.pop().selections:
            if isinstance(selection, FragmentSpreadNode):
                yield selection.name.value
            elif isinstance(selection, FieldNode | InlineFragmentNode) and selection.selection_set:
                stack.append(selection.selection_set)


def excesses(limits: Limits, document: DocumentMeasure) -> list[LimitExceeded]:
    """Return every limit that ``document`` passes, but for the cost, which needs the variables."""
    found = [("operations", len(document.operations), limits.operations)]
    for operation in document.operations:
        depth = limits.introspection_depth if operation.introspection else limits.depth
        found += [
            ("variables", operation.variables, limits.variables),
            ("depth", operation.depth, depth),
            ("aliases", operation.aliases, limits.aliases),
            ("directives", operation.directives, limits.directives),
            ("root fields", operation.root_fields, limits.root_fields),
        ]
    return [excess(*values) for values in found if values[1] > values[2]]


def excess(limit: str, found: int | None, maximum: int) -> LimitExceeded:
    """Return the error that names a limit, the value found and the maximum.

    ``found`` is None where counting stopped at the maximum.
    """
    details: dict[str, object] = {"limit": limit, "maximum": maximum}
    if found is None:
        told = f"more than {maximum:,}"
    elif found > _TELLABLE:
        told = f"more than {_TELLABLE:,}"
    else:
        told = f"{found:,}"
        details["found"] = found
    message = f"{limit.capitalize()} limit exceeded: {told} found, {maximum:,} allowed."
    return LimitExceeded(message, details=details)


class _Walk:
    """Measures definitions, fragments before whatever spreads them."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._fragments: dict[str, Measure] = {}
        self.formula = CostFormula()

    def fragment(self, node: FragmentDefinitionNode) -> None:
        """Measure a fragment, to be added wherever it is spread."""
        parent = self._schema.get_type(node.type_condition.name.value)
        found = self._selections(node.selection_set, parent, node.directives)
        self._fragments[node.name.value] = found

    def operation(self, node: OperationDefinitionNode) -> OperationMeasure:
        """Measure an operation."""
        variables = node.variable_definitions or ()
        directives = [*(node.directives or ()), *(d for v in variables for d in v.directives or ())]
        root = self._schema.get_root_type(node.operation)
        found = self._selections(node.selection_set, root, directives)
        return OperationMeasure(
            node=node,
            depth=found.depth,
            root_fields=found.fields,
            aliases=found.aliases,
            directives=found.directives,
            variables=len(variables),
            introspection=found.introspection,
            cost=self.formula.total(
                [(1, found.objects), (DEFAULT_PAGE_SIZE, found.objects_per_item)]
            ),
        )

    def _selections(
        self,
        node: SelectionSetNode | None,
        parent: GraphQLNamedType | None,
        directives: Collection[DirectiveNode] | None = (),
    ) -> Measure:
        """Measure a selection set on ``parent``, and the directives of what it belongs to."""
        found = [Measure(directives=len(directives or ()))]
        for selection in node.selections if node else ():
            if isinstance(selection, FieldNode):
                found.append(self._field(selection, parent))
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                on = self._schema.get_type(condition.name.value) if condition else parent
                found.append(self._selections(selection.selection_set, on, selection.directives))
            elif isinstance(selection, FragmentSpreadNode):
                found.append(Measure(directives=len(selection.directives or ())))
                found.append(self._fragments.get(selection.name.value, _NOTHING))
        return self._side_by_side(found)

    def _side_by_side(self, parts: Collection[Measure]) -> Measure:
        """Return the measure of a selection set made of ``parts``."""
        return Measure(
            depth=max(part.depth for part in parts),
            fields=sum(part.fields for part in parts),
            aliases=sum(part.aliases for part in parts),
            directives=sum(part.directives for part in parts),
            introspection=all(part.introspection for part in parts),
            objects=self.formula.total((1, part.objects) for part in parts),
            objects_per_item=self.formula.total((1, part.objects_per_item) for part in parts),
        )

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> Measure:
        """Measure a field with all that is selected below it."""
        name = node.name.value
        field = self._schema.get_field(parent, name) if is_composite_type(parent) else None
        kind = get_named_type(field.type) if field else None
        below = self._selections(node.selection_set, kind, node.directives)
        about_schema = name.startswith("__")
        objects, objects_per_item = (
            (INTROSPECTION_COSTS.get(name, 0), 0)
            if about_schema
            else self._cost(node, field, parent, below)
        )
        return Measure(
            depth=1 + below.depth,
            fields=1,
            aliases=below.aliases + (node.alias is not None),
            directives=below.directives,
            introspection=about_schema,
            objects=objects,
            objects_per_item=objects_per_item,
        )

    def _cost(
        self,
        node: FieldNode,
        field: GraphQLField | None,
        parent: GraphQLNamedType | None,
        below: Measure,
    ) -> tuple[Amount, Amount]:
        """Return the objects a field costs, and those per item of the page around it."""
        total = self.formula.total
        own = self._own_cost(node, field, parent)
        size = page_size(field, node) if field else None
        if field is None or not is_list_type(get_nullable_type(field.type)):
            handed_down = DEFAULT_PAGE_SIZE if size is None else size
            lists_below = (handed_down, below.objects_per_item)
            return total([(1, own), (1, below.objects), lists_below]), 0
        lists_below = (DEFAULT_PAGE_SIZE, below.objects_per_item)
        item = total([(1, own), (1, below.objects), lists_below])
        return (0, item) if size is None else (total([(size, item)]), 0)

    def _own_cost(
        self, node: FieldNode, field: GraphQLField | None, parent: GraphQLNamedType | None
    ) -> int:
        """Return what one occurrence of a field costs without what is below it."""
        declared = declared_cost(field) if field else None
        if declared is not None:
            return declared
        if parent is not None and parent is self._schema.mutation_type:
            return MUTATION_COST
        return int(node.selection_set is not None)
