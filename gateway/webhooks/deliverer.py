"""Sends webhooks: each is a subscriber whose socket is a POST.

A webhook's subscription runs as any other, for its owner, and begins after the place in the log
that its row has. A change moves that place once the receiver took it, so whatever dies in between
is sent again, in order, by whoever takes over. One process at a time serves a webhook: it holds the
webhook's advisory lock, all of them on one session, and writes down on that very session what was
sent. A session that is lost ends all of its lines.
"""

import asyncio
import random
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import asyncpg
import httpx2
import orjson
import structlog

from gateway.relay import Connection, keep_running
from gateway.settings import Settings
from gateway.webhooks.desk import NO_SECRETS, OTHER_KEY, Open
from gateway.webhooks.egress import EgressRefused, EgressRules, Resolve, Sender
from gateway.webhooks.signing import Secrets
from resolvers.core.clock import Clock
from resolvers.core.database_errors import FAILURES
from resolvers.core.metrics import Metrics
from resolvers.core.principal import CompanyAccess, Principal
from resolvers.core.stream import Place
from resolvers.webhooks.rules import (
    MOST_DEAD_IN_A_ROW,
    DeliveryState,
    WebhookState,
    attempts_within,
    is_given_up,
    message_id,
    pause,
    seconds_asked,
)
from schema.core.execution import Executor, GraphQLRequest, Prepared, Refused
from schema.core.live import Delivery, Subscriber

WEBHOOK_LOCK: Final = 0x0E7B_0CA1_0000_0000
"""First key of the advisory locks of webhooks; a webhook's is so much further on as its id."""
_POLL_SECONDS: Final = 1.0
"""Longest that a change of a webhook, or of what its owner may, waits to be seen."""
_POSITION_SECONDS: Final = 30.0
"""How often a webhook that nothing concerns is moved on in the log."""
_CLEAN_SECONDS: Final = 60.0
"""Time between two looks for deliveries that are kept no longer."""
_MOST_DELIVERED: Final = 1_000
"""Deliveries that are kept of each webhook."""
_MOST_DEAD: Final = 10_000
"""Dead letters that are kept of each webhook."""
_KEPT: Final = timedelta(days=30)
"""Longest that any of them is kept."""
_CLEAN_PAGE: Final = 1_000
_OWN_PAUSES: Final = (1.0, 60.0)
"""Shortest and longest wait, in seconds, after a failure that is ours and not the receiver's."""
_OURS: Final = frozenset({"INTERNAL", "OVERLOADED", "TIMEOUT"})
"""Codes of errors that tell of us and not of the subscription: it is asked again."""
_LAGGED: Final = "SUBSCRIBER_LAGGED"
_MOST_ASKED_AGAIN: Final = 5
"""Times a change is evaluated again that could not be; then what there is of it is sent."""
_LONGEST_ERROR: Final = 500
_GONE: Final = 410
_FIRST_GOOD: Final = 200
_FIRST_BAD: Final = 300
_REQUEST: Final = "webhook"
"""What logs call the request of what is evaluated for a webhook."""

