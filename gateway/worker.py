"""Does the jobs that commands ask for, one at a time per process, and sends webhooks beside.

A worker holds an advisory lock for each job it does. A job that is called running and of which
nobody holds the lock was left by a worker that died: it is done again, from where it was, since its
portions are commands with keys of their own.
"""

import asyncio
import os
import random
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from time import monotonic
from typing import Any, Final

import asyncpg
import orjson
import structlog

from gateway.back_office import BackOffice, back_office
from gateway.lifespan import Runtime
from gateway.secrets import webhook_key
from gateway.settings import Settings
from gateway.verify import verify
from resolvers.core.command import Outcome
from resolvers.core.database_errors import FAILURES
from resolvers.core.errors import ErpError
from resolvers.modules import NAMES
from resolvers.operations.commands import JOB_CHANNEL, JobFailed

JOB_LOCK: Final = 0x0E7B_0C5F_0000_0000
"""First key of the advisory locks that workers hold; a job's is so much further on as its id."""
VERIFY: Final = "verify"
"""Kind of the job that proves the invariants."""
UNEXPECTED: Final = "An unexpected failure; the worker's log tells more."
"""What clients are told of what went wrong inside."""
_POLL_SECONDS: Final = 1.0
"""Longest that a job waits which nobody was told of."""
_EXPIRE_SECONDS: Final = 10.0
"""Longest that an overdue hold keeps stock while nobody asks for it, and jobs are short."""
_MOST_EXPIRED: Final = 500
"""Holds that are ended in one transaction."""
_PROGRESS_SECONDS: Final = 0.25
"""Shortest time between two progresses of a job that are told; the end of it is told at once."""
_EXPIRE: Final = "select expire_holds($1)"
_PASSING: Final[tuple[type[Exception], ...]] = (*FAILURES, ErpError)
"""What may keep webhooks from being sent for a while."""
_FIRST_PAUSE: Final = 2.0
"""Seconds before a job that failed is tried again; doubled each time, with jitter."""

_CLAIM: Final = """
select id, company_id, kind, arguments, attempts, max_attempts, created_by from job
where state = 'QUEUED' and run_at <= now() and kind = any($1)
order by priority, run_at, id limit 1 for update skip locked
"""
_BEGIN: Final = """
update job set state = 'RUNNING', attempts = attempts + 1, started_at = now(), worker = $2,
  error = null where id = $1
"""
_LEFT: Final = """
select id from job where state = 'RUNNING' and kind = any($1) for update skip locked
"""
_AGAIN: Final = """
update job set state = case when attempts < max_attempts then 'QUEUED' else 'DEAD' end,
  finished_at = case when attempts < max_attempts then null else now() end,
  run_at = now() + make_interval(secs => $2), error = $3, worker = null
where id = $1
"""
_DONE: Final = """
update job set state = $2, finished_at = now(), result = $3, error = $4,
  progress_done = case when $2 = 'SUCCEEDED' then coalesce(progress_total, progress_done)
                       else progress_done end
where id = $1
"""
_SCHEDULE: Final = """
insert into job (company_id, kind, created_by, max_attempts, dedupe_key)
select (select min(id) from company), $1, 'worker', 3, $1
where exists (select from company) and not exists (
  select from job where kind = $1 and created_at > now() - make_interval(hours => $2))
on conflict do nothing
"""

_log = structlog.get_logger("worker")


def handlers() -> dict[str, Any]:
    """Return what is done with jobs, by their kind, as the modules say."""
    found: dict[str, Any] = {}
    for name in NAMES:
        if find_spec(f"resolvers.{name}.jobs") is not None:
            found |= import_module(f"resolvers.{name}.jobs").HANDLERS
    return found


