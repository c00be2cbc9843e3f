"""``/downloads/<id of a document>``: the file behind it, to whoever may see the document.

The caller says who it is as on ``/graphql``, or comes with a signed link (`gateway.auth.links`): a
POST to the same address answers with one. A file is read in pieces, and no database connection is
held while one is on its way to the client.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeVar
from urllib.parse import parse_qs, quote

import structlog
from starlette.types import Receive, Scope, Send

from gateway.auth.links import Links
from gateway.transports.answering import Answering
from gateway.transports.connection import ClientGone
from gateway.transports.exchange import Exchange
from gateway.transports.faults import HttpFault
from gateway.transports.negotiation import MediaType
from gateway.transports.operations import Authenticator
from gateway.transports.statuses import ANSWERED, Fault
from resolvers.core.context import Reads
from resolvers.core.errors import ErpError, Forbidden, Invalid, NotFound
from resolvers.core.metrics import Metrics
from resolvers.core.principal import Principal, RowScope
from resolvers.documents.reads import File, find_file, read_piece
from schema.core.ids import decode_id, encode_id

OpenReads = Callable[[RowScope], AbstractAsyncContextManager[Reads]]
"""Opens reads of the rows of a scope; they give back what they took at the end of the block."""

PERMISSION: Final = "documents.read"
PIECE: Final = 65_536
"""Bytes of a file in memory at a time, for each client."""
NOT_MODIFIED: Final = 304

_ALLOW: Final = ((b"allow", b"GET, HEAD, POST"),)
_ALLOW_READING: Final = ((b"allow", b"GET, HEAD"),)
_TYPE: Final = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9 ._-]")
_NOT_IN_NAMES: Final = re.compile(r"[\x00-\x1f\x7f-\x9f/\\]+")
_LONGEST_NAME: Final = 150

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Downloads(Answering):
    """Answers requests for files; an ASGI application for the paths below ``/downloads/``.

    ``links`` signs links; None where there is no shared secret to sign with.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        open_reads: OpenReads,
        links: Links | None,
        *,
        send_timeout_seconds: float,
        metrics: Metrics,
    ) -> None:
        super().__init__(metrics)
        self._authenticator = authenticator
        self._open_reads = open_reads
        self._links = links
        self._send_timeout_seconds = send_timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self.handle(scope, receive, send)

    def _media_type(self, exchange: Exchange) -> MediaType:
        del exchange
        return MediaType.JSON

    async def _serve(self, exchange: Exchange) -> None:
        document_id = _document_id(exchange)
        if exchange.method == "POST":
            await self._sign(exchange, document_id)
            return
        if exchange.method not in ("GET", "HEAD"):
            raise HttpFault(Fault.METHOD, "Use GET, HEAD or POST.", headers=_ALLOW)
        rows, actor = await self._reader(exchange, document_id)
        file = await self._find(rows, document_id)
        headers = _headers(file)
        if _has_it(exchange.headers.get(b"if-none-match"), file):
            await exchange.start(NOT_MODIFIED, headers[:_OF_ANY_ANSWER])
            await exchange.send_body(b"", more=False)
        elif exchange.method == "HEAD":
            await exchange.start(ANSWERED, headers)
            await exchange.send_body(b"", more=False)
        else:
            first = await self._piece(rows, document_id, file, 0)
            await exchange.start(ANSWERED, headers)
            await self._send_all(exchange, rows, document_id, file, first)
            log.info("file sent", document=document_id, bytes=file.size_bytes, actor=actor)

    async def _sign(self, exchange: Exchange, document_id: int) -> None:
        """Answer with a link to the file that holds for a while."""
        if self._links is None:
            raise HttpFault(
                Fault.METHOD, "This installation signs no links.", headers=_ALLOW_READING
            )
        caller = await self._caller(exchange)
        await self._find(caller.rows, document_id)
        ticket, ends = self._links.sign(document_id, caller)
        url = f"{_address(document_id)}?ticket={ticket}"
        body = {"url": url, "expiresAt": f"{ends:%Y-%m-%dT%H:%M:%SZ}"}
        never_stored = ((b"cache-control", b"no-store"),)
        await exchange.respond(ANSWERED, MediaType.JSON, body, never_stored)

    async def _reader(self, exchange: Exchange, document_id: int) -> tuple[RowScope, str]:
        """Return whose rows to look among, and who asks, for the log."""
        query = parse_qs(exchange.query_string.decode("latin-1"), keep_blank_values=True)
        tickets = query.get("ticket")
        if tickets is None:
            caller = await self._caller(exchange)
            return caller.rows, caller.actor
        if self._links is None:
            raise Forbidden("This installation signs no links.")
        return self._links.rows(document_id, tickets[0]), "link"

    async def _caller(self, exchange: Exchange) -> Principal:
        caller = await self._authenticator.authenticate(
            exchange.text(b"authorization"), exchange.text(b"x-company")
        )
        if not caller.can(PERMISSION):
            raise Forbidden(
                f"Files require the permission {PERMISSION}.", details={"permission": PERMISSION}
            )
        return caller

    async def _find(self, rows: RowScope, document_id: int) -> File:
        file = await self._read(rows, lambda reads: find_file(reads, document_id))
        if file is None:
            raise _not_found()
        return file

    async def _piece(self, rows: RowScope, document_id: int, file: File, offset: int) -> bytes:
        length = min(PIECE, file.size_bytes - offset)
        piece = await self._read(rows, lambda reads: read_piece(reads, document_id, offset, length))
        if len(piece) != length:
            raise NotFound("The file went while it was being read.")
        return piece

    async def _read(self, rows: RowScope, read: Callable[[Reads], Awaitable[T]]) -> T:
        """Read with a connection that is given back before anything is sent."""
        async with self._open_reads(rows) as reads:
            return await read(reads)

    async def _send_all(
        self, exchange: Exchange, rows: RowScope, document_id: int, file: File, piece: bytes
    ) -> None:
        """Send the content, one piece after the other has left.

        Raises:
            ClientGone: it left, or stopped reading, or the rest could not be read.

        """
        sent = 0
        while True:
            sent += len(piece)
            await self._send(exchange, piece, more=sent < file.size_bytes)
            if sent == file.size_bytes:
                return
            try:
                piece = await self._piece(rows, document_id, file, sent)
            except ErpError as error:
                # the status is told already: only a broken connection tells that this is not all
                log.warning("file broken off", document=document_id, reason=error.message)
                raise ClientGone from None

    async def _send(self, exchange: Exchange, piece: bytes, *, more: bool) -> None:
        connection = exchange.connection
        if connection is not None and connection.lost:
            raise ClientGone
        try:
            async with asyncio.timeout(self._send_timeout_seconds):
                await exchange.send_body(piece, more=more)
        except TimeoutError:
            raise ClientGone from None