# What each may do now, looked up by what the database says and no token: users by their roles in
# the company, programs by their key, which has to be of the partner still.
_LIVE: Final = """
select w.id, w.version, w.company_id, w.partner_id, w.owner, w.salt, c.code as company,
       access.name, access.permissions
from webhook w join company c on c.id = w.company_id
left join lateral (
  select u.display_name as name, array_agg(distinct p.permission order by p.permission)
         as permissions
  from app_user u join user_role r on r.user_id = u.id and r.company_id = w.company_id
  join role_permission p on p.role_id = r.role_id
  where w.owner like 'user:%' and u.id = split_part(w.owner, ':', 2)::int
    and u.archived_at is null and w.partner_id is null and c.archived_at is null
  group by u.display_name
  union all
  select a.name, a.permissions from api_client a
  where w.owner like 'client:%' and a.id = split_part(w.owner, ':', 2)::int
    and a.company_id = w.company_id and a.partner_id is not distinct from w.partner_id
    and a.archived_at is null and a.revoked_at is null and c.archived_at is null
) access on true
where w.state in ('ACTIVE', 'FAILING') and w.archived_at is null
order by w.id
"""
_LOAD: Final = """
select w.*, (select last_seq from outbox_counter) as last_seq from webhook w
where id = $1 and version = $2 and state in ('ACTIVE', 'FAILING')
"""
_LETTER: Final = """
select seq, body, attempts from webhook_delivery
where webhook_id = $1 and state = 'RETRYING' order by seq limit 1
"""
_DELIVERED: Final = """
with line as (
  update webhook set cursor = case when $3 < seq then cursor else $6 end,
    seq = greatest(seq, $3), state = 'ACTIVE', failures = 0, dead_in_a_row = 0,
    next_attempt_at = null, last_error = null, delivered = delivered + 1, last_delivered_at = $4
  where id = $1 and version = $2 and state in ('ACTIVE', 'FAILING')
  returning id, company_id, partner_id
)
insert into webhook_delivery (company_id, partner_id, webhook_id, seq, state, attempts, status_code,
                              created_at, attempted_at)
select company_id, partner_id, id, $3, 'DELIVERED', 1, $5, $4, $4 from line
on conflict (webhook_id, seq) do update set state = 'DELIVERED',
  attempts = webhook_delivery.attempts + 1, status_code = excluded.status_code, error = null,
  body = null, attempted_at = excluded.attempted_at
returning 1
"""
_FAILED: Final = """
with line as (
  update webhook set cursor = case when $4 = 'DEAD' and $3 >= seq then $14 else cursor end,
    seq = case when $4 = 'DEAD' then greatest(seq, $3) else seq end, state = $5,
    failures = $6, dead_in_a_row = $7, next_attempt_at = $8, last_error = $9
  where id = $1 and version = $2 and state in ('ACTIVE', 'FAILING')
  returning id, company_id, partner_id
)
insert into webhook_delivery (company_id, partner_id, webhook_id, seq, state, attempts, status_code,
                              error, body, created_at, attempted_at)
select company_id, partner_id, id, $3, $4, 1, $10, $11, $12, $13, $13 from line
on conflict (webhook_id, seq) do update set state = excluded.state,
  attempts = webhook_delivery.attempts + 1, status_code = excluded.status_code,
  error = excluded.error, body = excluded.body, attempted_at = excluded.attempted_at
returning 1
"""
_DISABLE: Final = """
update webhook set state = 'DISABLED', last_error = $3, next_attempt_at = null
where id = $1 and version = $2 and state in ('ACTIVE', 'FAILING') returning 1
"""
_MOVE_ON: Final = """
update webhook set seq = $3, cursor = $4 where id = $1 and version = $2 and seq < $3 returning 1
"""
_CLEAN_ONE: Final = """
delete from webhook_delivery d using (
  select (select seq from webhook_delivery where webhook_id = $1 and state = 'DELIVERED'
          order by seq desc offset $2 limit 1) as delivered,
         (select seq from webhook_delivery where webhook_id = $1 and state = 'DEAD'
          order by seq desc offset $3 limit 1) as dead
) as kept
where d.webhook_id = $1 and (d.state = 'DELIVERED' and d.seq <= kept.delivered
                             or d.state = 'DEAD' and d.seq <= kept.dead)
"""
_CLEAN_OLD: Final = """
delete from webhook_delivery where id in (
  select id from webhook_delivery d where attempted_at < $1
    and (state <> 'RETRYING'
         or exists (select from webhook w where w.id = d.webhook_id and w.archived_at is not null))
  order by attempted_at limit $2)
"""

