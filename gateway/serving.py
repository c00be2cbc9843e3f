"""Serving from the command line: the application, its logs and its socket, in processes or one."""

import os
import signal
import socket
from collections.abc import Mapping, Sequence

from starlette.types import ASGIApp

from gateway.app import create_app
from gateway.observability.logging import configure_logging
from gateway.server import serve
from gateway.settings import Settings

HANDED_DOWN = ("environment", "host", "port", "database_url", "serving_database_url", "relay")
"""Settings that the command line may have changed since they were read."""


def serve_gateway(
    settings: Settings,
    *,
    sockets: Sequence[socket.socket] | None = None,
    demo_tokens: Mapping[str, str] | None = None,
) -> None:
    """Serve until a signal stops the process; ``demo_tokens`` go to GraphiQL, of one process.

    Raises:
        KeyboardInterrupt: the signal was Ctrl-C; everything was finished and closed.
        ListenError: the server cannot listen where the settings say.

    """
    if settings.workers > 1:
        os.environ.update(environment_of(settings))
        serve(create_worker_app, settings, sockets, factory=True)
        return
    logs = configure_logging(settings)
    try:
        app = create_app(settings, demo_tokens=demo_tokens, logs=logs)
        stopped_by = serve(app, settings, sockets)
    finally:
        logs.close()
    if stopped_by == signal.SIGINT:
        raise KeyboardInterrupt


def create_worker_app() -> ASGIApp:
    """Make the application of one of several processes; the first has checked the settings."""
    settings = Settings()
    return create_app(settings, logs=configure_logging(settings))


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the environment variables from which another process reads these settings again."""
    plain = settings.model_dump(mode="json", include=set(HANDED_DOWN), exclude_none=True)
    urls = {
        name: url.get_secret_value()
        for name, url in (
            ("database_url", settings.database_url),
            ("serving_database_url", settings.serving_database_url),
        )
        if url is not None
    }
    return {f"GATEWAY_{name.upper()}": str(value) for name, value in (plain | urls).items()}
