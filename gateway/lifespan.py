"""What one process keeps while it serves: pools, executor, broker, relay, watchdog."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any

import strawberry
import structlog

from gateway.auth import Authenticator
from gateway.auth.access import Fetch
from gateway.auth.links import Links
from gateway.board import DOCUMENTS
from gateway.callers import Callers
from gateway.context import Contexts, OperationContext
from gateway.database import OperationReads, ReadPool, open_read_pool
from gateway.health import Check, Health, pool_check
from gateway.memory import settle_memory
from gateway.migrate import head_revision
from gateway.observability.logging import Logs
from gateway.observability.loop_watchdog import LoopWatchdog
from gateway.relay import EventLog, Follower, Relay, WakeUp
from gateway.secrets import signing_secret, webhook_key
from gateway.settings import Settings
from gateway.subscriptions import Subscriptions
from gateway.trusted import TrustedDocumentsError, read_trusted_documents
from gateway.webhooks.deliverer import Deliverer
from gateway.webhooks.desk import Desk
from gateway.webhooks.egress import EgressRules
from gateway.webhooks.signing import Secrets
from gateway.writing import WritePool, open_write_pool
from resolvers.core.broker import Broker
from resolvers.core.clock import Clock, system_clock
from resolvers.core.context import OperationStats, PoolState
from resolvers.core.metrics import Metrics
from resolvers.core.principal import Principal, RowScope
from resolvers.core.reference import ReferenceCache
from resolvers.core.repetition import told
from resolvers.webhooks.ports import WebhookDesk
from schema.build import build_schema, text_of
from schema.conformance import MODULE as CONFORMANCE
from schema.core.execution import Admission, Executor, Listener, UntrustworthyDocument
from schema.core.limits import Limits
from schema.core.plan import fields_by_statement
from schema.core.shadow import Shadow
from schema.engine.run import Engine

_log = structlog.get_logger(__name__)
_ROLE = """
select r.rolsuper or r.rolbypassrls or exists (
    select from pg_class c where c.relnamespace = 'public'::regnamespace
      and pg_has_role(current_user, c.relowner, 'member'))
