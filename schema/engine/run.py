"""Runs plans: compiled once per document and permissions, then level by level to the answer.

The compiled code is optimistic. Anything unusual, be it a missing value, a refused argument or a
statement that fails, makes it give way to ordinary execution, which tells what is wrong. Reads have
no effect, so running them again is safe; how often and why is counted, because it also hides our
own mistakes.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import strawberry
import structlog
from graphql import (
    DirectiveNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLObjectType,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    Visitor,
    visit,
)
from graphql.execution.values import VariableValues

from resolvers.core.context import Context
from resolvers.core.listing import Listing, PageRequest
from resolvers.core.metrics import Counts
from schema.core.connection import page_request
from schema.core.execution import Prepared
from schema.core.fields import RowType, type_name
from schema.core.info import CoreInfo
from schema.core.permissions import Denied, denials
from schema.core.stream import Item
from schema.engine.generate import Unusual, compile_plan
from schema.engine.internals import CannotPlan, Selections
from schema.engine.large import LARGE, Usual, few_at_once
from schema.engine.pieces import InPieces
from schema.engine.plan import (
    Chosen,
    Fetched,
    Followed,
    Grouped,
    Level,
    OperationPlan,
    Paged,
    Planner,
)

_log = structlog.get_logger("engine")
_MOST_REQUESTS = 64
"""Pages remembered per level."""
_MOST_VARIANTS = 64
"""Plans kept per document: one per set of permissions and of included fields."""


@dataclass(frozen=True, slots=True)
class NotCompiled:
    """Why an operation is left to ordinary execution."""

    usual: ClassVar = Usual()
    """Nothing is known of how large its answers are."""
    reason: str


@dataclass(frozen=True, slots=True)
class Compiled:
    """A plan with its generated function."""

    plan: OperationPlan
    source: str
    function: Callable[..., Any]
    bound: tuple[Level, ...]
    """Levels whose arguments are worked out for each execution."""
    choices: Mapping[int, "Choice"]
    """What answers the levels whose type is known only with their row."""
    usual: Usual
    """How large its answers were."""
    pieces: InPieces
    """How large ones are made."""

    async def run(
        self,
        context: Context,
        variables: VariableValues,
        rows: list[Any],
        *,
        in_pieces: bool = False,
    ) -> list[Any]:
        """Return the answers of ``rows``, the rows of the root level.

        With ``in_pieces`` they are made one after the other, and the values of the answer are
        encoded.

        Raises:
            Exception: anything; ordinary execution then answers.

        """
        context.stats.batches += self.plan.batches
        arguments = {level.number: _bind(level, context, variables) for level in self.bound}
        if self.choices:
            for number, choice in self.choices.items():
                arguments[number] = partial(choice.answer, context, variables, arguments[number])
        function = self.pieces.function if in_pieces else self.function
        answers: list[Any] = await function(context, context.reads, arguments, rows)
        return answers


class Choice:
    """Answers a level whose type is known only with its row, by a plan for each type met."""

    def __init__(
        self, source: Chosen, plan_for: Callable[[str, list[SelectionSetNode]], Compiled]
    ) -> None:
        self._source = source
        self._plan_for = plan_for
        self._compiled: dict[str, Compiled] = {}

    async def answer(
        self, context: Context, variables: VariableValues, given: Mapping[str, Any]
    ) -> Any:
        """Return the object as JSON, None where there is none.

        Raises:
            Unusual: a field of it is masked, which ordinary execution tells.

        """
        found = await self._source.plan.fetch(context, self._columns, **given)
        if found is None:
            return None
        type_name, row = found
        compiled = self._of(type_name)
        if compiled.plan.denied:
            raise Unusual
        [answer] = await compiled.run(context, variables, [row])
        return answer

    def _columns(self, type_name: str) -> frozenset[str]:
        return frozenset(self._of(type_name).plan.root.columns)

    def _of(self, type_name: str) -> Compiled:
        found = self._compiled.get(type_name)
        if found is None:
            found = self._compiled[type_name] = self._plan_for(type_name, self._source.sets)
        return found


def _bind(level: Level, context: Context, variables: VariableValues) -> Any:
    """Return what a level's statement is asked with, from the arguments of its field."""
    if level.request is not None:
        return level.request
    source, asked = level.source, level.arguments
    if isinstance(source, Paged):
        return _page_request(level, source.listing, context, variables)
    given = {} if asked is None else asked.values(variables)
    if isinstance(source, Grouped):
        return source.plan.ask(given, context.principal)
    if isinstance(source, Followed):
        assert source.bind is not None
        return source.bind(context, given)
    return given


