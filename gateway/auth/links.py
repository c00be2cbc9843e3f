"""Signed links: the right to fetch one file for a while, for whoever has the link.

A link carries the end of its time and the row scope of the caller who asked for it, signed together
with the document's key: it opens no other document, nor that one once these rows are without it. It
is signed with a key derived from the shared secret, under which no token holds.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Final

from resolvers.core.clock import Clock
from resolvers.core.errors import Forbidden
from resolvers.core.principal import PARTNER_ROLE, STAFF_ROLE, Principal, RowScope

_TICKET: Final = re.compile(r"([0-9]{1,12})\.([0-9]{1,10})\.([0-9]{1,19})\.([A-Za-z0-9_-]{43})")
_NO_PARTNER: Final = 0


class Links:
    """Signs tickets for documents, and takes them back; ``seconds`` is how long they hold."""

    def __init__(self, secret: bytes, *, seconds: int, clock: Clock) -> None:
        self._key = hmac.digest(secret, b"key of links to documents", "sha256")
        self._lasts = timedelta(seconds=seconds)
        self._clock = clock

    def sign(self, document_id: int, caller: Principal) -> tuple[str, datetime]:
        """Return a ticket for a document and the end of its time, which is at most the token's."""
        ends = self._clock() + self._lasts
        if caller.expires_at is not None:
            ends = min(ends, caller.expires_at)
        seconds, rows = int(ends.timestamp()), caller.rows
        scope = f"{seconds}.{rows.company_id}.{rows.partner_id or _NO_PARTNER}"
        ticket = f"{scope}.{self._signature(document_id, scope)}"
        return ticket, datetime.fromtimestamp(seconds, UTC)

    def rows(self, document_id: int, ticket: str) -> RowScope:
        """Return the row scope that a ticket for a document was signed with.

        Raises:
            Forbidden: it was not signed here for this document, or its time is over.

        """
        found = _TICKET.fullmatch(ticket)
        scope, _, signature = ticket.rpartition(".")
        if found is None or not hmac.compare_digest(signature, self._signature(document_id, scope)):
            raise Forbidden("The link is not valid.")
        seconds, company_id, partner_id = (int(part) for part in found.groups()[:3])
        if self._clock().timestamp() >= seconds:
            raise Forbidden("The link has expired; ask for a new one.")
        if partner_id == _NO_PARTNER:
            return RowScope(STAFF_ROLE, company_id)
        return RowScope(PARTNER_ROLE, company_id, partner_id)

    def _signature(self, document_id: int, scope: str) -> str:
        signed = hmac.digest(self._key, f"{document_id}.{scope}".encode(), "sha256")
        return urlsafe_b64encode(signed).decode().rstrip("=")
