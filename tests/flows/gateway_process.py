"""Serve the gateway as its command does, with settings from the environment; print the port."""

import sys

from gateway.server import bind
from gateway.serving import serve_gateway
from gateway.settings import Settings


def main() -> None:
    """Serve on a free port until a signal."""
    settings = Settings(port=0)
    listener = bind(settings)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    serve_gateway(settings, sockets=[listener])


if __name__ == "__main__":
    main()