from pg_roles r where r.rolname = current_user
"""


def limits_of(settings: Settings) -> Limits:
    """Return the document limits that the settings ask for."""
    return Limits(
        tokens=settings.max_tokens,
        depth=settings.max_depth,
        aliases=settings.max_aliases,
        directives=settings.max_directives,
        root_fields=settings.max_root_fields,
        cost=settings.max_cost,
        operations=settings.max_operations,
        variables=settings.max_variables,
        seconds=settings.operation_timeout_seconds,
        anonymous_introspection=settings.anonymous_introspection,
    )


def schema_of(settings: Settings) -> strawberry.Schema:
    """Build the schema that the settings ask for.

    Raises:
        ValueError: fields for conformance tools were asked for in production.

    """
    if not settings.conformance_fields:
        return build_schema()
    if settings.environment == "production":
        raise ValueError("GATEWAY_CONFORMANCE_FIELDS is for test and demo, not for production.")
    return build_schema(extra=(CONFORMANCE,))


def trust_documents(executor: Executor, settings: Settings) -> None:
    """Have the executor take the documents in the file that the settings name, and our own.

    Raises:
        TrustedDocumentsError: there is no such file, or one of its documents cannot run.

    """
    path = settings.trusted_documents
    if path is None:
        if settings.document_admission == "trusted":
            raise TrustedDocumentsError(
                "GATEWAY_DOCUMENT_ADMISSION is trusted, and GATEWAY_TRUSTED_DOCUMENTS names no file"
            )
        return
    try:
        executor.trust(read_trusted_documents(path))
        executor.trust({f"board/{name}": text for name, text in DOCUMENTS.items()})
    except UntrustworthyDocument as error:
        raise TrustedDocumentsError(f"{path}: {error}") from None


def _who_logs(settings: Settings, logs: Logs | None) -> tuple[list[Listener], list[Listener]]:
    """Return who gets reports of all executions, and who of the notable ones, for the log."""
    if logs is None:
        return [], []
    return ([logs.operation], []) if settings.log_operations == "all" else ([], [logs.operation])


class Runtime:
    """Everything one serving process holds.

    What needs no event loop is made at once, so that a broken setting fails before the port opens;
    pools and background tasks live between entering and leaving `running`. ``alone`` tells that the
    process does nothing else, so that its loop is watched and its memory settled.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock = system_clock,
        logs: Logs | None = None,
        alone: bool = True,
    ) -> None:
        assert settings.database_url is not None, "a database is chosen before the app is made"
        self.settings = settings
        self._alone = alone
        self.clock = clock
        self.metrics = Metrics()
        self.broker = Broker()
        every, notable = _who_logs(settings, logs)
        self.listeners: list[Listener] = every
        """Called with the report of every finished operation and event."""
        self._owner_url = settings.database_url.get_secret_value()
        serving = settings.serving_database_url or settings.database_url
        self._serving_url = serving.get_secret_value()
        schema = schema_of(settings)
        readers = fields_by_statement(schema)
        self.metrics.on_repetition = lambda operation, found: _log.warning(
            "rows are asked for one by one", operation=operation, fields=told(found, readers)
        )
        self.sdl = text_of(schema)
        self.engine = (
            Engine(schema, self.metrics.query_plans, wait_seconds=settings.pool_wait_seconds)
            if settings.compile_queries
            else None
        )
        self.shadow = (
            Shadow(
                settings.shadow_share,
                busy=self._is_busy,
                on_run=self.metrics.shadow_compared,
                log=_log,
            )
            if self.engine is not None and settings.shadow_share
            else None
        )
        self.executor = Executor(
            schema,
            limits_of(settings),
            cache_size=settings.document_cache_size,
            listeners=self.listeners,
            notable=(self.metrics.operation_finished, *notable),
            metrics=self.metrics,
            lookups=self.metrics.document_lookups,
            engine=self.engine,
            admission=Admission(settings.document_admission),
            on_admission=self.metrics.document_admitted,
            shadow=self.shadow,
        )
        live = self.executor.live
        self.broker.busy = live.busy
        live.on_work = self.metrics.stream_worked
        self.metrics.watch_groups(lambda: live.groups)
        trust_documents(self.executor, settings)
        secret = signing_secret(settings)
        self.authenticator = Authenticator(settings, secret=secret, fetch=self._fetch, clock=clock)
        self.links = (
            None
            if secret is None
            else Links(secret, seconds=settings.download_link_seconds, clock=clock)
        )
        """Signs links to files; None where there is no shared secret to sign with."""
        key = webhook_key(settings)
        self.secrets = None if key is None else Secrets(key)
        """Those of webhooks; None where there is nothing to derive them from."""
        self.egress = EgressRules.of(settings)
        self.desk = Desk(self.executor, self.open_context, self.egress, self.secrets)
        self.wake_up = WakeUp(self._owner_url)
        self.relay = Relay(
            self._owner_url,
            self.metrics,
            retention=timedelta(hours=settings.event_retention_hours),
        )
        self.reference = ReferenceCache() if settings.reference_cache else None
        """Reference data kept in memory; None where the settings want none kept."""
        self.callers = Callers(self.authenticator, self.metrics)
        """Those who are connected."""
        self.follower = Follower(
            self._owner_url, self.broker, self.metrics, self.reference, self._access_changed
        )
        self.subscriptions = Subscriptions(self._owner_url, live)
        """Those that are live, as other processes know them."""
        self.log = EventLog(self._owner_url)
        self.deliverer = Deliverer(
            self._owner_url,
            settings,
            executor=self.executor,
            open_context=self.open_context,
            rules=self.egress,
            secrets=self.secrets,
            metrics=self.metrics,
            clock=clock,
        )
        self.health = Health(self._checks())
        self._reads: ReadPool | None = None
        self._writes: WritePool | None = None
        self._contexts: Contexts | None = None
        self._background: list[asyncio.Task[None]] = []

    @property
    def reads(self) -> ReadPool:
        """The read pool; only while running."""
        assert self._reads is not None
        return self._reads

    @property
    def writes(self) -> WritePool:
        """The write pool; only while running."""
        assert self._writes is not None
        return self._writes

    def open_context(self, principal: Principal, request_id: str) -> OperationContext:
        """Open the context of one operation or event; only while running."""
        assert self._contexts is not None
        return self._contexts.open(principal, request_id)

    @asynccontextmanager
    async def open_reads(self, rows: RowScope) -> AsyncIterator[OperationReads]:
        """Open reads of the rows of a scope for as long as the block lasts; only while running."""
        reads = OperationReads(self.reads, rows, OperationStats(), None)
        try:
            yield reads
        finally:
            reads.give_back()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Mapping[str, Any]]:
        """Open the pools and run the background tasks for as long as the block lasts."""
        watchdog = LoopWatchdog(self.metrics)
        if self._alone:
            watchdog.start()
            settle_memory()
        self._reads = await open_read_pool(self._serving_url, self.settings, self.metrics)
        self._writes = open_write_pool(self._serving_url, self.settings, self.metrics)
        self._contexts = Contexts(
            reads=self._reads,
            writes=self._writes,
            broker=self.broker,
            log=self.log,
            wakes=self.wake_up,
            clock=self.clock,
            reference=self.reference,
            ports={WebhookDesk: self.desk},
        )
        if self.reference is not None:
            self.metrics.watch_reference(self.reference)
        self.metrics.watch_pool("read", self._reads.state)
        self.metrics.watch_pool("write", self._writes.state)
        self._start_background()
        try:
            yield {}
        finally:
            self.health.shut_down()
            self.broker.close()
            for task in self._background:
                task.cancel()
            await asyncio.gather(*self._background, return_exceptions=True)
            if self.shadow is not None:
                await self.shadow.close()
            await self.authenticator.close()
            self.log.close()
            await self._writes.close()
            await self._reads.close()
            if self._alone:
                watchdog.stop()

    def _start_background(self) -> None:
        runs = [self.wake_up.run(), self.follower.run(), self.subscriptions.run()]
        if self.settings.relay:
            runs.append(self.relay.run())
        if self.settings.webhook_delivery:
            runs.append(self.deliverer.run())
        self._background = [asyncio.create_task(run) for run in runs]

    async def _access_changed(self, fetch: Fetch) -> None:
        """Forget who may do what, and look at all who are connected again."""
        self.authenticator.invalidate()
        await self.callers.look_again(partial(self.authenticator.judge, fetch=fetch))

    async def _fetch(self, sql: str, *arguments: Any) -> list[Any]:
        return await self.reads.fetch(sql, *arguments)

    def _checks(self) -> Mapping[str, Check]:
        return {
            "database": self._check_database,
            "migrations": self._check_migrations,
            "row security": self._check_role,
            "events": self._check_follower,
            "pool": pool_check(self._pool_state),
        }

    def _is_busy(self) -> bool:
        """Tell whether half of the connections for reads are in use."""
        state = self.reads.state()
        return 2 * state.in_use >= state.limit

    def _pool_state(self) -> PoolState:
        return self.reads.state()

    async def _check_database(self) -> str | None:
        with suppress(Exception):
            await self.reads.fetch("select 1")
            return None
        return "the database does not answer"

    async def _check_migrations(self) -> str | None:
        rows = await self.reads.fetch("select version_num from alembic_version")
        known = await asyncio.to_thread(head_revision)  # it reads files
        return None if rows and rows[0][0] == known else "the database is not migrated"

    async def _check_role(self) -> str | None:
        rows = await self.reads.fetch(_ROLE)
        return "the serving role could bypass row security" if rows[0][0] else None

    async def _check_follower(self) -> str | None:
        return None if self.follower.connected else "events are not followed"