_log = structlog.get_logger("webhooks")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A webhook as it is to be served: which version of it, and what its owner may do now."""

    id: int
    version: int
    company_id: int
    partner_id: int | None
    owner: str
    company: str
    name: str | None
    permissions: frozenset[str] | None

    @property
    def principal(self) -> Principal | None:
        """The owner as a caller; None if there is no such caller any more."""
        if self.permissions is None:
            return None
        access = CompanyAccess(self.company_id, self.company, self.permissions)
        return Principal(
            kind="client" if self.owner.startswith("client:") else "user",
            actor=self.owner,
            name=self.name or self.owner,
            access=access,
            companies=(access,),
            credential=f"webhook:{self.id}",
            partner_id=self.partner_id,
        )


class _Change(NamedTuple):
    """One answer of the subscription: what to send, and the place in the log it is of."""

    seq: int
    body: bytes

    @property
    def cursor(self) -> str | None:
        """What to resume after, where the place alone does not say it.

        It is what the message says itself, so one that was kept to be sent again has it too.
        """
        found = orjson.loads(self.body).get("extensions", {}).get("seq")
        return None if found == str(self.seq) else found


class _Stopped(Exception):
    """The webhook stops itself; the message says why, to whoever it belongs to."""


class _Outdated(Exception):
    """The webhook was changed meanwhile: whatever this line knows of it is not to be written."""


class Deliverer:
    """Serves the webhooks that no other process serves, until canceled.

    Connects as the owner of the tables, as relay and worker do; subscriptions run as their owners.
    ``share`` draws from 0 to 1; ``resolve`` finds the addresses of hosts.
    """

    def __init__(
        self,
        database_url: str,
        settings: Settings,
        *,
        executor: Executor,
        open_context: Open,
        rules: EgressRules,
        secrets: Secrets | None,
        metrics: Metrics,
        clock: Clock,
        share: Callable[[], float] = random.random,
        resolve: Resolve | None = None,
        poll_seconds: float = _POLL_SECONDS,
    ) -> None:
        self._database_url = database_url
        self._executor = executor
        self._open = open_context
        self._rules = rules
        self._secrets = secrets
        self.metrics = metrics
        self.clock = clock
        self.share = share
        self._resolve = resolve
        self.poll_seconds = poll_seconds
        self._seconds = settings.webhook_timeout_seconds
        self._grace = settings.shutdown_seconds
        hours = min(settings.webhook_retry_hours, 0.8 * settings.event_retention_hours)
        self.most_attempts = attempts_within(hours * 3600)
        self._trust: ssl.SSLContext | None = None
        self._lines: dict[int, _Line] = {}
        self._foreign: dict[int, int] = {}
        """Webhooks whose secrets were made with another key, and their versions."""
        self._held: set[int] = set()
        """Webhooks whose locks the session holds."""
        self._turn = asyncio.Lock()
        self._session: Connection | None = None

    async def run(self) -> None:
        """Serve until canceled; what is being sent then is waited for, for a while."""
        if self._secrets is None:
            _log.error("webhooks are not sent", reason=NO_SECRETS)
            return
        if self._trust is None:
            self._trust = await asyncio.to_thread(httpx2.create_ssl_context)
        await keep_running("webhooks", self._database_url, self._work)

    def subscribe(self, prepared: Prepared, principal: Principal, cursor: str) -> Subscriber:
        """Run a webhook's subscription, for its owner, after a place in the log."""
        return self._executor.subscribe(
            prepared, lambda: self._open(principal, _REQUEST), resumes_after=cursor
        )

    def prepare(self, document: str, name: str | None, variables: Mapping[str, Any]) -> Prepared:
        """Prepare a webhook's subscription.

        Raises:
            Refused: it is not one that can run, any more.

        """
        request = GraphQLRequest(document, name, variables)
        return self._executor.prepare(request, known_caller=True)

    def signatures(self, salts: Sequence[str], message_id: str, timestamp: int, body: bytes) -> str:
        """Return the signatures of a message, by the secrets of these salts."""
        assert self._secrets is not None, "without any it does not run"
        return self._secrets.signatures(salts, message_id, timestamp, body)

    def sender(self) -> Sender:
        """Return what sends to one URL."""
        assert self._trust is not None
        return Sender(self._rules, self._trust, seconds=self._seconds, resolve=self._resolve)

    async def ask(self, sql: str, *arguments: Any) -> list[Any]:
        """Run a statement on the session that holds the locks, or fail if that is lost.

        It is run to its end even if nobody waits for it any more: it tells what has happened.
        """
        asked = asyncio.ensure_future(self._ask(sql, arguments))
        asked.add_done_callback(_looked_at)
        return await asyncio.shield(asked)

    async def _ask(self, sql: str, arguments: Sequence[Any]) -> list[Any]:
        async with self._turn:
            if self._session is None:
                raise asyncpg.InterfaceError("the session of the locks is gone")
            return list(await self._session.fetch(sql, *arguments))

    async def _work(self, connection: Connection) -> None:
        self._session, self._held = connection, set()
        loop = asyncio.get_running_loop()
        cleaned = loop.time()
        _log.info("webhooks are sent")
        try:
            while True:
                await self._look()
                if loop.time() - cleaned > _CLEAN_SECONDS:
                    await self._clean()
                    cleaned = loop.time()
                await asyncio.sleep(self.poll_seconds)
        finally:
            await self._end()

    async def _look(self) -> None:
        """Begin the lines of webhooks that are to be served, and end those of others."""
        live = await self.ask(_LIVE)
        wanted = {row["id"]: _asked(row) for row in live if self.signs(row["salt"])}
        self._tell_of_foreign({row["id"]: row for row in live if row["id"] not in wanted})
        for id_, line in list(self._lines.items()):
            if line.task.done():
                del self._lines[id_]
            elif wanted.get(id_) != line.asked:
                line.stop()
        for id_ in self._held - set(wanted) - set(self._lines):
            await self.ask("select pg_advisory_unlock($1)", WEBHOOK_LOCK + id_)
            self._held.discard(id_)
        for id_, asked in wanted.items():
            if id_ not in self._lines and await self._is_ours(id_):
                self._lines[id_] = _Line(self, asked)

    def signs(self, salt: str) -> bool:
        """Tell whether the receiver would know what is signed here by a salt."""
        return self._secrets is not None and self._secrets.knows(salt)

    def _tell_of_foreign(self, found: Mapping[int, Mapping[str, Any]]) -> None:
        """Tell of webhooks that another process may sign and this one cannot, once of each."""
        for id_, row in found.items():
            if self._foreign.get(id_) != row["version"]:
                _log.error("webhook not signed", webhook=id_, reason=OTHER_KEY)
        self._foreign = {id_: row["version"] for id_, row in found.items()}
        self.metrics.webhooks_of_another_key(len(found))

    async def _is_ours(self, id_: int) -> bool:
        """Take the lock of a webhook; tell whether nobody else has it."""
        if id_ not in self._held:
            [[taken]] = await self.ask("select pg_try_advisory_lock($1)", WEBHOOK_LOCK + id_)
            if taken:
                self._held.add(id_)
        return id_ in self._held

    async def _clean(self) -> None:
        """Delete deliveries that are kept no longer."""
        for id_ in list(self._lines):
            await self.ask(_CLEAN_ONE, id_, _MOST_DELIVERED, _MOST_DEAD)
        await self.ask(_CLEAN_OLD, self.clock() - _KEPT, _CLEAN_PAGE)

    async def _end(self) -> None:
        """End all lines: between two messages, or in the middle of one that takes too long."""
        lines, self._lines = list(self._lines.values()), {}
        for line in lines:
            line.stop()
        tasks = [line.task for line in lines]
        if tasks:
            await asyncio.wait(tasks, timeout=self._grace)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # what they asked last is run to its end: closing the session would cancel it
        with suppress(TimeoutError):
            async with asyncio.timeout(self._grace), self._turn:
                pass
        self._session = None


