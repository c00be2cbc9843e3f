"""Those who are connected: who they are is looked at again whenever access changes.

A socket or an event stream outlives the request it began with. So it enters here with the
credential it presented, and is told when its caller is another one now, or nobody any more. All
with the same credential are looked at as one.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from resolvers.core.errors import ErpError, Forbidden
from resolvers.core.metrics import Metrics
from resolvers.core.principal import Principal

_TURN_SECONDS: Final = 0.005
"""Longest the event loop is held while connections are told."""

Presented = tuple[str, str | None]
"""An Authorization header that was accepted, and the code of the company acted for."""
Judge = Callable[[Collection[Presented]], Awaitable[Mapping[Presented, Principal | ErpError]]]
"""Says who each credential stands for now, or why for nobody any more."""


class Door(Protocol):
    """Lets callers in."""

    async def authenticate(self, authorization: str | None, company: str | None) -> Principal:
        """Return who sent ``authorization``, acting for the company with code ``company``."""
        ...


class Connected(Protocol):
    """A connection that lives on with its caller; both methods act before they return."""

    def changed(self, principal: Principal) -> None:
        """Go on as the same caller with other rights."""
        ...

    def refused(self, error: ErpError) -> None:
        """Tell the caller nothing more, and end."""
        ...


@dataclass(slots=True)
class _Caller:
    """One credential, who it stands for, and the connections that came with it."""

    principal: Principal
    connections: dict[Connected, None] = field(default_factory=dict)


class Callers:
    """The connected callers of one process; to be used on the event loop's thread."""

    def __init__(self, door: Door, metrics: Metrics) -> None:
        self._door = door
        self._metrics = metrics
        self._callers: dict[Presented, _Caller] = {}
        self._presented: dict[Connected, Presented] = {}
        self._looked = 0

    async def enter(
        self, connection: Connected, authorization: str | None, company: str | None
    ) -> Principal:
        """Let in who presents a credential on a connection, until it leaves.

        Raises:
            ErpError: the credential does not hold, or could not be looked at.

        """
        principal = await self._let_in(authorization, company)
        self._file(connection, authorization, principal)
        return principal

    async def renew(
        self, connection: Connected, principal: Principal, authorization: str
    ) -> Principal:
        """Let the caller of a connection go on with another credential of its own.

        Raises:
            Forbidden: it is another caller's, or not for the company acted for.
            ErpError: the credential does not hold, or could not be looked at.

        """
        renewed = await self._let_in(authorization, principal.access.code)
        if renewed.actor != principal.actor:
            raise Forbidden("The new credential is another caller's.")
        self.leave(connection)
        self._file(connection, authorization, renewed)
        return renewed

    def leave(self, connection: Connected) -> None:
        """Forget a connection; nothing if it never entered."""
        presented = self._presented.pop(connection, None)
        if presented is None:
            return
        connections = self._callers[presented].connections
        del connections[connection]
        if not connections:
            del self._callers[presented]

    async def look_again(self, judge: Judge) -> None:
        """Look at all who are connected, because access has changed; tell those it concerns.

        Raises:
            Exception: ``judge`` could not tell; nobody was told anything.

        """
        self._looked += 1
        if not self._callers:
            return
        verdicts = await judge(list(self._callers))
        for presented, verdict in verdicts.items():
            await self._tell(presented, verdict)

    async def _tell(self, presented: Presented, verdict: Principal | ErpError) -> None:
        """Tell the connections of a credential what has become of their caller, if anything has."""
        caller = self._callers.get(presented)
        if caller is None:
            return
        count = self._metrics.access_checked
        if isinstance(verdict, ErpError):
            count("refused", len(caller.connections))
        elif verdict == caller.principal:
            count("unchanged", len(caller.connections))
            return
        else:
            count("changed", len(caller.connections))
        held = time.monotonic()
        for connection in tuple(caller.connections):
            if connection not in caller.connections:  # it left, or came with another credential
                continue
            if isinstance(verdict, ErpError):
                connection.refused(verdict)
            else:
                connection.changed(verdict)
            if time.monotonic() - held > _TURN_SECONDS:
                await asyncio.sleep(0)
                held = time.monotonic()
        if isinstance(verdict, Principal):
            caller.principal = verdict

    async def _let_in(self, authorization: str | None, company: str | None) -> Principal:
        while True:
            looked = self._looked
            principal = await self._door.authenticate(authorization, company)
            if looked == self._looked:  # else access changed meanwhile, perhaps this caller's
                return principal

    def _file(self, connection: Connected, authorization: str | None, principal: Principal) -> None:
        assert authorization is not None, "nobody is let in without a credential"
        # by the company acted for: whoever loses it must not act for another one instead
        presented = self._presented[connection] = (authorization, principal.access.code)
        caller = self._callers.setdefault(presented, _Caller(principal))
        caller.connections[connection] = None