def _page_request(
    level: Level, listing: Listing, context: Context, variables: VariableValues
) -> PageRequest:
    """Return the page a level asks for; a dashboard asks for the same few again and again."""
    asked = level.arguments
    if asked is None or asked.constant:
        given = {} if asked is None else asked.values(variables)
        level.request = page_request(listing, given, context.principal)
        return level.request
    key = asked.key(variables)
    known = None if key is None else level.requests.get(key)
    if known is not None:
        return known
    made = page_request(listing, asked.values(variables), context.principal)
    if key is not None:
        if len(level.requests) >= _MOST_REQUESTS:
            level.requests.clear()
        level.requests[key] = made
    return made


class Asked(NamedTuple):
    """What a plan is made for; ``kept`` holds what was compiled of its document before."""

    operation: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    kept: dict[Any, Any]
    variables: Mapping[str, Any]
    permissions: frozenset[str]
    traced: bool = False
    """Whether the plan tells where each of its statements belongs."""

    @classmethod
    def of(cls, prepared: Prepared, context: Context) -> "Asked":
        """Return what is asked by an operation that is about to run."""
        document = prepared.source
        return cls(
            prepared.operation,
            document.fragments,
            document.plans,
            prepared.variables,
            context.principal.permissions,
            prepared.traced,
        )


async def _rows(
    context: Context, compiled: Compiled | NotCompiled, items: Sequence[RowType]
) -> Sequence[Any]:
    """Return the rows of what is told; those that are found when it is told, in one statement."""
    if isinstance(compiled, NotCompiled):
        return [item.row for item in items]
    if items[0].read_by is not None:
        return [item.read_by and await item.read_by(context, item.row["id"]) for item in items]
    relation = items[0].found_by
    if relation is None:
        return [item.row for item in items]
    keys = [item.row["id"] for item in items]
    columns = frozenset(compiled.plan.root.columns)
    return await relation.batch(context.reads, keys, columns, {})


def _result(
    name: str, item: Item, told: Iterator[tuple[Any, Collection[Denied]]]
) -> ExecutionResult:
    """Return the result of a subscription for what is told, of the next answers."""
    denied: Collection[Denied]
    if isinstance(item, list):
        there = [one for one in (next(told) for _ in item) if one[0] is not None]
        data: dict[str, Any] = {name: [answer for answer, _ in there]}
        denied = there[0][1] if there else ()
    else:
        answer, denied = next(told)
        data = {name: answer}
    return ExecutionResult(data, denials(denied, data) if denied else None)


ROOT: list[Any] = [{}]
"""The one row of the root level of a query."""


