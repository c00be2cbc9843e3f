"""GraphQL over HTTP: one request, one answer, or a stream of them as server-sent events.

https://graphql.github.io/graphql-over-http/draft/
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from graphql import OperationType
from starlette.requests import Request
from starlette.responses import Response

from gateway.callers import Callers
from gateway.transports.answering import Answering
from gateway.transports.connection import UntilGone
from gateway.transports.decoding import (
    Malformed,
    asks_anything,
    decode_json,
    request_from_json,
    request_from_query_string,
)
from gateway.transports.exchange import Exchange
from gateway.transports.faults import HttpFault, error_entry
from gateway.transports.negotiation import (
    Accepted,
    MediaType,
    content_problem,
    forged_by_page,
    negotiate,
)
from gateway.transports.operations import Authenticator, Operations
from gateway.transports.shared_stream import (
    TOKEN_HEADER,
    SharedStream,
    SharedStreams,
    StreamLimits,
)
from gateway.transports.sse import EventStream
from gateway.transports.statuses import ACCEPTED, ANSWERED, RESERVED, Fault, status_of
from resolvers.core.clock import Clock
from resolvers.core.errors import ErrorCode
from resolvers.core.metrics import Metrics
from resolvers.core.principal import Principal
from resolvers.operations.rules import StreamTransport
from schema.core.execution import GraphQLRequest, Prepared, Refusal, Refused

GraphiqlPage = Callable[[Request], Awaitable[Response]]
"""Answers a browser that opened the address of the endpoint."""

_ALLOW: Final = ((b"allow", b"GET, POST, PUT, DELETE"),)
_TEXT: Final = b"text/plain; charset=utf-8"
_ALLOW_POST: Final = ((b"allow", b"POST"),)


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds of one request: sizes in bytes, nesting in levels, waits in seconds."""

    body: int
    json_depth: int
    send_timeout_seconds: float
    streams: StreamLimits
    token_notice_seconds: float


