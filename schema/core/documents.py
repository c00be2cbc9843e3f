"""Documents: parsed, measured, validated once, then kept by their text."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any

from graphql import (
    BREAK,
    SKIP,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLInputType,
    GraphQLSchema,
    GraphQLSyntaxError,
    Node,
    OperationDefinitionNode,
    OverlappingFieldsCanBeMergedRule,
    ParallelVisitor,
    StringValueNode,
    ValidationContext,
    ValidationRule,
    ValueNode,
    ValuesOfCorrectTypeRule,
    VisitorAction,
    parse,
    specified_rules,
    validate,
)
from graphql.execution.collect_fields import FragmentDetails
from graphql.language.visitor import EnterLeaveVisitor
from graphql.validation.validate import ValidationAbortedError
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule

from resolvers.core.errors import LimitExceeded
from resolvers.core.metrics import Tally
from schema.core.limits import DocumentMeasure, Limits, OperationMeasure, excess, excesses, measure
from schema.core.variables import Variables

MAX_ERRORS = 20
"""Errors reported of one document or of one set of variables."""
FIELD_COMPARISONS = 100_000
"""Budget of the rule that compares fields of the same name pairwise; about 0.1 s at worst."""
BYTES_PER_TOKEN = 360
"""Memory of one token with its share of the syntax tree, measured on CPython 3.11."""
CACHE_BYTES = 64 * 1_048_576
"""Memory that kept documents may take, by estimate."""

_ABORTED = "Parsing aborted."
"""How the parser ends the message when it stops at a limit instead of at a mistake."""


class TooLarge(Exception):
    """The document passes limits; ``excesses`` names each of them."""

    def __init__(self, found: list[LimitExceeded]) -> None:
        super().__init__("; ".join(one.message for one in found))
        self.excesses = found


@dataclass(slots=True, eq=False)
class Document:
    """A document that parsed and fits the limits.

    Shared by all requests that send the same text, once it is valid.
    """

    text: str
    node: DocumentNode
    measure: DocumentMeasure
    fragments: dict[str, FragmentDefinitionNode]
    fragment_details: dict[str, FragmentDetails]
    plans: dict[Any, Any] = field(default_factory=dict)
    """What a compiler of operations keeps for this document; ordinary execution needs none."""
    tallies: dict[Any, Tally] = field(default_factory=dict)
    """Where executions are noted, by operation and what they took."""
    id: str | None = None
    """What clients may send in place of the text."""
    trusted: bool = False
    """Whether the operator registered it."""
    picked: dict[str | None, OperationMeasure] = field(default_factory=dict)
    """Operations that were picked before, by their names; None for the only one."""
    _variables: dict[int, Variables] = field(default_factory=dict)

    def variables(self, schema: GraphQLSchema, operation: OperationDefinitionNode) -> Variables:
        """Return what the operation declares of its variables."""
        found = self._variables.get(id(operation))
        if found is None:
            definitions = operation.variable_definitions or ()
            found = self._variables[id(operation)] = Variables(schema, definitions)
        return found

    def operation(self, name: str | None) -> OperationMeasure:
        """Pick the operation to run, as the GraphQL specification says (section 6.1).

        Raises:
            LookupError: no such operation, or none is named and there are several.

        """
        operations = self.measure.operations
        if name is not None:
            operations = tuple(o for o in operations if o.name == name)
            if not operations:
                raise LookupError(f"Unknown operation named '{name}'.")
        elif not operations:
            raise LookupError("Must provide an operation.")
        elif len(operations) > 1:
            raise LookupError("Must provide operation name if query contains multiple operations.")
        self.picked[name] = operations[0]
        return operations[0]

    @property
    def size(self) -> int:
        """Memory it takes, in bytes, by estimate."""
        return BYTES_PER_TOKEN * self.node.token_count + len(self.text)


class DocumentCache:
    """The valid documents used last, bounded by their number and by the memory they take.

    Trusted ones stay for good, and do not count.
    """

    def __init__(self, capacity: int, max_bytes: int = CACHE_BYTES) -> None:
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._documents: OrderedDict[str, Document] = OrderedDict()
        self._by_id: dict[str, Document] = {}
        self._trusted: dict[str, Document] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._documents)

    def get(self, text: str) -> Document | None:
        """Return the document with this text, if it is kept."""
        found = self._documents.get(text)
        if found is not None:
            self._documents.move_to_end(text)
            return found
        return self._trusted.get(text)

    def get_by_id(self, id_: str) -> Document | None:
        """Return the document with this id, if it is kept."""
        found = self._by_id.get(id_)
        if found is not None and not found.trusted:
            self._documents.move_to_end(found.text)
        return found

    def trust(self, document: Document) -> None:
        """Keep ``document`` for good."""
        assert document.id is not None
        document.trusted = True
        # several ids may stand for one text, which then is measured and compiled once
        self._by_id[document.id] = self._trusted.setdefault(document.text, document)

    def keep(self, document: Document) -> None:
        """Keep ``document``, in place of those not used for longest."""
        if document.text in self._documents or document.text in self._trusted:
            return
        self._documents[document.text] = document
        if document.id is not None:
            self._by_id[document.id] = document
        self._bytes += document.size
        while len(self._documents) > self._capacity or self._bytes > self._max_bytes:
            _, dropped = self._documents.popitem(last=False)
            self._bytes -= dropped.size
            if dropped.id is not None:
                del self._by_id[dropped.id]

    def name(self, document: Document, id_: str) -> None:
        """Let a document that was kept without an id be found by one."""
        if document.id is None:
            document.id = id_
            self._by_id[id_] = document


def id_of(text: str) -> str:
    """Return the id of a document: its SHA-256 hash, with the prefix the appendix gives it.

    https://github.com/graphql/graphql-over-http, Appendix A: Persisted Documents
    """
    return f"sha256:{sha256(text.encode(errors='surrogatepass')).hexdigest()}"


def read_document(schema: GraphQLSchema, text: str, limits: Limits) -> Document:
    """Parse and measure ``text``; the result is yet to be validated.

    Raises:
        GraphQLSyntaxError: the text is not GraphQL.
        TooLarge: it passes the limits.

    """
    if len(text) > limits.characters:
        raise TooLarge([excess("characters", len(text), limits.characters)])
    node = _parse(text, limits)
    measured = measure(schema, node)
    found = excesses(limits, measured)
    if found:
        raise TooLarge(found[:MAX_ERRORS])
    fragments = {
        definition.name.value: definition
        for definition in node.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    details = {name: FragmentDetails(fragment) for name, fragment in fragments.items()}
    return Document(text, node, measured, fragments, details)


def validation_errors(
    schema: GraphQLSchema, document: Document, *, suggest: bool
) -> list[GraphQLError]:
    """Validate ``document``; with ``suggest``, messages may name what the client could have meant.

    Raises:
        TooLarge: the document needs more comparisons than a document is worth.

    """
    errors = validate(
        schema,
        document.node,
        [_Rules],  # type: ignore[list-item]  # a visitor made with the context
        max_errors=MAX_ERRORS,
        hide_suggestions=not suggest,
    )
    if len(errors) == 1 and isinstance(errors[0], ValidationAbortedError):
        raise TooLarge([_INTRICATE])
    return errors


def _parse(text: str, limits: Limits) -> DocumentNode:
    try:
        return parse(text, max_lexical_tokens=limits.tokens, max_comments=limits.tokens)
    except GraphQLSyntaxError as error:
        if not error.message.endswith(_ABORTED):
            raise
        too_deep = "nested" in error.message
    raise TooLarge([_NESTED if too_deep else excess("tokens", None, limits.tokens)])


class _BoundedComparison(OverlappingFieldsCanBeMergedRule):
    """The rule that compares fields of the same name pairwise, with a budget of ours."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self.rule_context.remaining_complexity_budget = FIELD_COMPARISONS


