"""Operations as the transports run them: for a caller, counted, and seen in the logs."""

from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final, Protocol

from gateway.observability.logging import CALLER, REQUEST_ID, Caller
from resolvers.core.context import Context
from resolvers.core.errors import Unauthenticated
from resolvers.core.metrics import Metrics
from resolvers.core.principal import CompanyAccess, Principal
from resolvers.operations.rules import StreamTransport
from schema.core.execution import (
    Answer,
    ContextFactory,
    Executor,
    GraphQLRequest,
    Prepared,
    Refusal,
    Refused,
)
from schema.core.live import Subscriber

OpenContext = Callable[[Principal, str], AbstractAsyncContextManager[Context]]
"""Opens the context of one operation, or of one event, for a caller and a request id."""

ANONYMOUS: Final = Principal(
    kind="client",
    actor="anonymous",
    name="anonymous",
    access=CompanyAccess(company_id=0, code="", permissions=frozenset()),
    companies=(),
    credential="anonymous",
)
"""Who asks about the schema without a credential: of no company, so that no row is theirs."""


Recall = Callable[[], Principal | None]
"""Tells who shows a credential, as of now; None where `Authenticator.authenticate` has to look."""


class Authenticator(Protocol):
    """Knows callers by their credentials."""

    def recall(self, authorization: str | None, company: str | None) -> Recall | None:
        """Return what tells again who shows these, where it is known; see `Recall`."""
        ...

    async def authenticate(self, authorization: str | None, company: str | None) -> Principal:
        """Return who sent ``authorization``, acting for the company with code ``company``.

        Raises:
            Unauthenticated: there is no valid credential.
            Forbidden: the company is not one of the caller's.

        """
        ...


class Operations:
    """Prepares and runs operations; one per process, shared by the transports."""

    def __init__(self, executor: Executor, open_context: OpenContext, metrics: Metrics) -> None:
        self._executor = executor
        self._open_context = open_context
        self._metrics = metrics

    def prepare(self, request: GraphQLRequest, principal: Principal | None) -> Prepared:
        """Return the operation to run for ``principal``, None being an unknown caller.

        Raises:
            Refused: the executor does not accept it.
            Unauthenticated: it is not for unknown callers.

        """
        try:
            return self._executor.prepare(request, known_caller=principal is not None)
        except Refused as refused:
            self._metrics.request_refused(refused.kind.value)
            if principal is None and refused.kind is Refusal.FORBIDDEN:
                raise Unauthenticated(refused.errors[0]["message"]) from None
            raise

    def contexts(
        self, principal: Principal | None, request_id: str, transport: str
    ) -> ContextFactory:
        """Return what opens contexts for a caller; the log lines of the task then name both."""
        caller = principal or ANONYMOUS
        REQUEST_ID.set(request_id)
        CALLER.set(Caller(transport, caller.actor, caller.access.code))
        return partial(self._open_context, caller, request_id)

    def contexts_of(self, caller: Principal, request_id: str) -> ContextFactory:
        """Return what opens contexts for a caller; whose log lines these are stays as it is."""
        return partial(self._open_context, caller, request_id)

    def execute(self, prepared: Prepared, contexts: ContextFactory) -> Coroutine[Any, Any, Answer]:
        """Run a query or mutation."""
        return self._executor.execute(prepared, contexts)

    def subscribe(
        self,
        prepared: Prepared,
        contexts: ContextFactory,
        transport: StreamTransport,
        *,
        resumes_after: str | None = None,
    ) -> Subscriber:
        """Run a subscription; close what this returns, to end it."""
        return self._executor.subscribe(
            prepared, contexts, resumes_after=resumes_after, transport=transport
        )