def _document_id(exchange: Exchange) -> int:
    """Return the key of the document that the path names.

    Raises:
        NotFound: it names none; what cannot be an id looks like one that is not there.

    """
    try:
        return decode_id(exchange.scope["path_params"]["id"], "Document")
    except Invalid:
        raise _not_found() from None


def _not_found() -> NotFound:
    return NotFound("There is no such document.")


def _address(document_id: int) -> str:
    return f"/downloads/{encode_id('Document', document_id)}"


_OF_ANY_ANSWER: Final = 6
"""So many of a file's headers also go with the answer that it is the same as before."""


def _headers(file: File) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of a file; what it claims to be is never taken for anything else."""
    known = _TYPE.fullmatch(file.media_type) is not None
    return (
        (b"etag", _tag(file)),
        # kept by the one who asked, and asked about each time: access may be withdrawn
        (b"cache-control", b"private, no-cache"),
        (b"vary", b"Authorization, X-Company"),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"accept-ranges", b"none"),
        (b"content-type", file.media_type.encode() if known else b"application/octet-stream"),
        (b"content-length", b"%d" % file.size_bytes),
        (b"content-disposition", content_disposition(file.filename)),
    )


def _tag(file: File) -> bytes:
    return f'"{file.sha256}"'.encode()


def _has_it(given: bytes | None, file: File) -> bool:
    """Tell whether ``If-None-Match`` names the file (RFC 9110 section 13.1.2)."""
    if given is None:
        return False
    tags = [tag.strip().removeprefix(b"W/") for tag in given.split(b",")]
    return _tag(file) in tags or tags == [b"*"]


def content_disposition(filename: str) -> bytes:
    """Return the header that has a file saved under its name (RFC 6266 section 4).

    Names come from outside: nothing in them ends the header or leads out of a folder.
    """
    name = _NOT_IN_NAMES.sub("_", filename).strip(" .")[:_LONGEST_NAME] or "document"
    plain = _UNSAFE.sub("_", name)
    header = f'attachment; filename="{plain}"'
    if plain != name:
        header += f"; filename*=UTF-8''{quote(name, safe='')}"
    return header.encode("ascii")
