"""From a GraphQL request to an answer: what every transport calls.

A transport hands over a `GraphQLRequest`, gets a `Prepared` operation or a `Refused`, and then
either executes it once or subscribes. Formatting, masking and limits happen here, so that HTTP,
WebSocket and SSE cannot drift apart.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from time import perf_counter
from typing import Any, Final, NamedTuple, Protocol, TypeGuard, cast

import orjson
import strawberry
import structlog
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    default_field_resolver,
    default_type_resolver,
    located_error,
)
from graphql.execution import (
    create_source_event_stream,
    execute_root_selection_set,
    get_variable_values,
)
from graphql.execution.values import VariableValues
from strawberry.execution import optimized_is_awaitable

from resolvers.core.context import Context, OperationStats, SteadyReads
from resolvers.core.deadline import Deadlines
from resolvers.core.errors import (
    ErrorCode,
    Invalid,
    Overloaded,
    TimedOut,
    Unauthenticated,
    UnknownDocument,
    UntrustedDocument,
)
from resolvers.core.metrics import TOGETHER, Counts, Tally
from resolvers.core.outbox import LOG_POSITION
from resolvers.core.stream import MOST_SHOWN, Shown
from schema.core.completion import CompletingExecutor
from schema.core.cost import Amount
from schema.core.documents import (
    MAX_ERRORS,
    Document,
    DocumentCache,
    TooLarge,
    id_of,
    read_document,
    validation_errors,
)
from schema.core.error_format import Log, tell_expected, tell_failures, tell_refusal
from schema.core.fields import RowType
from schema.core.info import CoreInfo
from schema.core.introspection import Introspections
from schema.core.limits import Limits, OperationMeasure, excess
from schema.core.live import Live, Subscriber, passes
from schema.core.node import node_of
from schema.core.permissions import denials
from schema.core.shadow import Shadow
from schema.core.stream import Item, Opened, SnapshotReason, Stream
from schema.core.tracing import begin_trace, require_trace, told_trace

_is_awaitable = cast("Callable[[Any], TypeGuard[Awaitable[Any]]]", optimized_is_awaitable)

_UNKNOWN = "PersistedQueryNotFound"
"""What clients of automatic persisted queries look for, to send the document itself."""
_RELAY_SECONDS = 0.05
"""Until it is looked again whether what a state shows has places."""
_MOST_TOLD = 1_000
"""Documents told of in an audit; more tell nothing new."""
_MOST_TALLIES = 32
"""Tallies of a document: of an operation one for each number of rows, and so on."""

SLOW_SECONDS: Final = 0.1
"""From so long on an execution is reported by itself, also where others went well."""

ContextFactory = Callable[[], AbstractAsyncContextManager[Context]]
"""Opens one `Context`: once per query or mutation, once per event of a subscription."""


class GraphQLRequest(NamedTuple):
    """One request as a transport decoded it; types are already checked, contents are not.

    ``document_id`` stands for a document that was sent before or is trusted, see `documents.id_of`;
    ``query`` is None where only the id was sent.
    """

    query: str | None
    operation_name: str | None = None
    variables: Mapping[str, Any] | None = None
    extensions: Mapping[str, Any] | None = None
    document_id: str | None = None


class Refusal(Enum):
    """Why a request was refused before it ran; transports map it to a status."""

    SYNTAX = "syntax"
    VALIDATION = "validation"
    LIMIT = "limit"
    OPERATION = "operation"
    VARIABLES = "variables"
    FORBIDDEN = "forbidden"
    DOCUMENT = "document"
    UNTRUSTED = "untrusted"


class Admission(Enum):
    """Which documents run: all, all with a log of those not trusted, or the trusted ones alone."""

    ANY = "any"
    AUDIT = "audit"
    TRUSTED = "trusted"


class Refused(Exception):
    """The request never ran. ``errors`` are formatted, bounded and free of suggestions."""

    def __init__(self, kind: Refusal, errors: list[dict[str, Any]]) -> None:
        super().__init__(kind.value)
        self.kind = kind
        self.errors = errors


class Prepared(NamedTuple):
    """An operation that parsed, validated and fits the limits; ready to run.

    ``variables`` are coerced, with defaults filled in. ``source`` is shared by all requests with
    the same document.
    """

    document: DocumentNode
    operation: OperationDefinitionNode
    operation_type: OperationType
    operation_name: str | None
    variables: Mapping[str, Any]
    cost: int
    source: Document
    variable_values: VariableValues
    kept: bool = True
    """Whether the document had been read before."""
    traced: bool = False
    """Whether the answer is to tell how it came about."""
    introspection: bool = False
    """Whether it asks about the schema alone."""


@dataclass(slots=True)
class Answer:
    """The result of an operation or of one event, ready to encode as JSON.

    ``data`` None with errors means the operation ran and its root was nulled. Values of it may be
    encoded already, as orjson's fragments.
    """

    data: dict[str, Any] | None
    errors: list[dict[str, Any]] = field(default_factory=list)
    extensions: dict[str, Any] = field(default_factory=dict)
    over: bool = False
    """Whether nothing comes after it, of a stream."""

    def body(self) -> dict[str, Any]:
        """Return the response map; ``errors`` first, as the specification recommends."""
        body: dict[str, Any] = {}
        if self.errors:
            body["errors"] = self.errors
        body["data"] = self.data
        if self.extensions:
            body["extensions"] = self.extensions
        return body


class OperationReport(NamedTuple):
    """What one execution took, for metrics and logs: an operation, or one event of a subscription.

    ``codes`` are those of its errors, in order. ``canceled`` tells that nobody got the answer.
    """

    name: str | None
    type: OperationType
    cost: int
    seconds: float
    stats: OperationStats
    codes: tuple[str, ...]
    canceled: bool


Listener = Callable[[OperationReport], object]
"""Gets reports of executions."""


class Tallies(Protocol):
    """Where executions are counted that went as others before them."""

    def tally(
        self, name: str | None, type_: OperationType, cost: int, stats: OperationStats
    ) -> Tally:
        """Return where to note executions that succeed and take the same as one that is over."""
        ...


class Engine(Protocol):
    """Another way to answer, faster than ordinary execution and with the same answers."""

    async def result(
        self, prepared: Prepared, context: Context
    ) -> tuple[dict[str, Any] | None, Sequence[GraphQLError]] | None:
        """Return data and errors of a query; None where ordinary execution has to answer.

        Raises:
            Overloaded: there are too many for it to begin.

        """
        ...

    async def items(
        self, prepared: Prepared, context: Context, items: Sequence[Item]
    ) -> list[ExecutionResult] | None:
        """Return the results of a subscription for what its stream tells, all in one run.

        None where ordinary execution has to answer. Raises nothing but cancellation.
        """
        ...

    async def selection(
        self,
        prepared: Prepared,
        context: Context,
        info: CoreInfo,
        type_: GraphQLObjectType,
        row: Any,
    ) -> dict[str, Any] | None:
        """Return what is selected of ``row`` below a root field of a mutation or subscription.

        None where ordinary execution has to answer. Raises nothing but cancellation.
        """
        ...


class UntrustworthyDocument(Exception):
    """A document that was to be trusted cannot run; ``id`` names it."""

    def __init__(self, id_: str, reason: str) -> None:
        super().__init__(f"document {id_}: {reason}")
        self.id = id_


class Executor:
    """Runs operations over one schema. One per process; holds the document cache.

    Executions that went well are noted in tallies of ``metrics``. Each of ``notable`` gets a report
    of the others: what failed, was canceled or slow, and mutations. Each of ``listeners`` gets one
    of all. None of them may raise. ``lookups`` counts how often a document had been kept: ``hit``
    or ``miss``.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        limits: Limits,
        *,
        cache_size: int = 1_000,
        logger: Log | None = None,
        listeners: Sequence[Listener] = (),
        notable: Sequence[Listener] = (),
        metrics: Tallies | None = None,
        lookups: Counts | None = None,
        engine: Engine | None = None,
        admission: Admission = Admission.ANY,
        on_admission: Callable[[str], None] = lambda _outcome: None,
        shadow: Shadow | None = None,
    ) -> None:
        self._schema = schema._schema  # noqa: SLF001 - the only way to graphql-core's schema
        self._limits = limits
        self._deadlines = Deadlines(limits.seconds)
        self._documents = DocumentCache(cache_size)
        self._log: Log = logger or structlog.get_logger(__name__)
        self._listeners = listeners
        self._notable = notable
        self._metrics = metrics
        self._lookups: Counts = Counter() if lookups is None else lookups
        self._engine = engine
        self._admission = admission
        self._on_admission = on_admission
        self._shadow = shadow
        self._told_untrusted: set[str] = set()
        self._introspections = Introspections()
        self.live = Live()
        """The live streams of this process."""

    def trust(self, documents: Mapping[str, str]) -> None:
        """Take documents by id that run without being parsed again, and are never forgotten.

        Raises:
            UntrustworthyDocument: one is not valid against the schema, or passes a limit.

        """
        for id_, text in documents.items():
            try:
                document = self._documents.get(text) or self._read(text, known_caller=True)
                self._validate(document, known_caller=True, keep=False)
            except Refused as refused:
                raise UntrustworthyDocument(id_, refused.errors[0]["message"]) from None
            self._documents.trust(replace(document, id=id_))

    def prepare(self, request: GraphQLRequest, *, known_caller: bool) -> Prepared:
        """Parse, bound, validate and pick the operation; cached by document text.

        An unknown caller may ask about the schema, where the limits allow that, and nothing else.

        Raises:
            Refused: with the reason and the errors to send.

        """
        kept = self._kept(request)
        self._lookups["miss" if kept is None else "hit"] += 1
        if self._admission is not Admission.ANY:
            self._admit(request, kept)
        document = kept or self._read(request.query or "", known_caller)
        name = request.operation_name
        operation = document.picked.get(name) or _pick(document, name)
        if not known_caller:
            self._admit_stranger(operation)
        if kept is None:
            document.id = request.document_id
            self._validate(document, known_caller, keep=known_caller)
        values = self._coerce(document, operation, request.variables, known_caller=known_caller)
        cost = operation.cost
        if type(cost) is not int or cost > self._limits.cost:
            cost = self._cost(document, cost, values)
        # in the order of the fields: by their names it takes five times as long, each time
        return Prepared(
            document.node,
            operation.node,
            operation.node.operation,
            operation.name,
            values.coerced,
            cost,
            document,
            values,
            kept is not None,
            request.extensions is not None and request.extensions.get("trace") is True,
            operation.introspection,
        )

    def execute(self, prepared: Prepared, contexts: ContextFactory) -> Coroutine[Any, Any, Answer]:
        """Run a query or mutation once; never raises but for cancellation."""
        if self._shadow is not None and prepared.operation_type is OperationType.QUERY:
            return self._shadowed(self._shadow, prepared, contexts)
        return self._answer(prepared, contexts, None)

    async def _shadowed(
        self, shadow: Shadow, prepared: Prepared, contexts: ContextFactory
    ) -> Answer:
        answer = await self._answer(prepared, contexts, None)
        self._compare(shadow, prepared, contexts)
        return answer

    def subscribe(
        self,
        prepared: Prepared,
        contexts: ContextFactory,
        *,
        resumes_after: str | None = None,
        transport: str | None = None,
    ) -> Subscriber:
        """Run a subscription: an iterator over its encoded answers, which is to be closed.

        ``resumes_after`` is the cursor of the last answer that the client got, where its
        ``transport`` tells that. A failing source yields one last answer with ``data`` None and its
        error.
        """
        return self.live.open(
            self, prepared, contexts, resumes_after=resumes_after, transport=transport
        )

    async def open_source(self, prepared: Prepared, context: Context) -> Any:
        """Return the source of a subscription's events, or the result that refuses it."""
        if prepared.traced:
            require_trace(context)
        return await self._source(prepared, context)

    async def refuse_stream(
        self, prepared: Prepared, contexts: ContextFactory
    ) -> list[dict[str, Any]]:
        """Return why a stream that can be resumed would not start: its errors, none if it would.

        Raises:
            TimedOut: it took longer than an operation may.

        """
        async with contexts() as context:
            source = await self._source(prepared, context)
            if isinstance(source, ExecutionResult):
                return self._told(source, context.request_id).errors
        if isinstance(source, Opened) and source.stream.resumes:
            return []
        refusal = Invalid("document must be a subscription that can be resumed: one with after.")
        return [tell_expected(refusal)]

    async def answers(
        self,
        prepared: Prepared,
        contexts: ContextFactory,
        items: Sequence[Item],
    ) -> list[Answer]:
        """Return the answers to what a stream tells, evaluated together; never raises."""
        if self._engine is not None and not prepared.traced:
            found = await self._answer_together(self._engine, prepared, contexts, items)
            if found is not None:
                return found
        answers: list[Answer] = []
        for item in items:
            answers.append(await self._answer(prepared, contexts, item))
            if passes(answers[-1]):
                # the others would wait for the same, one after the other, and are asked again too
                answers += answers[-1:] * (len(items) - len(answers))
                break
        return answers

    async def answer_event(
        self, prepared: Prepared, contexts: ContextFactory, event: object
    ) -> Answer:
        """Return the answer to one event, in a context of its own; never raises."""
        return await self._answer(prepared, contexts, event)

    async def snapshot(
        self,
        prepared: Prepared,
        contexts: ContextFactory,
        opened: Opened,
        reason: SnapshotReason,
    ) -> tuple[int, Shown | None, Answer]:
        """Return the state of a stream as of one moment: its place in the log, and the answer.

        With them the events that the state shows though they have no place yet. Where those are
        too many to be named by a cursor, it is read once they are fewer.

        Raises:
            Overloaded: they were too many for as long as an operation may take.
            TimedOut: it took longer than that.
            Exception: the log could not be read.

        """
        stream, make = opened.stream, opened.stream.snapshot
        assert make is not None
        started = perf_counter()
        answer: Answer | None = None
        deadline = self._deadlines.begin()
        context: Context | None = None
        waits = False
        try:
            with deadline:
                while True:
                    async with contexts() as context, cast(SteadyReads, context.reads).at_once():
                        place, shown = await _position(context, stream)
                        # without a cursor nothing has to be named
                        waits = stream.resumes and shown is not None and not shown.fits
                        if not waits:
                            told = await make(stream.interest, str(place), reason, context)
                            answer = await self._state(prepared, context, told)
                            row = told.row if isinstance(told, RowType) else None
                            answer.over = stream.is_over(row)
                            break
                    await asyncio.sleep(_RELAY_SECONDS)
        except TimeoutError:
            if not deadline.expired:
                raise
            if waits:
                raise Overloaded(
                    "Too many changes wait for their place in the log to tell which of them the "
                    "state shows; subscribe again."
                ) from None
            raise self._out_of_time() from None
        finally:
            self._report(prepared, started, context, answer)
        return place, shown, answer

    async def _state(self, prepared: Prepared, context: Context, told: Any) -> Answer:
        """Return the answer to a state; what a list of it has is evaluated together."""
        if isinstance(told, list) and self._engine is not None and not prepared.traced:
            results = await self._engine.items(prepared, context, [told])
            if results is not None:
                return self._told(results[0], context.request_id)
        return await self._run(prepared, context, await _found(context, told))

    def failed_source(
        self, prepared: Prepared, error: Exception, context: Context | None
    ) -> Answer:
        """Return the last answer of a subscription whose source failed."""
        answer = self._failed(error, context)
        self._report(prepared, perf_counter(), context, answer)
        return answer

    def told_source(self, result: ExecutionResult, prepared: Prepared, context: Context) -> Answer:
        """Return the only answer of a subscription that did not start."""
        answer = self._told(result, context.request_id)
        self._report(prepared, perf_counter(), context, answer)
        return answer

    def _compare(self, shadow: Shadow, prepared: Prepared, contexts: ContextFactory) -> None:
        """Let an operation be run both ways, unseen by metrics and logs of operations."""
        untraced = prepared._replace(traced=False)

        async def run(compiled: bool) -> Mapping[str, Any]:
            async with contexts() as context:
                answer = await self._run(untraced, context, None, compiled=compiled)
            return answer.body()

        shadow.consider(prepared.operation_name, lambda: id_of(prepared.source.text), run)

    def _read(self, text: str, known_caller: bool) -> Document:
        """Parse and measure a document that is not kept."""
        try:
            return read_document(self._schema, text, self._limits)
        except GraphQLSyntaxError as error:
            raise _refused(
                Refusal.SYNTAX, [error], ErrorCode.GRAPHQL_PARSE_FAILED, known_caller
            ) from None
        except TooLarge as error:
            raise _too_large(error) from None

    def _kept(self, request: GraphQLRequest) -> Document | None:
        """Return the document a request means, None if it has to be read from its text."""
        id_, text = request.document_id, request.query
        if id_ is None:
            assert text is not None, "a request has a document or an id of one"
            return self._documents.get(text)
        kept = self._documents.get_by_id(id_)
        if text is None:
            if kept is None and self._admission is not Admission.TRUSTED:
                raise Refused(Refusal.DOCUMENT, [tell_expected(UnknownDocument(_UNKNOWN))])
            return kept
        if (kept is None or kept.text != text) and id_of(text) != id_:
            mistaken = Invalid("The id that was sent with the document is not its SHA-256 hash.")
            raise Refused(Refusal.DOCUMENT, [tell_expected(mistaken)])
        if kept is None:
            kept = self._documents.get(text)
            if kept is not None:
                self._documents.name(kept, id_)
        return kept

    def _admit(self, request: GraphQLRequest, kept: Document | None) -> None:
        """Let trusted documents pass; tell of others, or refuse them.

        Raises:
            Refused: it is not trusted, and only trusted documents are to run.

        """
        if kept is not None and kept.trusted:
            self._on_admission("trusted")
            return
        if self._admission is Admission.TRUSTED:
            self._on_admission("refused")
            refusal = UntrustedDocument("Only documents registered with this server run here.")
            raise Refused(Refusal.UNTRUSTED, [tell_expected(refusal)])
        self._on_admission("untrusted")
        id_ = request.document_id or id_of(request.query or "")
        told = self._told_untrusted
        if id_ not in told and len(told) < _MOST_TOLD:
            told.add(id_)
            name = request.operation_name
            self._log.warning("untrusted document", document_id=id_, operation=name)

    def _validate(self, document: Document, known_caller: bool, *, keep: bool) -> None:
        """Validate a document, and ``keep`` it; not those of strangers, who push out nobody."""
        try:
            errors = validation_errors(self._schema, document, suggest=known_caller)
        except TooLarge as error:
            raise _too_large(error) from None
        if errors:
            raise _refused(
                Refusal.VALIDATION, errors, ErrorCode.GRAPHQL_VALIDATION_FAILED, known_caller
            )
        if keep:
            self._documents.keep(document)

    def _admit_stranger(self, operation: OperationMeasure) -> None:
        if not (self._limits.anonymous_introspection and operation.introspection):
            missing = Unauthenticated("This operation needs a token or an API key.")
            raise Refused(Refusal.FORBIDDEN, [tell_expected(missing)])

    def _coerce(
        self,
        document: Document,
        operation: OperationMeasure,
        variables: Mapping[str, Any] | None,
        *,
        known_caller: bool,
    ) -> VariableValues:
        """Coerce the variables to the types the operation declares."""
        declared = operation.node.variable_definitions
        if not declared:
            return VariableValues({}, {})
        usual = document.variables(self._schema, operation.node).usual(variables or {})
        if usual is not None:
            return usual
        values = get_variable_values(
            self._schema,
            declared,
            dict(variables or {}),
            max_errors=MAX_ERRORS,
            hide_suggestions=not known_caller,
        )
        if isinstance(values, list):
            raise _refused(Refusal.VARIABLES, values, ErrorCode.VALIDATION, known_caller)
        return values

    def _cost(self, document: Document, amount: Amount, values: VariableValues) -> int:
        """Work out the cost of an operation, page sizes in variables included."""
        cost = document.measure.formula.evaluate(amount, values.coerced)
        if cost > self._limits.cost:
            raise _too_large(TooLarge([excess("cost", cost, self._limits.cost)]))
        return cost

    async def _answer_together(
        self,
        engine: Engine,
        prepared: Prepared,
        contexts: ContextFactory,
        items: Sequence[Item],
    ) -> list[Answer] | None:
        """Return the answers by one run of the compiled plan; None where it cannot give them."""
        started = perf_counter()
        context: Context | None = None
        deadline = self._deadlines.begin()
        found: list[Answer] | None = None
        try:
            with deadline:
                async with contexts() as context:
                    results = await engine.items(prepared, context, items)
                    if results is not None:
                        found = [self._told(one, context.request_id) for one in results]
        except Exception:  # noqa: BLE001 - ordinary execution tells what is wrong
            return None
        if found is not None:
            errors = [error for one in found for error in one.errors]
            self._report(prepared, started, context, Answer(None, errors))
        return found

    async def _answer(
        self, prepared: Prepared, contexts: ContextFactory, root_value: object
    ) -> Answer:
        """Execute once, in a context of its own, within the time allowed."""
        started = perf_counter()
        context: Context | None = None
        answer: Answer | None = None
        deadline = self._deadlines.begin()
        try:
            with deadline:
                async with contexts() as context:
                    if prepared.traced:
                        begin_trace(context)
                    if root_value is not None:
                        root_value = await _found(context, root_value)
                    answer = await self._run(prepared, context, root_value)
                if context.stats.trace is not None:
                    answer.extensions["trace"] = told_trace(
                        context.stats,
                        kept=prepared.kept,
                        cost=prepared.cost,
                        seconds=perf_counter() - started,
                    )
        except Exception as error:  # noqa: BLE001 - whatever fails, the client gets an answer
            failure = self._out_of_time() if deadline.expired else error
            answer = self._failed(failure, context)
        finally:
            self._report(prepared, started, context, answer)
        return answer

    async def _run(
        self, prepared: Prepared, context: Context, root_value: object, *, compiled: bool = True
    ) -> Answer:
        engine = self._engine if compiled else None
        if engine is not None and prepared.operation_type is OperationType.QUERY:
            planned = await engine.result(prepared, context)
            if planned is not None:
                data, masked = planned
                if not masked:
                    return Answer(data)
                return self._told(ExecutionResult(data, list(masked)), context.request_id)
        core = self._core(prepared, context, root_value)
        if (
            prepared.introspection
            and prepared.cost
            and prepared.operation_type is OperationType.QUERY
        ):
            return self._told(await self._introspected(prepared, core), context.request_id)
        if engine is not None and prepared.operation_type is not OperationType.QUERY:
            core.complete = partial(engine.selection, prepared, context)
        try:
            result = execute_root_selection_set(core)
            if not isinstance(result, ExecutionResult):
                result = await result
        finally:
            await _end_leftovers(core)
        errors = [*(result.errors or ()), *denials(context.denied.values(), result.data)]
        return self._told(ExecutionResult(result.data, errors), context.request_id)

    async def _introspected(self, prepared: Prepared, core: CompletingExecutor) -> ExecutionResult:
        """Return what an operation says about the schema."""
        variables = orjson.dumps(prepared.variables, repr, orjson.OPT_SORT_KEYS)
        key = prepared.source.text, prepared.operation_name, variables

        def execute() -> ExecutionResult:
            return cast("ExecutionResult", execute_root_selection_set(core))

        return await self._introspections.result(key, execute)

    async def _source(
        self, prepared: Prepared, context: Context
    ) -> AsyncIterable[Any] | ExecutionResult:
        """Start the source stream of a subscription."""
        deadline = self._deadlines.begin()
        try:
            with deadline:
                stream = create_source_event_stream(self._core(prepared, context, None))
                if isinstance(stream, ExecutionResult | AsyncIterable):
                    return stream
                return await stream
        except TimeoutError:
            if not deadline.expired:
                raise
            raise self._out_of_time() from None

    def _core(self, prepared: Prepared, context: Context, root_value: object) -> CompletingExecutor:
        """Return graphql-core's state of one execution.

        Made anew for each event too: the copies graphql-core makes for events share a cache that
        grows with every event.
        """
        return CompletingExecutor(
            self._schema,
            prepared.source.fragments,
            prepared.source.fragment_details,
            root_value,
            context,
            prepared.operation,
            prepared.variable_values,
            default_field_resolver,
            default_type_resolver,
            default_field_resolver,
            is_awaitable=_is_awaitable,
            hide_suggestions=True,
        )

    def _told(self, result: ExecutionResult, request_id: str | None) -> Answer:
        """Return the answer with its errors told."""
        data, errors = result.data, result.errors
        if not errors:
            return Answer(data)
        return Answer(data, tell_failures(errors, data, request_id=request_id, log=self._log))

    def _failed(self, failure: Exception, context: Context | None) -> Answer:
        """Return the answer to what failed as a whole."""
        result = ExecutionResult(None, [located_error(failure)])
        return self._told(result, context.request_id if context else None)

    def _out_of_time(self) -> TimedOut:
        return TimedOut(f"The operation took longer than {self._limits.seconds:g} s.")

    def _report(
        self,
        prepared: Prepared,
        started: float,
        context: Context | None,
        answer: Answer | None,
    ) -> None:
        """Tell those who want to know of an execution that is over.

        Of one that went well it is enough to note how long it took, with those that took the same
        otherwise: that is all that most executions cost here.
        """
        seconds = perf_counter() - started
        metrics, told = self._metrics, self._listeners
        if (
            metrics is not None
            and answer is not None
            and not answer.errors
            and context is not None
            and seconds < SLOW_SECONDS
            and prepared.operation_type is not OperationType.MUTATION
        ):
            stats, tallies, name = context.stats, prepared.source.tallies, prepared.operation_name
            key = stats.statements, stats.batches, stats.rows, prepared.cost, name
            tally = tallies.get(key)
            if tally is None or tally.by_name != stats.statements_by_name:
                if len(tallies) >= _MOST_TALLIES:
                    tallies.clear()
                tally = metrics.tally(name, prepared.operation_type, prepared.cost, stats)
                tallies[key] = tally
            noted = tally.seconds
            noted.append(seconds)
            if not tally.noted or len(noted) >= TOGETHER:
                tally.count_soon()
            if not told:
                return
        else:
            told = (*self._notable, *told)
        report = OperationReport(
            prepared.operation_name,
            prepared.operation_type,
            prepared.cost,
            seconds,
            context.stats if context else OperationStats(),
            _codes(answer.errors) if answer is not None and answer.errors else (),
            answer is None,
        )
        for listener in told:
            listener(report)