class Worker:
    """Takes jobs one after another until it is stopped; a job that runs then is finished first."""

    def __init__(self, settings: Settings) -> None:
        assert settings.database_url is not None
        self._settings = settings
        self._url = settings.database_url.get_secret_value()
        webhook_key(settings)  # one that is too short is to be told now, not when it is needed
        self._handlers = handlers()
        self._kinds = [*self._handlers, VERIFY]
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._stopping = asyncio.Event()
        self._woken = asyncio.Event()
        self._expires_at = 0.0

    def stop(self) -> None:
        """Take no more jobs."""
        self._stopping.set()
        self._woken.set()

    async def run(self) -> None:
        """Work until `stop`; connections that are lost are opened again."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        webhooks = asyncio.create_task(self._send_webhooks())
        await self.do_jobs()
        await webhooks

    async def do_jobs(self) -> None:
        """Do jobs and nothing else until `stop`; one that is canceled leaves its job to others."""
        while not self._stopping.is_set():
            try:
                async with back_office(self._settings) as office:
                    connection = await asyncpg.connect(
                        self._url, server_settings={"application_name": "erp-gateway worker"}
                    )
                    try:
                        await self._work(connection, office)
                    finally:
                        connection.terminate()
            except FAILURES as error:
                _log.warning("connection lost", reason=f"{type(error).__name__}: {error}")
                await asyncio.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - spreads retries

    async def _send_webhooks(self) -> None:
        """Send webhooks until `stop`, with what their subscriptions take: all but a port."""
        changes = {"relay": False, "webhook_delivery": True}
        while not self._stopping.is_set():
            settings = self._settings.model_copy(update=changes)
            try:
                # it reads files, and takes its time
                runtime = await asyncio.to_thread(Runtime, settings, alone=False)
                async with runtime.running():
                    await self._stopping.wait()
            except _PASSING as error:
                _log.warning("webhooks wait", reason=f"{type(error).__name__}: {error}")
            except Exception:  # noqa: BLE001 - whatever it was, jobs go on, and it is tried again
                _log.exception("webhooks failed")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), random.uniform(0.2, 1.0))  # noqa: S311

    async def run_until_idle(self) -> int:
        """Do all jobs that may begin now; return how many there were."""
        done = 0
        async with back_office(self._settings) as office:
            connection = await asyncpg.connect(self._url)
            try:
                await self._recover(connection)
                await self._expire(connection)
                while await self._one(connection, office):
                    done += 1
            finally:
                await connection.close()
        return done

    async def _work(self, connection: "asyncpg.Connection[Any]", office: BackOffice) -> None:
        await connection.add_listener(JOB_CHANNEL, lambda *_: self._woken.set())
        _log.info("worker is ready", name=self._name, kinds=self._kinds)
        while not self._stopping.is_set():
            self._woken.clear()
            await self._recover(connection)
            await connection.execute(_SCHEDULE, VERIFY, self._settings.verify_every_hours)
            await self._expire(connection)
            while not self._stopping.is_set() and await self._one(connection, office):
                await self._expire(connection)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), _POLL_SECONDS)

    async def _expire(self, connection: "asyncpg.Connection[Any]") -> None:
        """End the holds that are overdue, if it is time to look at them."""
        if monotonic() < self._expires_at:
            return
        self._expires_at = monotonic() + _EXPIRE_SECONDS
        while ended := await connection.fetchval(_EXPIRE, _MOST_EXPIRED):
            _log.info("holds expired", holds=ended)
            if ended < _MOST_EXPIRED:
                return

    async def _recover(self, connection: "asyncpg.Connection[Any]") -> None:
        """Have jobs done again whose worker died."""
        async with connection.transaction():
            for row in await connection.fetch(_LEFT, self._kinds):
                # not of this session: it holds none between two jobs
                if await connection.fetchval(
                    "select pg_try_advisory_xact_lock($1)", JOB_LOCK + row["id"]
                ):
                    _log.warning("job was left by a worker that died", job=row["id"])
                    await connection.execute(_AGAIN, row["id"], 0.0, "Its worker died.")

    async def _one(self, connection: "asyncpg.Connection[Any]", office: BackOffice) -> bool:
        """Do one job; tell whether there was one."""
        async with connection.transaction():
            row = await connection.fetchrow(_CLAIM, self._kinds)
            if row is None:
                return False
            # before it is called running, so that nobody takes it for one that was left
            await connection.execute("select pg_advisory_lock($1)", JOB_LOCK + row["id"])
            await connection.execute(_BEGIN, row["id"], self._name)
        try:
            await self._do(connection, office, row)
        finally:
            with suppress(*FAILURES):
                await connection.execute("select pg_advisory_unlock($1)", JOB_LOCK + row["id"])
        return True

    async def _do(
        self, connection: "asyncpg.Connection[Any]", office: BackOffice, row: Mapping[str, Any]
    ) -> None:
        job_id, kind = row["id"], row["kind"]
        told_at = 0.0

        async def progress(done: int) -> None:
            nonlocal told_at
            if monotonic() - told_at < _PROGRESS_SECONDS:
                return
            told_at = monotonic()
            await connection.execute(
                "update job set progress_done = $2 where id = $1", job_id, done
            )

        _log.info("job begins", job=job_id, kind=kind, attempt=row["attempts"] + 1)
        try:
            if kind == VERIFY:
                result = await self._prove()
            else:
                async with office.open(
                    row["company_id"], row["created_by"], f"job:{job_id}"
                ) as context:
                    result = await self._handlers[kind](
                        context, job_id, kind, orjson.loads(row["arguments"]), progress
                    )
        except JobFailed as error:
            _log.warning("job failed", job=job_id, kind=kind, reason=str(error))
            await connection.execute(_DONE, job_id, "FAILED", _json(error.outcome), str(error))
        except Exception:  # noqa: BLE001 - whatever it was, it is tried again
            _log.exception("job failed", job=job_id, kind=kind)
            pause = _FIRST_PAUSE * 2 ** row["attempts"] * random.uniform(0.5, 1)  # noqa: S311
            await connection.execute(_AGAIN, job_id, pause, UNEXPECTED)
        else:
            await connection.execute(_DONE, job_id, "SUCCEEDED", _json(result), None)
            _log.info("job done", job=job_id, kind=kind)

    async def _prove(self) -> Outcome:
        """Prove the invariants of all companies."""
        results = await verify(self._url)
        broken = [result for result in results if not result.holds]
        for result in broken:
            _log.error(
                "invariant broken",
                invariant=result.invariant.name,
                rows=result.violations,
                hint=result.invariant.hint,
            )
        return {
            "invariants": len(results),
            "broken": {result.invariant.name: result.violations for result in broken},
        }


def _json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()
