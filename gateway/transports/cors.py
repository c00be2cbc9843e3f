"""Lets pages of the allowed origins call the endpoint from their users' browsers."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from gateway.settings import Settings


def with_cors(app: ASGIApp, settings: Settings, *exposed: str) -> ASGIApp:
    """Return ``app`` answering CORS preflights of the allowed origins; itself if there are none.

    ``exposed`` are headers of answers that pages may read, besides the usual ones.
    """
    if not settings.allowed_origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=[origin.rstrip("/") for origin in settings.allowed_origins],
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "GraphQL-Require-Preflight",
            "Last-Event-ID",
            "X-Company",
            "X-GraphQL-Event-Stream-Token",
            "X-Request-Id",
        ],
        expose_headers=["X-Request-Id", *exposed],
        max_age=600,
    )
