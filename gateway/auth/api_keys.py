"""API keys: ``egk_<prefix>_<secret>``.

The prefix finds the client and may be shown and logged; the secret is 256 random bits and is stored
only as its SHA-256. A slow password hash would add nothing: nobody can try 2^256 secrets.
"""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

MARK: Final = "egk_"
"""How every key starts, so that secret scanners and people recognize one."""

_PREFIX_LENGTH: Final = 10
_SECRET_BYTES: Final = 32
_KEY = re.compile(r"egk_([a-z2-7]{10})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key in its two parts; its ``repr`` keeps the secret to itself."""

    prefix: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """The key as the client sends it."""
        return f"{MARK}{self.prefix}_{self.secret}"

    @property
    def hash(self) -> bytes:
        """What is stored in place of the secret."""
        return hashlib.sha256(self.secret.encode("ascii")).digest()

    def matches(self, stored_hash: bytes) -> bool:
        """Tell whether this key is the stored one, in a time that does not depend on the answer."""
        return hmac.compare_digest(self.hash, stored_hash)


def parse_api_key(text: str) -> ApiKey | None:
    """Return the key written in ``text``, or None when it is not one."""
    match = _KEY.fullmatch(text)
    return None if match is None else ApiKey(*match.groups())


def new_api_key() -> ApiKey:
    """Make a key that nobody has seen."""
    return _api_key(secrets.token_bytes(_SECRET_BYTES), secrets.token_bytes(_SECRET_BYTES))


def derived_api_key(secret: bytes, code: str) -> ApiKey:
    """Return the one key of API client ``code`` under ``secret``: the same at every start."""
    return _api_key(*(_derived(secret, part, code) for part in ("prefix", "secret")))


def _derived(secret: bytes, part: str, code: str) -> bytes:
    return hmac.digest(secret, f"api-key {part} of {code}".encode(), "sha256")


def _api_key(prefix: bytes, secret: bytes) -> ApiKey:
    return ApiKey(
        base64.b32encode(prefix).decode("ascii").lower()[:_PREFIX_LENGTH],
        base64.urlsafe_b64encode(secret).decode("ascii").rstrip("="),
    )
