"""The public keys of an identity provider, fetched by URL and kept (RFC 7517, JSON Web Key Set).

Keys are only ever picked from the fetched set: what a token names is compared and never looked up,
opened or downloaded.
"""

import asyncio
import math
import ssl
import warnings
from collections.abc import Callable
from typing import Any, Final

import httpx2
import orjson
import structlog
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import JWKRegistry, Key, OctKey
from joserfc.jws import JWSRegistry

from resolvers.core.errors import Overloaded

FRESH_SECONDS: Final = 300.0
"""Age at which the set is fetched again, in the background: how long a retired key still works."""
PAUSE_SECONDS: Final = 10.0
"""Least time between two fetches, so that made-up key ids cannot make us flood the provider."""
_FETCH_SECONDS: Final = 5.0
_LARGEST_SET: Final = 262_144

_log = structlog.get_logger("gateway.auth")

Keys = tuple[Key, ...]


class RemoteKeySet:
    """The provider's current keys, as far as it can be reached.

    Nothing is fetched before the first token needs a key. A provider that fails, or that answers
    with no usable key, leaves the last good set in place. Several callers share one fetch.
    """

    def __init__(self, url: str, *, timer: Callable[[], float]) -> None:
        self._url = url
        self._timer = timer
        self._keys: Keys = ()
        self._body = b""
        self._fetched_at = -math.inf
        self._tried_at = -math.inf
        self._fetching: asyncio.Task[None] | None = None

    def current(self) -> Keys:
        """Return the keys known now, and have them fetched again when they are old.

        The same object is returned until the provider publishes something else, so a caller can
        tell by identity whether what it verified still stands.
        """
        if self._timer() - self._fetched_at >= FRESH_SECONDS:
            self._fetch_soon()
        return self._keys

    async def find(self, algorithm: str, key_id: str | None) -> Key | None:
        """Return the key that a token names, after a look at the provider if it is unknown.

        A token may leave the key out where only one fits its algorithm.

        Raises:
            Overloaded: no key set could be fetched so far.

        """
        key = _pick(self.current(), algorithm, key_id)
        if key is None:
            fetching = self._fetch_soon()
            if fetching is not None:
                await asyncio.shield(fetching)
            key = _pick(self._keys, algorithm, key_id)
        if key is None and not self._keys:
            raise Overloaded("Tokens cannot be verified at the moment; try again shortly.")
        return key

    async def close(self) -> None:
        """End a fetch that is under way."""
        fetching = self._fetching
        if fetching is not None:
            fetching.cancel()
            await asyncio.wait([fetching])

    def _fetch_soon(self) -> "asyncio.Task[None] | None":
        """Return the fetch under way, a new one, or None when the last is too recent."""
        if self._fetching is None and self._timer() - self._tried_at >= PAUSE_SECONDS:
            self._tried_at = self._timer()
            self._fetching = asyncio.create_task(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                body = await _download(self._url)
            if body != self._body:
                self._keys, self._body = parse_key_set(body), body
            self._fetched_at = self._timer()
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            _log.warning("key_set_unavailable", reason=repr(error), keys_kept=len(self._keys))
        finally:
            self._fetching = None


def parse_key_set(body: bytes) -> Keys:
    """Return the keys in a JSON Web Key Set that can verify signatures.

    Keys we do not understand are passed over (RFC 7517 section 5), and so are weak ones and shared
    secrets, which have no place in a published document.

    Raises:
        ValueError: not a key set, or none of its keys is usable.

    """
    document = orjson.loads(body)
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("not a JSON Web Key Set")  # noqa: TRY004 - the content is wrong, not a call
    keys = tuple(key for key in map(_import_key, entries) if key is not None)
    if not keys:
        raise ValueError("no usable key in the set")
    return keys


def _import_key(entry: Any) -> Key | None:
    if not isinstance(entry, dict):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", SecurityWarning)
            key = JWKRegistry.import_key(entry)
    except (JoseError, SecurityWarning, ValueError, TypeError, KeyError) as error:
        _log.info("key_passed_over", reason=repr(error))
        return None
    return None if isinstance(key, OctKey) else key


def _pick(keys: Keys, algorithm: str, key_id: str | None) -> Key | None:
    """Return the key with that id that fits the algorithm, or without an id the only one to fit."""
    fitting = [key for key in keys if JWSRegistry.filter_algorithms(key, [algorithm])]
    if key_id is None:
        return fitting[0] if len(fitting) == 1 else None
    return next((key for key in fitting if key.kid == key_id), None)


async def _download(url: str) -> bytes:
    context: ssl.SSLContext = await asyncio.to_thread(httpx2.create_ssl_context)
    body = bytearray()
    async with (
        httpx2.AsyncClient(verify=context) as client,
        client.stream("GET", url, headers={"accept": "application/json"}) as response,
    ):
        response.raise_for_status()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _LARGEST_SET:
                raise ValueError(f"key set of more than {_LARGEST_SET} bytes")
    return bytes(body)
