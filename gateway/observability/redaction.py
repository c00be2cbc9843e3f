"""What must never stand in a log: credentials, found by the name of a field or by how they read."""

import re
from collections.abc import Mapping
from typing import Any, Final

WITHHELD: Final = "[withheld]"
"""What stands in a line in place of a credential."""

_SECRET_NAMES: Final = frozenset(
    {
        *("authorization", "proxy_authorization", "cookie", "set_cookie", "credential"),
        *("password", "passwd", "secret", "token", "jwt", "api_key", "apikey", "x_api_key"),
        *("private_key", "dsn", "database_url"),
    }
)
_SECRET_ENDINGS: Final = ("_token", "_secret", "_password", "_api_key", "_database_url")
_SECRET_TEXTS: Final = (
    (b"earer", re.compile(rb"(?i)(bearer)\s+[^\s\"'\\,]+"), rb"\1 [withheld]"),
    (b"EARER", re.compile(rb"(BEARER)\s+[^\s\"'\\,]+"), rb"\1 [withheld]"),
    (b"egk_", re.compile(rb"(egk_[a-z2-7]+_)[\w-]+"), rb"\1[withheld]"),
    (b"eyJ", re.compile(rb"eyJ[\w-]+\.[\w-]+\.[\w-]*"), b"[withheld]"),
    (b"://", re.compile(rb"(://[^:/@\s\"']*):[^@/\s\"']+@"), rb"\1:[withheld]@"),
)
"""A sign of a credential, how to find it, what to leave. The sign spares most lines the search."""


def is_secret_name(name: object) -> bool:
    """Tell whether a field or header of this name holds a credential."""
    text = name.decode("latin-1") if isinstance(name, bytes) else str(name)
    text = text.lower().replace("-", "_")
    return text in _SECRET_NAMES or text.endswith(_SECRET_ENDINGS)


def without_secret_fields(value: Any, depth: int = 4) -> Any:
    """Return ``value`` with credentials withheld, by field name, down to ``depth`` levels.

    Also understands headers as ASGI has them: pairs of name and value.
    """
    if depth == 0:
        return value
    match value:
        case Mapping():
            return {
                name: WITHHELD if is_secret_name(name) else without_secret_fields(inner, depth - 1)
                for name, inner in value.items()
            }
        case (str() | bytes() as name, _) if is_secret_name(name):
            return (name, WITHHELD)
        case tuple():
            return tuple(without_secret_fields(inner, depth - 1) for inner in value)
        case list():
            return [without_secret_fields(inner, depth - 1) for inner in value]
    return value


def without_secret_texts(line: bytes) -> bytes:
    """Return a rendered line with anything that reads like a credential withheld."""
    for sign, pattern, replacement in _SECRET_TEXTS:
        if sign in line:
            line = pattern.sub(replacement, line)
    return line