_REPLACED = (OverlappingFieldsCanBeMergedRule, ValuesOfCorrectTypeRule)


class _StorableStrings(ValidationRule):
    """A string cannot hold U+0000, which PostgreSQL has no place for."""

    def enter_string_value(self, node: StringValueNode, *_: object) -> None:
        """Report the string if it does."""
        if "\0" in node.value:
            self.report_error(GraphQLError("A string cannot hold the character U+0000.", node))


class _LocatedValues(ValuesOfCorrectTypeRule):
    """The rule of graphql-core, which forgets where the lists and objects stand that it refuses."""

    _node: ValueNode

    def is_valid_value_node(
        self, node: ValueNode, input_type: GraphQLInputType | None
    ) -> VisitorAction:
        """Check a value, and remember it."""
        self._node = node
        return super().is_valid_value_node(node, input_type)

    def report_error(self, error: GraphQLError) -> None:
        """Report an error with a place."""
        super().report_error(error if error.locations else GraphQLError(error.message, self._node))


_RULES = (
    *(rule for rule in specified_rules if rule not in _REPLACED),
    _BoundedComparison,
    _LocatedValues,
    _StorableStrings,
    MaybeNullValidationRule,
)

_Methods = Sequence[tuple[int, Any, Any]]
"""Number of a rule, what it does when a node is entered, and when it is left, if anything."""


