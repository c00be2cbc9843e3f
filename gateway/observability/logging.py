"""Structured logs: one line per operation, request ids in every line, and never a credential.

Every line of the process, also of uvicorn and asyncio, passes through one chain and one writer.
uvicorn must run with ``log_config=None``, or it brings its own handlers.
"""

import atexit
import json
import logging
import sys
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from typing import Any, BinaryIO, Final, NamedTuple

import orjson
import structlog
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import format_exc_info

from gateway.observability.log_writer import LogWriter
from gateway.observability.redaction import without_secret_fields, without_secret_texts
from gateway.settings import Settings
from resolvers.core.clock import Clock, system_clock
from resolvers.core.metrics import OperationFacts

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Id of the request being served; set it where the request enters, every line then carries it."""


class Caller(NamedTuple):
    """Who is being served, and how, for the line of the operation."""

    transport: str | None = None
    """``http``, ``ws`` or ``sse``."""
    actor: str | None = None
    company: str | None = None
    """Code of the company acted for."""


_NOBODY: Final = Caller()
CALLER: ContextVar[Caller] = ContextVar("caller", default=_NOBODY)
"""The caller of the operation being run; set it where the caller is known, before running."""

Event = MutableMapping[str, Any]
Render = Callable[[Event], bytes]

_LONGEST_NAME: Final = 200
_JSON_OPTIONS: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
_LOUD_LIBRARIES: Final = ("uvicorn", "uvicorn.error", "sqlalchemy", "httpx2", "httpcore2")


class Logs:
    """The configured logging of this process."""

    def __init__(
        self,
        writer: LogWriter,
        render: Render,
        level: int,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._render = render
        self._level = level
        self._clock = clock
        self._handler = _Handler(self, writer)
        self._before: dict[str, Any] = {}

    def line(self, event: Event) -> bytes:
        """Return ``event`` complete, without credentials, as the line to write."""
        complete = {
            "at": self._clock(),
            "level": event.pop("level"),
            "event": event.pop("event"),
            **event,
        }
        request_id = REQUEST_ID.get()
        if request_id is not None:
            complete.setdefault("request_id", request_id)
        return without_secret_texts(self._render(without_secret_fields(complete)))

    def operation(self, facts: OperationFacts) -> None:
        """Write the line of one finished operation.

        An event of a subscription has no line, unless it failed: there are as many as changes
        times subscribers. Nor has, unless every operation is asked for, a query that succeeded and
        was quick: metrics count those, and thousands of lines a second hide what matters. Reports
        of these do not come here.
        """
        if self._level > logging.INFO:
            return
        operation_type = facts.type._value_  # `value` looks for it three times as long
        if operation_type == "subscription" and not facts.codes:
            return
        caller = CALLER.get()
        stats = facts.stats
        event: dict[str, Any] = {
            "at": self._clock(),
            "level": "info",
            "event": "operation",
            "operation": facts.name and facts.name[:_LONGEST_NAME],
            "type": operation_type,
            "transport": caller.transport,
            "status": _status(facts),
            "seconds": _microseconds(facts.seconds),
            "database_seconds": _microseconds(stats.database_seconds),
            "statements": stats.statements,
            "batches": stats.batches,
            "rows": stats.rows,
            "cost": facts.cost,
            "actor": caller.actor,
            "company": caller.company,
            "request_id": REQUEST_ID.get(),
        }
        if facts.codes:
            event["errors"] = sorted(facts.codes)
        # Nothing here can hold a credential, so the line skips the search for one.
        self._writer.write(self._render(event))

    def install(self) -> None:
        """Make structlog and the standard library's loggers write here."""
        self._before = structlog.get_config()
        structlog.configure(
            processors=[_named_level, self._from_structlog],
            wrapper_class=structlog.make_filtering_bound_logger(self._level),
            logger_factory=lambda *_: _Sink(self._writer),
            cache_logger_on_first_use=False,
        )
        root = logging.getLogger()
        root.addHandler(self._handler)
        root.setLevel(self._level)
        for name in _LOUD_LIBRARIES:
            logging.getLogger(name).setLevel(max(self._level, logging.WARNING))
        # Our own line per operation says more.
        logging.getLogger("uvicorn.access").disabled = True
        logging.captureWarnings(capture=True)
        atexit.register(self.close)

    def close(self) -> None:
        """Take back `install` and write what is left."""
        atexit.unregister(self.close)
        structlog.configure(**self._before)
        logging.captureWarnings(capture=False)
        logging.getLogger("uvicorn.access").disabled = False
        logging.getLogger().removeHandler(self._handler)
        self._writer.close()

    def _from_structlog(self, _logger: Any, _method: str, event: Event) -> bytes:
        return self.line(event)


class _Handler(logging.Handler):
    """Brings the standard library's records into the same lines."""

    def __init__(self, logs: "Logs", writer: LogWriter) -> None:
        super().__init__()
        self._logs = logs
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Write ``record``; never raises."""
        try:
            event: Event = {
                "event": record.getMessage(),
                "level": record.levelname.lower(),
                "logger": record.name,
            }
            if record.exc_info:
                event["exc_info"] = record.exc_info
            self._writer.write(self._logs.line(event))
        except Exception:  # noqa: BLE001 - a broken log call must not break what it logs about
            self.handleError(record)


class _Sink:
    """What structlog hands finished lines to: every level writes."""

    def __init__(self, writer: LogWriter) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = writer.write
        self.exception = self.msg = writer.write


def _microseconds(seconds: float) -> float:
    """Return seconds to the microsecond; `round` takes three times as long."""
    return int(seconds * 1e6 + 0.5) / 1e6


def _status(facts: OperationFacts) -> str:
    """Return how the operation ended: the word metrics use too."""
    if facts.canceled:
        return "canceled"
    return "error" if facts.codes else "ok"


def _named_level(_logger: Any, method: str, event: Event) -> Event:
    event["level"] = "error" if method == "exception" else method
    return event


def configure_logging(
    settings: Settings, stream: BinaryIO | None = None, clock: Clock = system_clock
) -> Logs:
    """Send every log line of this process to ``stream``, by default stderr, as settings say."""
    stream = stream or sys.stderr.buffer
    colors = settings.log_format == "console" and stream.isatty()
    render = _console(colors=colors) if settings.log_format == "console" else render_json
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logs = Logs(LogWriter(stream), render, level, clock)
    logs.install()
    return logs


def render_json(event: Event) -> bytes:
    """Return the event as one line of JSON; values JSON has no form for as their text."""
    if "exc_info" in event:
        event = format_exc_info(None, "", event)
    try:
        return orjson.dumps(event, default=_plain, option=_JSON_OPTIONS)
    except TypeError:
        # Lone surrogates and integers beyond 64 bits: rare, and worth a line all the same.
        text = json.dumps(event, default=_plain, skipkeys=True, ensure_ascii=False)
        return text.encode(errors="replace")


def _plain(value: object) -> str:
    """Return the text of a value that JSON has no form for."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def _console(*, colors: bool) -> Render:
    """Return a renderer for people; plain tracebacks, because rich ones print local variables."""
    renderer = ConsoleRenderer(
        colors=colors, timestamp_key="at", exception_formatter=plain_traceback, pad_event_to=0
    )

    def render(event: Event) -> bytes:
        shown = {name: value for name, value in event.items() if value is not None}
        shown["at"] = f"{event['at']:%H:%M:%S.%f}"[:-3]
        return str(renderer(None, "", shown)).encode(errors="backslashreplace")

    return render