class HttpTransport(Answering):
    """Answers the HTTP requests to the endpoint."""

    def __init__(
        self,
        operations: Operations,
        authenticator: Authenticator,
        limits: HttpLimits,
        *,
        callers: Callers,
        anonymous_introspection: bool,
        allowed_origins: frozenset[bytes],
        graphiql_page: GraphiqlPage | None,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        super().__init__(metrics)
        self._operations = operations
        self._authenticator = authenticator
        self._limits = limits
        self._shared = SharedStreams(operations, callers, limits.streams, metrics)
        self._callers = callers
        self._anonymous_introspection = anonymous_introspection
        self._allowed_origins = allowed_origins
        self._graphiql_page = graphiql_page
        self._clock = clock

    async def _serve(self, exchange: Exchange) -> None:
        accepted = exchange.usual or await self._accepted(exchange)
        if accepted is None:
            return
        principal = self._remembered(exchange) or await self._principal(exchange)
        request = await self._request(exchange)
        exchange.usual = accepted
        try:
            prepared = self._operations.prepare(request, principal)
        except Refused as refused:
            await self._answer_refused(exchange, accepted, refused)
            return
        if prepared.operation_type is not OperationType.QUERY:
            _check_method(exchange, prepared)
        single = None if accepted.stream_first else accepted.single
        if single is None or prepared.operation_type is OperationType.SUBSCRIPTION:
            await self._stream_answers(exchange, accepted, prepared, principal)
            return
        contexts = self._operations.contexts(principal, exchange.request_id, "http")
        with UntilGone(exchange.connection, exchange.task):
            answer = await self._operations.execute(prepared, contexts)
        await exchange.respond(ANSWERED, single, answer.body())

    async def _accepted(self, exchange: Exchange) -> Accepted | None:
        """Return what a client takes that asks for an operation; answer one that does not."""
        accepted = negotiate(exchange.headers.get(b"accept"))
        if exchange.method == "GET":
            if await self._serve_page(exchange, accepted):
                return None
            if forged_by_page(exchange.headers, self._allowed_origins):
                raise _forged()
        elif exchange.method == "PUT":
            await self._reserve(exchange)
            return None
        elif exchange.method not in ("POST", "DELETE"):
            raise HttpFault(Fault.METHOD, "Use GET or POST.", headers=_ALLOW)
        token = _stream_token(exchange)
        if token is not None:
            await self._serve_shared(exchange, accepted, token)
            return None
        if exchange.method == "DELETE":
            raise HttpFault(Fault.METHOD, "DELETE ends operations of streams.", headers=_ALLOW)
        if accepted.single is None and not accepted.stream:
            raise _not_acceptable()
        return accepted

    async def _serve_page(self, exchange: Exchange, accepted: Accepted) -> bool:
        """Answer a browser that opened the address with the page, if there is one."""
        page = self._graphiql_page
        if page is None or not accepted.page or asks_anything(exchange.query_string):
            return False
        scope, receive = exchange.scope, exchange.receive
        response = await page(Request(scope, receive))
        exchange.started = response.status_code
        await response(scope, receive, exchange.send)
        return True

    async def _reserve(self, exchange: Exchange) -> None:
        """Reserve a stream that many operations answer on."""
        authorization, company = exchange.text(b"authorization"), exchange.text(b"x-company")
        token = await self._shared.reserve(authorization, company)
        await exchange.answer(RESERVED, token.encode(), ((b"content-type", _TEXT),))

    async def _serve_shared(self, exchange: Exchange, accepted: Accepted, token: str) -> None:
        """Open a stream that was reserved, or start or end an operation that answers on it."""
        if accepted.stream_first and exchange.method != "DELETE":
            # browsers send no header with an EventSource: the token is the ticket, for once
            shown = b"authorization" in exchange.headers
            stream = self._shared.find(token, await self._known(exchange) if shown else None)
            await stream.serve(self._stream(exchange))
            return
        principal = await self._known(exchange)
        stream = self._shared.find(token, principal)
        if exchange.method == "DELETE":
            operation_id = _parameter(exchange, "operationId")
            if not operation_id:
                raise HttpFault(Fault.MALFORMED, "The parameter operationId is missing.")
            stream.stop(operation_id)
            await exchange.answer(ANSWERED)
        else:
            await self._start_shared(exchange, accepted, stream, principal)

    async def _start_shared(
        self, exchange: Exchange, accepted: Accepted, stream: SharedStream, principal: Principal
    ) -> None:
        request = await self._request(exchange)
        try:
            prepared = self._operations.prepare(request, principal)
        except Refused as refused:
            media_type = accepted.single or MediaType.JSON
            status = status_of(refused.kind, MediaType.GRAPHQL_RESPONSE)
            await exchange.respond(status, media_type, {"errors": refused.errors})
            return
        _check_method(exchange, prepared)
        operation_id = (request.extensions or {}).get("operationId")
        stream.start(operation_id, prepared, exchange.request_id)
        await exchange.answer(ACCEPTED)

    async def _known(self, exchange: Exchange) -> Principal:
        """Return the caller, who needs a credential."""
        authorization, company = exchange.text(b"authorization"), exchange.text(b"x-company")
        return await self._authenticator.authenticate(authorization, company)

    def _remembered(self, exchange: Exchange) -> Principal | None:
        """Return the caller, if all about them is known already."""
        connection, headers = exchange.connection, exchange.headers
        shown = headers.get(b"authorization"), headers.get(b"x-company")
        if connection is not None and connection.shown == shown:
            known = connection.recall()
            if known is not None:
                return known
        authorization, company = exchange.text(b"authorization"), exchange.text(b"x-company")
        recall = self._authenticator.recall(authorization, company)
        if recall is None:
            return None
        if connection is not None:
            connection.shown, connection.recall = shown, recall
        return recall()

    async def _principal(self, exchange: Exchange) -> Principal | None:
        """Return the caller, or None for one who may ask about the schema without a name."""
        if b"authorization" not in exchange.headers and self._anonymous_introspection:
            return None
        return await self._known(exchange)

    async def _request(self, exchange: Exchange) -> GraphQLRequest:
        depth = self._limits.json_depth
        try:
            if exchange.method == "GET":
                return request_from_query_string(exchange.query_string, max_depth=depth)
            if exchange.usual is None:
                _check_content(exchange)
            body = exchange.whole or await exchange.body(self._limits.body)
            return request_from_json(decode_json(body, max_depth=depth))
        except Malformed as problem:
            raise HttpFault(Fault.MALFORMED, str(problem)) from None

    async def _answer_refused(
        self, exchange: Exchange, accepted: Accepted, refused: Refused
    ) -> None:
        if accepted.stream_first or accepted.single is None:
            # A status would hide the errors from browsers, says GraphQL over SSE.
            await self._stream(exchange).send_one({"errors": refused.errors})
            return
        status = status_of(refused.kind, accepted.single)
        await exchange.respond(status, accepted.single, {"errors": refused.errors})

    async def _stream_answers(
        self,
        exchange: Exchange,
        accepted: Accepted,
        prepared: Prepared,
        principal: Principal | None,
    ) -> None:
        """Answer by a stream: of a subscription, or for a client that takes nothing else."""
        if not accepted.stream:
            await self._answer_refused(exchange, accepted, _needs_stream())
            return
        if prepared.operation_type is OperationType.SUBSCRIPTION:
            await self._subscribe(exchange, prepared)
            return
        contexts = self._operations.contexts(principal, exchange.request_id, "sse")
        with UntilGone(exchange.connection, exchange.task):
            answer = await self._operations.execute(prepared, contexts)
        await self._stream(exchange).send_one(answer.body())

    async def _subscribe(self, exchange: Exchange, prepared: Prepared) -> None:
        """Stream a subscription to a caller who is looked at again while it runs."""
        operations, stream = self._operations, self._stream(exchange)
        principal = await self._callers.enter(
            stream, exchange.text(b"authorization"), exchange.text(b"x-company")
        )
        try:
            contexts = operations.contexts(principal, exchange.request_id, "sse")
            last = exchange.text(b"last-event-id") or None  # browsers send none before the first
            answers = operations.subscribe(
                prepared, contexts, StreamTransport.SSE, resumes_after=last
            )
            await stream.send_all(answers, principal)
        finally:
            self._callers.leave(stream)

    def _stream(self, exchange: Exchange) -> EventStream:
        return EventStream(
            exchange,
            self._operations,
            send_timeout_seconds=self._limits.send_timeout_seconds,
            token_notice_seconds=self._limits.token_notice_seconds,
            clock=self._clock,
            metrics=self._metrics,
        )

    def _media_type(self, exchange: Exchange) -> MediaType:
        return negotiate(exchange.headers.get(b"accept")).single or MediaType.JSON


def _check_content(exchange: Exchange) -> None:
    """Check that the body is of a kind we read.

    Raises:
        HttpFault: it is not JSON, or it is compressed.

    """
    headers = exchange.headers
    problem = content_problem(headers.get(b"content-type"))
    if problem is not None:
        raise HttpFault(Fault.CONTENT, problem, headers=((b"accept", b"application/json"),))
    encoding = headers.get(b"content-encoding")
    if encoding is not None and encoding.lower() != b"identity":
        raise HttpFault(
            Fault.CONTENT,
            "The body must not be compressed.",
            headers=((b"accept-encoding", b"identity"),),
        )


def _check_method(exchange: Exchange, prepared: Prepared) -> None:
    """Check that an operation may come by the request's method.

    Raises:
        HttpFault: it is a mutation by GET.

    """
    if prepared.operation_type is OperationType.MUTATION and exchange.method == "GET":
        raise HttpFault(Fault.METHOD, "Mutations need POST.", headers=_ALLOW_POST)


def _stream_token(exchange: Exchange) -> str | None:
    """Return the token of a reserved stream that the request names."""
    if not exchange.query_string and TOKEN_HEADER not in exchange.headers:
        return None
    return exchange.text(TOKEN_HEADER) or _parameter(exchange, "token")


def _parameter(exchange: Exchange, name: str) -> str | None:
    query = exchange.query_string
    if name.encode() not in query:
        return None
    return dict(parse_qsl(query.decode("latin-1"))).get(name)


def _forged() -> HttpFault:
    return HttpFault(
        Fault.CROSS_SITE,
        "A page of another site must send the header GraphQL-Require-Preflight.",
    )


def _not_acceptable() -> HttpFault:
    return HttpFault(
        Fault.NOT_ACCEPTABLE,
        "Accept application/graphql-response+json, application/json or text/event-stream.",
    )


def _needs_stream() -> Refused:
    message = "Subscriptions need a WebSocket, or a request that accepts text/event-stream."
    error = error_entry(message, ErrorCode.OPERATION_RESOLUTION_FAILURE)
    return Refused(Refusal.OPERATION, [error])
