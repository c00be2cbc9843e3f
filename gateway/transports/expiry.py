"""The end of a token on a live connection: announced in time, then kept."""

import asyncio
from collections.abc import Awaitable, Callable

from resolvers.core.clock import Clock
from resolvers.core.principal import Principal
from schema.core.scalars import serialize_instant


class TokenWatch:
    """Waits for the end of a caller's token.

    The notice comes ``notice_seconds`` before the end; for a token with less than twice as long to
    live, when half of that is over.
    """

    def __init__(self, clock: Clock, notice_seconds: float) -> None:
        self._clock = clock
        self._notice_seconds = notice_seconds
        self._timers: tuple[asyncio.TimerHandle, ...] = ()
        self._announcing: asyncio.Future[None] | None = None

    def watch(
        self,
        principal: Principal,
        announce: Callable[[str], Awaitable[None]],
        expire: Callable[[], object],
    ) -> None:
        """Wait for the end of this caller's token, and of no other; a key has no end.

        ``announce`` is called before it, with the moment as clients read it, and ``expire`` at it.
        Both are forgotten when this is closed: they refer to who waits.
        """
        self.close()
        if principal.expires_at is None:
            return
        left = max((principal.expires_at - self._clock()).total_seconds(), 0)
        told = serialize_instant(principal.expires_at)
        loop = asyncio.get_running_loop()
        notice = left - min(self._notice_seconds, left / 2)
        self._timers = (
            loop.call_later(notice, self._begin, announce, told),
            loop.call_later(left, expire),
        )

    def close(self) -> None:
        """Wait for nothing any more."""
        for timer in self._timers:
            timer.cancel()
        self._timers = ()
        if self._announcing is not None:
            self._announcing.cancel()
            self._announcing = None

    def _begin(self, announce: Callable[[str], Awaitable[None]], told: str) -> None:
        self._announcing = asyncio.ensure_future(announce(told))
