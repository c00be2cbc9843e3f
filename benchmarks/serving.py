"""What both servers tell the process that started them, and where they run."""

import os
import socket


def pin(core: int) -> None:
    """Keep this process, with the threads it will start, on one core."""
    os.sched_setaffinity(0, {core})


def announce(listener: socket.socket) -> None:
    """Print the port; connections wait in the backlog until the server takes them."""
    print(listener.getsockname()[1], flush=True)
