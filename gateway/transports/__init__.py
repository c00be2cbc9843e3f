"""How operations come in and answers go out: HTTP, WebSocket, server-sent events."""

from gateway.transports.endpoint import GraphQLEndpoint
from gateway.transports.operations import Authenticator, OpenContext

__all__ = ["Authenticator", "GraphQLEndpoint", "OpenContext"]