class Engine:
    """Compiles and runs the reads of one schema. One per process.

    Queries are compiled whole, mutations and subscriptions below their root fields. ``outcomes``
    counts how each of these ran: ``compiled``, or why it was left to ordinary execution. A large
    answer waits at most ``wait_seconds`` until it is read.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        outcomes: Counts | None = None,
        *,
        wait_seconds: float = 2.0,
    ) -> None:
        self._outcomes: Counts = Counter() if outcomes is None else outcomes
        self._wait_seconds = wait_seconds
        self.fallbacks: Counter[str] = Counter()
        """How often ordinary execution had to answer, by reason."""
        self.schema = schema._schema  # noqa: SLF001 - the only way to graphql-core's schema
        self._converter = schema.schema_converter
        query = self.schema.query_type
        assert query is not None, "every GraphQL schema has queries"
        self._query_type = query

    def compiled(self, asked: Asked) -> Compiled | NotCompiled:
        """Return the compiled query, or why there is none."""
        if asked.operation.operation is not OperationType.QUERY:
            kind = asked.operation.operation.value
            return NotCompiled(f"the root fields of a {kind} are functions")
        return self._kept(asked, self._query_type, [asked.operation.selection_set], ())

    def compiled_below(
        self, asked: Asked, nodes: Sequence[FieldNode], type_: GraphQLObjectType
    ) -> Compiled | NotCompiled:
        """Return what ``nodes``, a root field, selects of ``type_``, or why it is not compiled."""
        name = (nodes[0].alias or nodes[0].name).value
        sets = [node.selection_set for node in nodes if node.selection_set]
        return self._kept(asked, type_, sets, (name,))

    async def result(
        self, prepared: Prepared, context: Context
    ) -> tuple[dict[str, Any] | None, Sequence[GraphQLError]] | None:
        """Return what the compiled plan answers; None where ordinary execution has to.

        Raises:
            Overloaded: a large answer waited too long until it could be read.

        """
        asked = Asked.of(prepared, context)
        compiled = self._kept(asked, self._query_type, [asked.operation.selection_set], ())
        usual = compiled.usual
        # most plans never have a large answer: they are spared the calls
        if usual.rows_per_cost and usual.rows(prepared.cost) >= LARGE:
            in_pieces = self._is_made_in_pieces(compiled, prepared)
            async with few_at_once().turn(self._wait_seconds):
                answers = await self._run(compiled, prepared, context, ROOT, in_pieces=in_pieces)
        else:
            answers = await self._run(compiled, prepared, context, ROOT)
        if answers is None:
            return None
        if usual.rows_per_cost or context.stats.rows >= LARGE:
            usual.learn(prepared.cost, context.stats.rows)
        [data], denied = answers
        return data, denials(denied, data) if denied else ()

    async def selection(
        self,
        prepared: Prepared,
        context: Context,
        info: CoreInfo,
        type_: GraphQLObjectType,
        row: Any,
    ) -> dict[str, Any] | None:
        """Return what is selected of ``row`` below a root field of a mutation or subscription."""
        compiled = self.compiled_below(Asked.of(prepared, context), info.field_nodes, type_)
        answers = await self._run(compiled, prepared, context, [row])
        if answers is None:
            return None
        [answer], denied = answers
        for one in denied:
            context.denied[id(one)] = one
        return answer  # type: ignore[no-any-return]

    async def items(
        self, prepared: Prepared, context: Context, items: Sequence[Item]
    ) -> list[ExecutionResult] | None:
        """Return the results of a subscription for what its stream tells, all in one run.

        Lists are of one type each, and what is not there any more is left out of them.
        """
        asked = Asked.of(prepared, context)
        root = self._root_field(asked)
        if root is None:
            return None
        name, nodes = root
        each = [one for item in items for one in (item if isinstance(item, list) else (item,))]
        of_type: dict[str, list[int]] = {}
        for place, one in enumerate(each):
            of_type.setdefault(type_name(type(one)), []).append(place)
        answers: list[Any] = [None] * len(each)
        refused: list[Collection[Denied]] = [()] * len(each)
        for told, places in of_type.items():
            type_ = self.schema.type_map[told]
            assert isinstance(type_, GraphQLObjectType)
            compiled = self.compiled_below(asked, nodes, type_)
            rows = await _rows(context, compiled, [each[place] for place in places])
            there = [place for place, row in zip(places, rows, strict=True) if row is not None]
            found = await self._run(
                compiled, prepared, context, [row for row in rows if row is not None]
            )
            if found is None:
                return None
            for place, answer in zip(there, found[0], strict=True):
                answers[place], refused[place] = answer, found[1]
        told_of_each = zip(answers, refused, strict=True)
        return [_result(name, item, told_of_each) for item in items]

    def _root_field(self, asked: Asked) -> tuple[str, list[FieldNode]] | None:
        """Return the one root field of a subscription by its response name; None if unclear."""
        kept = asked.kept
        key = ("root", asked.operation.name and asked.operation.name.value)
        if key not in kept:
            kept[key] = None
            type_ = self.schema.subscription_type
            including = _including_variables(asked.operation, asked.fragments)
            if type_ is not None and not including:
                selections = Selections(self.schema, asked.fragments, {})
                fields = selections.fields(type_, [asked.operation.selection_set])
                if len(fields) == 1:
                    [kept[key]] = fields.items()
        found: tuple[str, list[FieldNode]] | None = kept[key]
        return found

    def _is_made_in_pieces(self, compiled: Compiled | NotCompiled, prepared: Prepared) -> bool:
        """Tell whether a large answer is to be made in pieces."""
        if isinstance(compiled, NotCompiled) or prepared.traced:
            return False
        return compiled.pieces.pays_for(compiled.usual.rows(prepared.cost))

    async def _run(
        self,
        compiled: Compiled | NotCompiled,
        prepared: Prepared,
        context: Context,
        rows: Any,
        *,
        in_pieces: bool = False,
    ) -> tuple[list[Any], Collection[Denied]] | None:
        """Return the answers of ``rows`` and what is masked in them, None where there are none."""
        trace = context.stats.trace
        if isinstance(compiled, NotCompiled):
            self.fell_back("not compiled")
            if trace is not None:
                trace.reasons.append(compiled.reason)
            return None
        try:
            answers = await compiled.run(
                context, prepared.variable_values, rows, in_pieces=in_pieces
            )
        except Exception as error:  # noqa: BLE001 - ordinary execution tells what is wrong
            context.alone = False
            self.fell_back(_reason(error))
            if trace is not None:
                trace.reasons.append(_reason(error))
                trace.at = ""
            return None
        if trace is not None:
            trace.compiled = True
        self._outcomes["compiled"] += 1
        return answers, compiled.plan.denied

    def _kept(
        self,
        asked: Asked,
        type_: GraphQLObjectType,
        sets: list[SelectionSetNode],
        path: tuple[str, ...],
    ) -> Compiled | NotCompiled:
        """Return what was compiled before for the same operation, permissions and inclusions."""
        operation, kept = asked.operation, asked.kept
        name = operation.name.value if operation.name else None
        included = kept.get(name)
        if included is None:
            included = kept[name] = _including_variables(operation, asked.fragments)
        choices = tuple([(v, asked.variables.get(v)) for v in included]) if included else ()
        key = (name, asked.permissions, choices, type_.name, path, asked.traced)
        found: Compiled | NotCompiled | None = kept.get(key)
        if found is None:
            if len(kept) > _MOST_VARIANTS:
                kept.clear()
            selections = Selections(self.schema, asked.fragments, dict(choices))
            found = kept[key] = self._compile(selections, asked, type_, sets, path)
        return found

    def fell_back(self, reason: str) -> None:
        """Count an operation that was left to ordinary execution."""
        self.fallbacks[reason] += 1
        self._outcomes[reason] += 1
        _log.debug("left to ordinary execution", reason=reason)

    def _compile(
        self,
        selections: Selections,
        asked: Asked,
        type_: GraphQLObjectType,
        sets: list[SelectionSetNode],
        path: tuple[str, ...],
    ) -> Compiled | NotCompiled:
        types = self.schema.type_map

        def plan_for(
            type_: GraphQLObjectType, sets: list[SelectionSetNode], path: tuple[str, ...]
        ) -> Compiled:
            planner = Planner(selections, self._converter, asked.permissions)
            plan = planner.plan(type_, sets, path)
            source, function = compile_plan(plan, traced=asked.traced)
            bound = tuple(level for level in plan.levels if _needs_binding(level))
            choices = {
                level.number: Choice(level.source, plan_of_type)
                for level in bound
                if isinstance(level.source, Chosen)
            }
            return Compiled(plan, source, function, bound, choices, Usual(), InPieces(plan))

        def plan_of_type(type_name: str, sets: list[SelectionSetNode]) -> Compiled:
            chosen = types[type_name]
            assert isinstance(chosen, GraphQLObjectType)
            return plan_for(chosen, sets, ())

        try:
            return plan_for(type_, sets, path)
        except CannotPlan as refusal:
            return NotCompiled(str(refusal))
        except Exception as error:  # noqa: BLE001 - a mistake of ours costs speed, not the answer
            _log.exception("no plan could be made")
            return NotCompiled(f"a defect: {type(error).__name__}")


def _reason(error: BaseException) -> str:
    """Return what is counted of a failure: of several side by side the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__


def _needs_binding(level: Level) -> bool:
    source = level.source
    if isinstance(source, Followed):
        return source.bind is not None
    return isinstance(source, Paged | Grouped | Fetched | Chosen)


class _Including(Visitor):
    """Finds the variables that decide which fields are selected."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        if node.name.value in ("skip", "include"):
            for argument in node.arguments or ():
                if isinstance(argument.value, VariableNode):
                    self.names.add(argument.value.name.value)


def _including_variables(
    operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> tuple[str, ...]:
    visitor = _Including()
    visit(operation, visitor)
    for fragment in fragments.values():
        visit(fragment, visitor)
    return tuple(sorted(visitor.names))
