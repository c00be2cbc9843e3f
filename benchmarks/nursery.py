"""Gateways that start at once: a process that has imported everything forks one for each port.

Reads ports from standard input, and writes ``began PORT PID`` and ``ended PORT``. Each gateway is a
process of its own that serves a socket of its own; when the input ends, all of them are killed.
"""

import gc
import os
import random
import select
import signal
import sys

from gateway.server import bind
from gateway.serving import serve_gateway
from gateway.settings import Settings
from schema.build import build_schema, text_of


def main() -> None:
    """Fork gateways until the input ends."""
    text_of(build_schema())  # once, for all of them
    gc.collect()
    gc.freeze()  # what a gateway's collector touched would be copied to it
    ports: dict[int, int] = {}
    ends: dict[int, int] = {}
    unread = b""
    while True:
        ready, _, _ = select.select([0, *ends], [], [])
        if 0 in ready:
            read = os.read(0, 4_096)
            if not read:
                break
            *lines, unread = (unread + read).split(b"\n")
            for line in lines:
                pid = os.fork()
                if pid == 0:
                    _serve(int(line))
                ports[pid] = int(line)
                ends[os.pidfd_open(pid)] = pid
                _tell(f"began {ports[pid]} {pid}")
        for end in ready:
            if end in ends:
                pid = ends.pop(end)
                os.close(end)
                os.waitpid(pid, 0)
                _tell(f"ended {ports.pop(pid)}")
    for pid in ports:
        os.kill(pid, signal.SIGKILL)


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _serve(port: int) -> None:
    """Become a gateway; never returns."""
    code = 1
    try:
        os.dup2(2, 1)  # what it logs is not for whoever reads our output
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        random.seed()
        settings = Settings(port=port)
        serve_gateway(settings, sockets=[bind(settings)])
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
