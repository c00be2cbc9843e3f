"""Serve the gateway with accounts on its pages, and a limit of its own; print the port."""

import json
import sys

from gateway.server import bind
from gateway.serving import serve_gateway
from gateway.settings import Settings
from resolvers.inventory import events


def main(port: str, tokens: str, most_levels: str) -> None:
    """Serve on a port, 0 for any that is free, until a signal."""
    events.MOST_LEVELS = int(most_levels)  # type: ignore[misc]
    settings = Settings(port=int(port))
    listener = bind(settings)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    serve_gateway(settings, sockets=[listener], demo_tokens=json.loads(tokens))


if __name__ == "__main__":
    main(*sys.argv[1:])
