"""Signatures of Standard Webhooks, and the secrets they are made with.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: what is
signed is ``id.timestamp.body``, by HMAC-SHA256, told as ``v1,<base64>``; several signatures are
separated by spaces. No secret is stored: each is derived from a salt in the webhook's row and a key
that only the processes know.
"""

import base64
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

MARK: Final = "whsec_"
"""How every secret starts, so that secret scanners and people recognize one."""
_SALT_BYTES: Final = 16
_CHECK: Final = 16
"""Digits of what tells of a salt with which key it was made."""


class Secrets:
    """Derives the secrets of webhooks from one key; ``key`` has 32 bytes or more."""

    def __init__(self, key: bytes) -> None:
        # of its own, so that no token is ever signed with what signs webhooks
        self._key = hmac.digest(key, b"key of webhooks", "sha256")

    def new_salt(self) -> str:
        """Return what a new secret is derived from; it tells nothing but which key it is for."""
        salt = secrets.token_hex(_SALT_BYTES)
        return f"{salt}.{self._check(salt)}"

    def knows(self, salt: str) -> bool:
        """Tell whether a salt is for this key; those of before there was a check are taken to be.

        With another key a secret would come of it as well, and one that no receiver has.
        """
        random, _, check = salt.partition(".")
        return not check or hmac.compare_digest(check, self._check(random))

    def secret(self, salt: str) -> str:
        """Return the secret that belongs to a salt, as the receiver is given it."""
        return MARK + base64.b64encode(self._bytes(salt)).decode("ascii")

    def signatures(self, salts: Sequence[str], message_id: str, timestamp: int, body: bytes) -> str:
        """Return what the header webhook-signature says: one signature for each salt."""
        signed = f"{message_id}.{timestamp}.".encode() + body
        made = (hmac.digest(self._bytes(salt), signed, "sha256") for salt in salts)
        return " ".join(f"v1,{base64.b64encode(one).decode('ascii')}" for one in made)

    def _check(self, salt: str) -> str:
        return hmac.digest(self._key, f"check {salt}".encode("ascii"), "sha256").hex()[:_CHECK]

    def _bytes(self, salt: str) -> bytes:
        return hmac.digest(self._key, salt.encode("ascii"), "sha256")
