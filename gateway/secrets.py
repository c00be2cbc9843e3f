"""The secret we sign tokens with: from the settings, or made once for a demo or a test."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from gateway.settings import Settings

SHORTEST_SECRET: Final = 32
"""Least length in bytes: that of the hash HS256 uses (RFC 7518 section 3.2)."""


class SecretError(Exception):
    """What is wrong with the signing secret and what to do about it, for people to read."""


def signing_secret(settings: Settings) -> bytes | None:
    """Return the shared secret, or None where there is none and only a key set can verify tokens.

    A demo or test installation without ``jwt_secret`` makes one, in ``secrets/jwt`` of its data
    directory, readable by its owner alone. Processes that start together agree on one. It reads a
    file, so call it before the event loop runs.

    Raises:
        SecretError: the secret is too short, or its file can be neither read nor made.

    """
    if settings.jwt_secret is not None:
        secret = settings.jwt_secret.get_secret_value()
        return _long_enough(secret, "GATEWAY_JWT_SECRET", "Set a longer one.")
    if settings.environment == "production":
        return None
    path = settings.data_dir / "secrets" / "jwt"
    try:
        if not path.exists():
            _make(path)
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretError(
            f"The secret that signs tokens cannot be kept in {path}: {error}. "
            "Make GATEWAY_DATA_DIR writable for this user, or set GATEWAY_JWT_SECRET."
        ) from error
    return _long_enough(text, str(path), "Delete the file to have a new one made.")


def webhook_key(settings: Settings) -> bytes | None:
    """Return what the secrets of webhooks are derived from, None where there is nothing.

    Raises:
        SecretError: it is too short, or as `signing_secret` does.

    """
    if settings.webhook_secret is None:
        return signing_secret(settings)
    secret = settings.webhook_secret.get_secret_value()
    return _long_enough(secret, "GATEWAY_WEBHOOK_SECRET", "Set a longer one.")


def _make(path: Path) -> None:
    """Write a new secret, or leave the one that another process wrote meanwhile."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The name appears with the whole content or not at all, and only once; the mode is 0600.
    with NamedTemporaryFile("w", dir=path.parent, encoding="utf-8") as draft:
        draft.write(secrets.token_urlsafe(SHORTEST_SECRET) + "\n")
        draft.flush()
        os.fsync(draft.fileno())
        with suppress(FileExistsError):
            os.link(draft.name, path)


def _long_enough(secret: str, source: str, remedy: str) -> bytes:
    encoded = secret.encode()
    if len(encoded) < SHORTEST_SECRET:
        raise SecretError(
            f"{source} has {len(encoded)} bytes, and a signing secret needs {SHORTEST_SECRET} "
            f"or more. {remedy}"
        )
    return encoded
