"""The page at ``/``: what this is, and where to go from here."""

from starlette.requests import Request
from starlette.responses import Response

from gateway.pages import TEMPLATES, page

_HTML = (TEMPLATES / "landing.html").read_bytes()


async def landing_page(_request: Request) -> Response:
    """Return the landing page; it is the same for everybody."""
    return page(_HTML)
