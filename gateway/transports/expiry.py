"""The end of a token on a live connection: announced in time, then kept."""

import asyncio
from collections.abc import Awaitable, Callable

from resolvers.core.clock import Clock
from resolvers.core.principal import Principal
from schema.core.scalars import serialize_instant


class TokenWatch:
    """Waits for the end of a caller's token; ``announce`` is called before it, ``expire`` at it.

    The notice comes ``notice_seconds`` before the end; for a token with less than twice as long to
    live, when half of that is over. ``announce`` gets the moment as clients read it.
    """

    def __init__(
        self,
        clock: Clock,
        notice_seconds: float,
        *,
        announce: Callable[[str], Awaitable[None]],
        expire: Callable[[], object],
    ) -> None:
        self._clock = clock
        self._notice_seconds = notice_seconds
        self._announce = announce
        self._expire = expire
        self._timers: tuple[asyncio.TimerHandle, ...] = ()
        self._announcing: asyncio.Task[None] | None = None

    def watch(self, principal: Principal) -> None:
        """Wait for the end of this caller's token, and of no other; a key has no end."""
        self.close()
        if principal.expires_at is None:
            return
        left = max((principal.expires_at - self._clock()).total_seconds(), 0)
        told = serialize_instant(principal.expires_at)
        loop = asyncio.get_running_loop()
        notice = left - min(self._notice_seconds, left / 2)
        self._timers = (
            loop.call_later(notice, self._begin_announcing, told),
            loop.call_later(left, self._expire),
        )

    def close(self) -> None:
        """Wait for nothing any more."""
        for timer in self._timers:
            timer.cancel()
        self._timers = ()
        if self._announcing is not None:
            self._announcing.cancel()
            self._announcing = None

    def _begin_announcing(self, told: str) -> None:
        self._announcing = asyncio.ensure_future(self._announce(told))
