"""Commands outside of requests: what workers and imports need to run them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.context import Contexts, OperationContext
from gateway.database import open_read_pool
from gateway.relay import EventLog
from gateway.settings import Settings
from gateway.writing import open_write_pool
from resolvers.core.broker import Broker
from resolvers.core.clock import Clock, system_clock
from resolvers.core.metrics import Metrics
from resolvers.core.principal import CompanyAccess, Principal

SECONDS_OF_A_STATEMENT = 300.0
"""Statements of jobs take longer than those of requests."""


class BackOffice:
    """Opens contexts for commands that nobody waits for."""

    def __init__(self, contexts: Contexts) -> None:
        self._contexts = contexts

    def open(self, company_id: int, actor: str, request_id: str) -> OperationContext:
        """Open a context that acts for a company in the name of ``actor``, who was let in."""
        access = CompanyAccess(company_id, "", frozenset())
        principal = Principal(
            kind="user",
            actor=actor,
            name=actor,
            access=access,
            companies=(access,),
            credential=actor,
        )
        return self._contexts.open(principal, request_id)


class _Wakes:
    """Wakes nobody: the relay looks for events several times a second."""

    def soon(self) -> None:
        """Do nothing."""


@asynccontextmanager
async def back_office(settings: Settings, clock: Clock = system_clock) -> AsyncIterator[BackOffice]:
    """Open the pools that commands need, for as long as the block lasts."""
    assert settings.database_url is not None, "a database is chosen before"
    owner_url = settings.database_url.get_secret_value()
    url = (settings.serving_database_url or settings.database_url).get_secret_value()
    patient = settings.model_copy(update={"statement_timeout_seconds": SECONDS_OF_A_STATEMENT})
    metrics, log = Metrics(), EventLog(owner_url)
    reads = await open_read_pool(url, patient, metrics)
    try:
        writes = open_write_pool(url, patient, metrics)
        try:
            yield BackOffice(
                Contexts(
                    reads=reads,
                    writes=writes,
                    broker=Broker(),
                    log=log,
                    wakes=_Wakes(),
                    clock=clock,
                    reference=None,
                )
            )
        finally:
            await writes.close()
    finally:
        log.close()
        await reads.close()