def _codes(errors: list[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(error["extensions"]["code"] for error in errors)


def _pick(document: Document, name: str | None) -> OperationMeasure:
    try:
        return document.operation(name)
    except LookupError as error:
        raise _refused(
            Refusal.OPERATION,
            [GraphQLError(str(error))],
            ErrorCode.OPERATION_RESOLUTION_FAILURE,
            known_caller=False,
        ) from None


def _refused(
    kind: Refusal, errors: list[GraphQLError], code: ErrorCode, known_caller: bool
) -> Refused:
    return Refused(kind, tell_refusal(errors, code, suggest=known_caller))


def _too_large(error: TooLarge) -> Refused:
    return Refused(Refusal.LIMIT, [tell_expected(one) for one in error.excesses])


async def _position(context: Context, stream: Stream) -> tuple[int, Shown | None]:
    """Return how far the log is, and which of the events that a state shows have no place yet."""
    shows = (
        stream.topics if stream.shows is None else [t for t in stream.topics if t in stream.shows]
    )
    given = {"topics": list(shows), "most": MOST_SHOWN + 1}
    [[place, until, written]] = await context.reads.fetch(LOG_POSITION, given)
    return place, Shown(until, frozenset(written)) if written else None


async def _found(context: Context, told: object) -> object:
    """Return what is told with its row, read now if it is to be found when it is told."""
    if isinstance(told, list):
        found = [await _found(context, one) for one in told]
        return [one for one in found if one is not None]
    if not isinstance(told, RowType):
        return told
    if told.read_by is not None:
        return type(told).of(await told.read_by(context, told.row["id"]))
    if told.found_by is None:
        return told
    node = node_of(type(told))
    assert node is not None
    columns = frozenset(node.entity.columns)
    [row] = await told.found_by.batch(context.reads, [told.row["id"]], columns, {})
    return type(told).of(row)


async def _end_leftovers(core: CompletingExecutor) -> None:
    """End what the siblings of a failed field still do, before the context they use closes."""
    leftovers = list(core.background_futures)
    if not leftovers:
        return
    await asyncio.sleep(0)  # a resolver canceled before its first step is reported as never awaited
    for leftover in leftovers:
        leftover.cancel()
    await asyncio.gather(*leftovers, return_exceptions=True)
