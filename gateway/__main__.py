"""``python -m gateway``."""

import os
import signal
import sys
import threading

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while the imports below run: no traceback

from gateway.cli import main  # noqa: E402


def press_again(lost: "sys.UnraisableHookArgs") -> None:
    """Repeat a Ctrl-C that came while an object was being collected: Python drops those."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(lost)


if __name__ == "__main__":
    sys.unraisablehook = press_again
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
