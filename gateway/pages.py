"""The few pages people open in a browser: their headers and the files they load, all from here."""

import json
import mimetypes
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from gateway.settings import Settings

STATIC: Final = Path(__file__).parent / "static"
TEMPLATES: Final = Path(__file__).parent / "templates"

_FOREVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"


def page(html: bytes, *, inline_styles: bool = False, keep: bool = True) -> Response:
    """Return ``html`` with headers that let it load and talk to this origin only.

    ``inline_styles`` allows style elements made by scripts, which GraphiQL's dialogs need.
    ``keep`` False keeps pages with credentials out of every cache.
    """
    styles = "'self' 'unsafe-inline'" if inline_styles else "'self'"
    policy = (
        "default-src 'none'; script-src 'self'; connect-src 'self'; "
        f"style-src {styles}; img-src 'self' data:; font-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Response(
        html,
        media_type="text/html",
        headers={
            "cache-control": _ASK_AGAIN if keep else "no-store",
            "content-security-policy": policy,
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
            "referrer-policy": "no-referrer",
            "vary": "Accept",
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
        },
    )


def offered_accounts(settings: Settings, demo_tokens: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the demo accounts that pages sign in as by themselves; none in production.

    ``demo_tokens`` is read anew for every page, so a mapping that renews its tokens may be passed.
    """
    if settings.environment == "production":
        return []
    return [{"name": name, "token": token} for name, token in demo_tokens.items()]


def json_for_html(value: Any) -> bytes:
    """Return JSON that stays inside the script element it is put in, whatever it holds."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").encode()


def static_files() -> Mount:
    """Return the mount of ``/static``: scripts, styles and pictures of the pages."""
    # The table of file types is read from disk at first use, which must not be a request.
    mimetypes.init()
    return Mount("/static", _Assets(directory=STATIC), name="static")


class _Assets(StaticFiles):
    """Static files with cache headers: what has its version in its path never changes."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return the file, or 304 when the browser has it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        versioned = STATIC / "vendor" in Path(full_path).parents
        response.headers["cache-control"] = _FOREVER if versioned else _ASK_AGAIN
        response.headers["cross-origin-resource-policy"] = "same-origin"
        response.headers["x-content-type-options"] = "nosniff"
        return response
