"""The small process that is the server's parent: starts it, heals it, stops it when unused.

It lives apart from the processes that use the server, so that any of them may be killed: the kernel
then drops the user's lock, and the keeper sees whether anybody is left.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from gateway.postgres.cluster import Cluster
from gateway.postgres.installation import EmbeddedPostgresError, Installation, find_installation

TICK_SECONDS = 0.2
MOST_RESTARTS = 10
"""In a row."""
STEADY_SECONDS = 60
"""Uptime after which a server counts as restarted well."""


class Keeper:
    """Watches one server; lives while it is used."""

    def __init__(
        self, cluster: Cluster, installation: Installation, settings: Mapping[str, str]
    ) -> None:
        self._cluster = cluster
        self._installation = installation
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._restarts = 0
        self._started = time.monotonic()

    def run(self) -> None:
        """Start the server unless it runs already, then watch until nobody uses it."""
        if self._cluster.pid() is None:
            self._launch()
        try:
            while self._watch():
                time.sleep(TICK_SECONDS)
        except EmbeddedPostgresError:  # the data directory is gone
            if self._process is not None:
                self._process.send_signal(signal.SIGQUIT)

    def _launch(self) -> None:
        self._process = self._cluster.launch(self._installation, self._settings)
        self._started = time.monotonic()

    def _watch(self) -> bool:
        """Look once; return whether to go on."""
        down = self._is_down()
        with self._cluster.try_locked() as mine:
            if not mine:  # whoever holds the lock starts or stops the server, and looks itself
                return not down
            if not self._cluster.in_use():
                self._cluster.stop()
                return False
            return self._heal() if down else True

    def _is_down(self) -> bool:
        if self._process is None:
            return self._cluster.pid() is None
        return self._process.poll() is not None

    def _heal(self) -> bool:
        """Start a crashed server again; return whether it was worth trying."""
        if time.monotonic() - self._started > STEADY_SECONDS:
            self._restarts = 0
        stopped_on_request = self._process is not None and self._process.returncode == 0
        if stopped_on_request or self._restarts == MOST_RESTARTS:
            return False
        self._restarts += 1
        time.sleep(1)  # for the last backends of the crashed server to notice
        self._launch()
        return True


def main(data_dir: str, settings: str) -> None:
    """Go to the background and keep the server of a data directory, unless it is being kept.

    When this returns in the foreground, the keeper holds its lock.
    """
    cluster = Cluster.in_data_dir(Path(data_dir))
    installation = find_installation(cluster.data)
    keeping = cluster.keep()
    if keeping is None or os.fork() != 0:
        return
    with keeping:
        Keeper(cluster, installation, json.loads(settings)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
