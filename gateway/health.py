"""``/healthz``: the process is alive. ``/readyz``: it can serve, or the reasons why not.

Each part of the gateway brings its own check; this module runs them together, bounded in time and
often enough to be current, seldom enough that probes cannot load the database.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from resolvers.core.context import PoolState

Check = Callable[[], Awaitable[str | None]]
"""Returns None when its part can serve, else the reason: one sentence, without SQL or addresses."""

_SHUTTING_DOWN: Final = {"process": "is shutting down"}


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the checks found. ``reasons`` maps the name of each failed check to its sentence."""

    checked: tuple[str, ...]
    reasons: Mapping[str, str]

    @property
    def ready(self) -> bool:
        """Whether the process can serve."""
        return not self.reasons

    def body(self) -> dict[str, Any]:
        """Return the JSON of the answer."""
        return {
            "ready": self.ready,
            "reasons": dict(self.reasons),
            "checks": {name: name not in self.reasons for name in self.checked},
        }


class Health:
    """Answers the probes. ``checks`` run concurrently, each at most ``timeout_seconds``.

    An answer is kept for ``fresh_seconds``, and probes that come while the checks run share one
    run of them.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        *,
        timeout_seconds: float = 1.0,
        fresh_seconds: float = 1.0,
    ) -> None:
        self._checks = dict(checks)
        self._timeout_seconds = timeout_seconds
        self._fresh_seconds = fresh_seconds
        self._log = structlog.get_logger("health")
        self._running = asyncio.Lock()
        self._last: Readiness | None = None
        self._last_at = 0.0
        self._shutting_down = False

    def shut_down(self) -> None:
        """Answer not ready from now on, so that load balancers send no more requests."""
        self._shutting_down = True

    async def readiness(self) -> Readiness:
        """Return what the checks find now, or found a moment ago."""
        if self._shutting_down:
            return Readiness(tuple(_SHUTTING_DOWN), _SHUTTING_DOWN)
        async with self._running:
            if self._last is None or time.monotonic() - self._last_at > self._fresh_seconds:
                self._last = await self._run()
                self._last_at = time.monotonic()
            return self._last

    def routes(self) -> list[Route]:
        """Return the routes of both probes."""
        return [Route("/healthz", self._healthz), Route("/readyz", self._readyz)]

    async def _run(self) -> Readiness:
        found = await asyncio.gather(*map(self._reason, self._checks, self._checks.values()))
        reasons = {
            name: reason
            for name, reason in zip(self._checks, found, strict=True)
            if reason is not None
        }
        if self._last is None or self._last.reasons != reasons:
            self._log.info("readiness changed", ready=not reasons, reasons=reasons)
        return Readiness(tuple(self._checks), reasons)

    async def _reason(self, name: str, check: Check) -> str | None:
        """Run one check; a check that fails or hangs is a reason too, and tells nothing more."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await check()
        except TimeoutError:
            return f"did not answer within {self._timeout_seconds:g} s"
        except Exception:  # noqa: BLE001 - whatever a check meets, a probe gets an answer
            if self._last is None or name not in self._last.reasons:
                self._log.exception("readiness check failed", check=name)
            return "could not be checked; the log says why"

    async def _healthz(self, _request: Request) -> Response:
        return _json({"alive": True}, 200)

    async def _readyz(self, _request: Request) -> Response:
        readiness = await self.readiness()
        return _json(readiness.body(), 200 if readiness.ready else 503)


def pool_check(state: Callable[[], PoolState]) -> Check:
    """Return the check that fails while every connection is lent out and somebody waits."""

    async def check() -> str | None:
        now = state()
        if now.waiting and now.in_use >= now.limit:
            return f"is exhausted: {now.in_use} of {now.limit} in use, {now.waiting} waiting"
        return None

    return check


def _json(body: dict[str, Any], status: int) -> Response:
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    return Response(orjson.dumps(body), status, headers)
