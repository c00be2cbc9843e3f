"""What headers allow: media types of the answer and of the body, and where a request may come from.

Media ranges and their q-values are those of RFC 9110 section 12.5.1; the media types those of
GraphQL over HTTP and, for streams, of GraphQL over SSE.
"""

import re
from collections.abc import Collection, Mapping
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple


class MediaType(Enum):
    """What a single result can be encoded as; the value is the content type sent."""

    JSON = b"application/json; charset=utf-8"
    GRAPHQL_RESPONSE = b"application/graphql-response+json; charset=utf-8"


EVENT_STREAM: Final = b"text/event-stream; charset=utf-8"

_TYPE: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+")
_QUALITY: Final = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")


class Accepted(NamedTuple):
    """What the client takes as an answer."""

    single: MediaType | None
    """For a single result: the best it takes, or None."""
    stream: bool
    """Whether it takes an event stream."""
    stream_first: bool
    """Whether it asks for an event stream before anything else."""
    page: bool
    """Whether it asks for HTML before anything else, as browsers do that open an address."""


_Weight = tuple[float, int]
"""The quality of a media range, then its place: higher where it was listed earlier."""
_NEVER: Final[_Weight] = (0.0, 0)


@lru_cache(maxsize=256)
def negotiate(accept: bytes | None) -> Accepted:
    """Read an ``Accept`` header; without one, or for ``*/*``, a single result is plain JSON."""
    ranges = _ranges((accept or b"*/*").decode("latin-1").lower())

    def weigh(kind: str) -> _Weight:
        for name in (kind, kind.partition("/")[0] + "/*", "*/*"):
            weight = ranges.get(name)
            if weight is not None:
                return weight if weight[0] else _NEVER
        return _NEVER

    # max() keeps the first of equals: of what a wildcard allows, legacy clients know JSON.
    weighed = [
        (MediaType.JSON, weigh("application/json")),
        (MediaType.GRAPHQL_RESPONSE, weigh("application/graphql-response+json")),
    ]
    best, weight = max(weighed, key=lambda pair: pair[1])
    stream = weigh("text/event-stream")
    return Accepted(
        single=best if weight > _NEVER else None,
        stream=stream > _NEVER,
        stream_first=stream > weight,
        page=weigh("text/html") > max(weight, stream),
    )


def _ranges(accept: str) -> dict[str, _Weight]:
    """Return the media ranges of a header by name; what is not a media range is left out."""
    found: dict[str, _Weight] = {}
    for position, part in enumerate(accept.split(",")):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        values = dict(_parameter(piece) for piece in parameters)
        quality = values.get("q", "1")
        utf8 = values.get("charset", "utf-8") in ("utf-8", "utf8")
        if utf8 and _TYPE.fullmatch(name) and _QUALITY.fullmatch(quality):
            found.setdefault(name, (float(quality), -position))
    return found


def _parameter(piece: str) -> tuple[str, str]:
    name, _, value = piece.partition("=")
    return name.strip(), value.strip().strip('"')


@lru_cache(maxsize=64)
def content_problem(content_type: bytes | None) -> str | None:
    """Return why a body of this ``Content-Type`` is not read, None if it is.

    Only ``application/json`` in UTF-8 is: a page of another site can send any other kind of body
    without asking the browser's permission first (a CORS preflight).
    """
    if not content_type:
        return "The Content-Type header must be application/json."
    name, *parameters = content_type.decode("latin-1").lower().split(";")
    if name.strip() != "application/json":
        return "The Content-Type must be application/json."
    charset = dict(_parameter(piece) for piece in parameters).get("charset", "utf-8")
    if charset not in ("utf-8", "utf8"):
        return "The charset of the body must be utf-8."
    return None


def foreign_origin(headers: Mapping[bytes, bytes], allowed: Collection[bytes]) -> bool:
    """Tell whether a browser sent this from a page of another site that is not ``allowed``.

    A program that is no browser sends no ``Origin``. The scheme is left out of the comparison with
    ``Host``, because a proxy that ends TLS hides it.
    """
    origin = headers.get(b"origin")
    if origin is None or origin.lower() in allowed:
        return False
    scheme, _, host = origin.lower().partition(b"://")
    return scheme not in (b"http", b"https") or host != headers.get(b"host", b"").lower()


def forged_by_page(headers: Mapping[bytes, bytes], allowed: Collection[bytes]) -> bool:
    """Tell whether another site's page may have caused this GET without being allowed to.

    Such a page can cause a GET in many ways, but none that carries a header of its own without a
    CORS preflight: ``GraphQL-Require-Preflight`` proves that there was one.
    """
    if b"graphql-require-preflight" in headers:
        return False
    if headers.get(b"origin", b"").lower() in allowed:
        return False
    if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
        return True
    return foreign_origin(headers, allowed)
