"""What every answer over HTTP has in common: whatever goes wrong is answered too."""

import asyncio
from abc import ABC, abstractmethod

import structlog
from starlette.types import Receive, Scope, Send

from gateway.observability.logging import REQUEST_ID
from gateway.transports.connection import ClientGone
from gateway.transports.exchange import Exchange
from gateway.transports.faults import TRY_AGAIN, HttpFault, fault_of, internal_error
from gateway.transports.negotiation import MediaType
from gateway.transports.statuses import Fault, status_of
from resolvers.core.errors import ErpError
from resolvers.core.metrics import Metrics

log = structlog.get_logger(__name__)


class Answering(ABC):
    """Answers requests; ``_serve`` does the work and raises what goes wrong."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._responses = metrics.responses

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request that came by ASGI."""
        await self.answer(Exchange(scope, receive, send))

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request; whatever goes wrong is answered too, unless the client left."""
        REQUEST_ID.set(exchange.request_id)
        try:
            await self._serve(exchange)
        except ClientGone:
            _abort(exchange)
            return
        except HttpFault as fault:
            await self._refuse(exchange, fault)
        except asyncio.CancelledError:
            await self._refuse(exchange, _shutting_down())
        except ErpError as error:
            credential_sent = b"authorization" in exchange.headers
            await self._refuse(exchange, fault_of(error, credential_sent=credential_sent))
        except Exception:
            log.exception("request failed")
            await self._fail(exchange)
        if exchange.started is not None:
            self._responses[exchange.started] += 1

    @abstractmethod
    async def _serve(self, exchange: Exchange) -> None:
        """Answer a request that nothing is wrong with.

        Raises:
            HttpFault: it is refused.
            ErpError: the caller is not let in.
            ClientGone: nobody is left to answer.

        """

    @abstractmethod
    def _media_type(self, exchange: Exchange) -> MediaType:
        """Return what errors are told as."""

    async def _refuse(self, exchange: Exchange, fault: HttpFault) -> None:
        if exchange.started is not None:
            return
        self._metrics.request_refused(fault.fault.name.lower())
        media_type = self._media_type(exchange)
        status = status_of(fault.fault, media_type)
        await exchange.respond(status, media_type, {"errors": fault.errors}, fault.headers)

    async def _fail(self, exchange: Exchange) -> None:
        """Tell of something unexpected; in the middle of a response, by breaking it off."""
        if exchange.started is not None:
            _abort(exchange)
            return
        media_type = self._media_type(exchange)
        body = {"errors": [internal_error(exchange.request_id)]}
        await exchange.respond(status_of(Fault.INTERNAL, media_type), media_type, body)


def _abort(exchange: Exchange) -> None:
    """Drop the connection, so that the server waits for no more of the response."""
    if exchange.connection is not None:
        exchange.connection.abort()


def _shutting_down() -> HttpFault:
    """Only the end of the server cancels a request whose client has not left."""
    return HttpFault(Fault.OVERLOADED, "The server is shutting down.", headers=TRY_AGAIN)
