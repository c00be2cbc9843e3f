"""The gateway as it is served, on one core; on request without instruments, or under the sampler.

``python -m benchmarks.product_server CORE [--uninstrumented] [--samples FILE]``; the rest are the
gateway's settings.
"""

import argparse
from pathlib import Path
from typing import Any

from benchmarks.sampler import Sampler
from benchmarks.serving import announce, pin
from gateway import lifespan
from gateway.app import create_app
from gateway.server import bind, serve
from gateway.serving import serve_gateway
from gateway.settings import Settings
from resolvers.core.metrics import Metrics
from schema.core.execution import Executor


class NoWatchdog:
    """A loop watchdog that looks away."""

    def __init__(self, _metrics: Metrics) -> None:
        pass

    def start(self) -> None:
        """Do nothing."""

    stop = start


class Unreported(Executor):
    """An executor that tells nobody of what it ran."""

    def _report(self, *_: object) -> None:
        """Do nothing."""


def serve_uninstrumented(settings: Settings, listener: Any) -> None:
    """Serve without reports of operations, their metrics and log lines, and without watchdog.

    The product has no switch for it, so parts are taken out here. What stays are five numbers that
    are added to in place: documents looked up, plans run, connections lent, responses, statements.
    """
    vars(lifespan).update(LoopWatchdog=NoWatchdog, Executor=Unreported)
    app = create_app(settings)
    serve(app, settings, [listener])


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("core", type=int)
    parser.add_argument("--uninstrumented", action="store_true")
    parser.add_argument("--samples", type=Path)
    arguments = parser.parse_args()
    pin(arguments.core)
    settings = Settings()
    listener = bind(settings)
    announce(listener)
    if arguments.uninstrumented:
        serve_uninstrumented(settings, listener)
    elif arguments.samples is not None:
        with Sampler() as sampler:
            serve_gateway(settings, sockets=[listener])
        sampler.write(arguments.samples)
    else:
        serve_gateway(settings, sockets=[listener])


if __name__ == "__main__":
    main()
