"""The live stock board at ``/``: what is in stock, on a page that a warehouse hangs on the wall.

The page is a client like any other: it signs in with a token, which the browser keeps for its tab
only, and follows stock over the public endpoint. Where the environment is `demo` or `test` it comes
with the tokens of the demo accounts, as GraphiQL does.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from gateway.pages import STATIC, TEMPLATES, json_for_html, offered_accounts, page
from gateway.settings import Settings

Endpoint = Callable[[Request], Awaitable[Response]]

DOCUMENTS: Final[Mapping[str, str]] = {
    path.stem: path.read_text() for path in (STATIC / "board" / "documents").glob("*.graphql")
}
"""What the page asks of the server, by name."""


def make_board(settings: Settings, demo_tokens: Mapping[str, str]) -> Endpoint:
    """Return the handler of ``/``.

    ``demo_tokens`` maps a demo account (``sales@demo``) to its token; see `offered_accounts`.
    """
    template = (TEMPLATES / "board.html").read_bytes()

    async def board_page(_request: Request) -> Response:
        accounts = offered_accounts(settings, demo_tokens)
        config = {"url": "/graphql", "accounts": accounts, "documents": DOCUMENTS}
        return page(template.replace(b"{{config}}", json_for_html(config)), keep=False)

    return board_page