def _looked_at(asked: "asyncio.Future[Any]") -> None:
    """Take note of a failure that nobody waits for any more."""
    if not asked.cancelled():
        asked.exception()


def _asked(row: Mapping[str, Any]) -> _Asked:
    permissions = row["permissions"]
    return _Asked(
        id=row["id"],
        version=row["version"],
        company_id=row["company_id"],
        partner_id=row["partner_id"],
        owner=row["owner"],
        company=row["company"],
        name=row["name"],
        permissions=None if permissions is None else frozenset(permissions),
    )


class _Line:
    """Serves one webhook, in one version of it and for what its owner may do now."""

    def __init__(self, deliverer: Deliverer, asked: _Asked) -> None:
        self.asked = asked
        self._deliverer = deliverer
        self._stopping = asyncio.Event()
        self._row: Any = None
        self._failures = 0
        """How often the change that is sent now has failed."""
        self._dead = 0
        """Changes given up since one was delivered."""
        self._again = False
        """Whether it was given up before, and is sent because somebody asked for that."""
        self._own_failures = 0
        """Failures in a row that are not the receiver's."""
        self.task = asyncio.create_task(self._run(), name=f"webhook {asked.id}")

    def stop(self) -> None:
        """End after the message that is being sent."""
        self._stopping.set()

    async def _run(self) -> None:
        sender = self._deliverer.sender()
        try:
            await self._serve(sender)
        except _Outdated:
            return
        except _Stopped as why:
            await self._disable(str(why))
        except FAILURES as error:
            _log.warning("line lost", webhook=self.asked.id, reason=f"{type(error).__name__}")
        except Exception:  # noqa: BLE001 - whatever it was, the others go on, and it is tried again
            _log.exception("line failed", webhook=self.asked.id)
            await self._wait(_OWN_PAUSES[1] / 2)
        finally:
            await sender.aclose()

    async def _serve(self, sender: Sender) -> None:
        principal = self.asked.principal
        if principal is None:
            raise _Stopped(
                f"Its owner, {self.asked.owner}, cannot sign in here any more, or has no role in "
                "the company. updateWebhook makes its caller the owner."
            )
        while not self._stopping.is_set():
            await self._load()
            if self._row["next_attempt_at"] is not None:
                await self._wait_until(self._row["next_attempt_at"])
                if self._stopping.is_set():
                    return
            letters = await self._ask(_LETTER, self.asked.id)
            if letters:
                seq, body, attempts = letters[0]
                self._failures, self._again = attempts, seq <= self._row["seq"]
                await self._send(sender, _Change(seq, body.encode()))
            else:
                await self._follow(sender, principal)

    async def _load(self) -> None:
        """Read the webhook as it is.

        Raises:
            _Outdated: it is of another version, or not to be served.

        """
        rows = await self._ask(_LOAD, self.asked.id, self.asked.version)
        if not rows:
            raise _Outdated
        self._row = rows[0]
        self._failures, self._dead = self._row["failures"], self._row["dead_in_a_row"]
        self._again = False

    async def _follow(self, sender: Sender, principal: Principal) -> None:
        """Send what the subscription tells, until something fails or the line ends."""
        row = self._row
        try:
            prepared = self._deliverer.prepare(
                row["document"], row["operation_name"], orjson.loads(row["variables"])
            )
        except Refused as refused:
            message = refused.errors[0]["message"]
            raise _Stopped(f"Its document does not run any more: {message}") from None
        within = Place.read(row["cursor"] or "")
        known = within is not None and within.seq == row["seq"]
        cursor = row["cursor"] if known else str(row["seq"])
        stream = self._deliverer.subscribe(prepared, principal, cursor)
        async with aclosing(self._changes(stream)) as changes:
            async for change in changes:
                # what comes next may be there already, and then is not waited for
                if not await self._send(sender, change) or self._stopping.is_set():
                    return

    async def _changes(self, stream: Subscriber) -> AsyncGenerator[_Change, None]:
        """Yield what the subscription tells until the line ends, or it has to be asked again.

        Raises:
            _Stopped: it is over, for a reason that stays.

        """
        async with aclosing(stream):
            while (delivery := await self._next(stream)) is not None:
                fault = _fault(delivery.body)
                if delivery.cursor is None:
                    if fault is None or fault.code in _OURS or fault.passes:
                        await self._rest()
                        return
                    raise _Stopped(_ended(fault, self._row["seq"]))
                if (
                    fault is not None
                    and fault.whole
                    and fault.code in _OURS
                    and self._own_failures < _MOST_ASKED_AGAIN
                ):
                    await self._rest()
                    return
                self._own_failures = 0
                yield _Change(delivery.seq, delivery.body)
        await self._rest()  # a stream ends by itself when the process does

    async def _next(self, stream: Subscriber) -> Delivery | None:
        """Return the next answer; None when the line or the stream ends."""
        coming = asyncio.ensure_future(anext(stream))
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            while True:
                done, _ = await asyncio.wait(
                    (coming, stopped),
                    timeout=_POSITION_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if coming in done:
                    return coming.result()
                if stopped in done:
                    return None
                if (place := stream.place) is not None:
                    await self._pass_over(place)
        except StopAsyncIteration:
            return None
        finally:
            for task in (coming, stopped):
                task.cancel()
            await asyncio.gather(coming, stopped, return_exceptions=True)

    async def _pass_over(self, place: Place) -> None:
        """Move on in the log past what does not concern the webhook, before it is deleted there."""
        cursor = None if place.shown is None else place.text
        await self._ask(_MOVE_ON, self.asked.id, self.asked.version, place.seq, cursor)

    async def _send(self, sender: Sender, change: _Change) -> bool:
        """Send a change and write down what became of it; tell whether it was delivered.

        Raises:
            _Stopped: the receiver wants no more, or took nothing for too long.
            _Outdated: the webhook was changed meanwhile.

        """
        row, now = self._row, self._deliverer.clock()
        name = message_id(self.asked.id, change.seq)
        timestamp = int(now.timestamp())
        salts = [row["salt"]]
        overlaps = row["previous_until"] is not None and now < row["previous_until"]
        if overlaps and self._deliverer.signs(row["previous_salt"]):
            salts.append(row["previous_salt"])
        headers = {
            "content-type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": self._deliverer.signatures(salts, name, timestamp, change.body),
        }
        status: int | None = None
        asked_for: float | None = None
        try:
            answered = await sender.post(row["url"], change.body, headers)
        except EgressRefused as refused:
            error = str(refused)
        else:
            status = answered.status
            if _FIRST_GOOD <= status < _FIRST_BAD:
                await self._delivered(change, status)
                return True
            error = f"The receiver answered {status}."
            asked_for = seconds_asked(answered.retry_after, now)
        await self._failed(change, status, error, asked_for)
        return False

    async def _delivered(self, change: _Change, status: int) -> None:
        now = self._deliverer.clock()
        await self._note(_DELIVERED, change.seq, now, status, change.cursor)
        self._failures = self._dead = 0
        self._deliverer.metrics.webhook_attempted("delivered")

    async def _failed(
        self, change: _Change, status: int | None, error: str, asked_for: float | None
    ) -> None:
        """Write down that a change was not taken, and when it is sent again, if it is."""
        now = self._deliverer.clock()
        self._failures += 1
        gone = status == _GONE
        given_up = not gone and is_given_up(
            self._failures, self._dead + self._again, self._deliverer.most_attempts
        )
        self._dead += given_up
        stopped = gone or self._dead >= MOST_DEAD_IN_A_ROW
        again = None
        if not given_up and not stopped:
            seconds = pause(self._failures, self._deliverer.share(), asked_for)
            again = now + timedelta(seconds=seconds)
        if stopped and not gone:
            error = f"{MOST_DEAD_IN_A_ROW} changes in a row were given up. {error}"
        state = WebhookState.ACTIVE if given_up else WebhookState.FAILING
        if stopped:
            state = WebhookState.DISABLED
        became = DeliveryState.DEAD if given_up else DeliveryState.RETRYING
        outcome = "dead" if given_up else "failed"
        await self._note(
            _FAILED,
            change.seq,
            became,
            state,
            0 if given_up else self._failures,
            self._dead,
            again,
            error[:_LONGEST_ERROR],
            status,
            error[:_LONGEST_ERROR],
            change.body.decode(),
            now,
            change.cursor,
        )
        self._deliverer.metrics.webhook_attempted(outcome)
        _log.warning(
            "webhook not delivered",
            webhook=self.asked.id,
            seq=change.seq,
            outcome=outcome,
            attempt=self._failures,
            reason=error,
            state=state.value,
        )
        if stopped:
            raise _Outdated

    async def _disable(self, why: str) -> None:
        _log.warning("webhook stopped", webhook=self.asked.id, reason=why)
        await self._ask(_DISABLE, self.asked.id, self.asked.version, why[:_LONGEST_ERROR])

    async def _note(self, sql: str, *arguments: Any) -> None:
        """Write down what became of a change.

        Raises:
            _Outdated: the webhook was changed meanwhile, and this is not to be known of it.

        """
        if not await self._ask(sql, self.asked.id, self.asked.version, *arguments):
            raise _Outdated

    async def _ask(self, sql: str, *arguments: Any) -> list[Any]:
        return await self._deliverer.ask(sql, *arguments)

    async def _rest(self) -> None:
        """Wait after a failure of ours, longer each time in a row."""
        shortest, longest = _OWN_PAUSES
        await self._wait(min(shortest * 2.0 ** min(self._own_failures, 10), longest))
        self._own_failures += 1

    async def _wait_until(self, moment: datetime) -> None:
        """Wait for a moment of the clock, or for the end of the line."""
        while not self._stopping.is_set():
            seconds = (moment - self._deliverer.clock()).total_seconds()
            if seconds <= 0:
                return
            await self._wait(min(seconds, self._deliverer.poll_seconds))

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


class _Fault(NamedTuple):
    """The first error of an answer."""

    code: str
    message: str
    whole: bool
    """Whether it left nothing else of the answer."""
    passes: bool
    """Whether the subscription ended as it was asked to when it is behind, and can go on."""


def _fault(body: bytes) -> _Fault | None:
    """Return what is wrong with an answer, None if nothing is; errors come first in it."""
    if not body.startswith(b'{"errors"'):
        return None
    answer = orjson.loads(body)
    error = answer["errors"][0]
    code, details = error["extensions"]["code"], error["extensions"].get("details", {})
    behind = code == _LAGGED and "oldest" not in details
    return _Fault(code, error["message"], answer["data"] is None, behind)


def _ended(fault: _Fault, seq: int) -> str:
    if fault.code == _LAGGED:
        return (
            f"Changes after {seq} are not kept any more. Read the state anew, and have it go on "
            "by replayWebhook after a place that is in the log."
        )
    return f"Its subscription does not run any more: {fault.message}"