@cache
def _handlers(kind: str) -> Sequence[tuple[int, str | None, str | None]]:
    """Return which of the rules look at nodes of a kind, with the names of their methods."""
    found = []
    for number, rule in enumerate(_RULES):
        enter, leave = (
            next((name for name in (f"{when}_{kind}", when) if hasattr(rule, name)), None)
            for when in ("enter", "leave")
        )
        if enter or leave:
            found.append((number, enter, leave))
    return found


class _Rules(ParallelVisitor):
    """All rules as one, each asked only for kinds of nodes that it looks at.

    graphql-core's own looks for the methods of every rule anew with every document, which takes
    longer than to call them.
    """

    def __init__(self, context: ValidationContext) -> None:
        self._rules = [rule(context) for rule in _RULES]
        super().__init__(self._rules)

    def get_enter_leave_for_kind(self, kind: str) -> EnterLeaveVisitor:
        """Return what calls the methods for a kind, in the order of the rules."""
        found = self.enter_leave_map.get(kind)
        if found is None:
            methods = [
                (
                    number,
                    enter and getattr(self._rules[number], enter),
                    leave and getattr(self._rules[number], leave),
                )
                for number, enter, leave in _handlers(kind)
            ]
            found = self.enter_leave_map[kind] = EnterLeaveVisitor(
                _entering(methods, self.skipping) if methods else None,
                _leaving(methods, self.skipping) if methods else None,
            )
        return found


def _entering(methods: _Methods, skipping: list[Any]) -> Callable[..., None]:
    def enter(node: Node, *where: Any) -> None:
        for number, method, _ in methods:
            if method and not skipping[number]:
                result = method(node, *where)
                if result is SKIP or result is False:
                    skipping[number] = node
                elif result is BREAK or result is True:
                    skipping[number] = BREAK

    return enter


def _leaving(methods: _Methods, skipping: list[Any]) -> Callable[..., None]:
    def leave(node: Node, *where: Any) -> None:
        for number, _, method in methods:
            if skipping[number] is node:
                skipping[number] = None
            elif method and not skipping[number]:
                result = method(node, *where)
                if result is BREAK or result is True:
                    skipping[number] = BREAK

    return leave


_NESTED = LimitExceeded(
    "Nesting limit exceeded: braces or brackets are nested too deeply.",
    details={"limit": "nesting"},
)
_INTRICATE = LimitExceeded(
    "Validation limit exceeded: fragments are nested too deeply, or fields selected too often.",
    details={"limit": "validation"},
)
