"""GraphiQL for browsers: every file from this server, signed in, with examples that run.

Where the environment is `demo` or `test` the page comes with the tokens of the demo accounts and
offers them as roles. Elsewhere it has a field for a token, which the browser keeps for its tab only
and which never enters an address.
"""

import json
import textwrap
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.examples import Example, load_examples
from gateway.pages import TEMPLATES, json_for_html, offered_accounts, page
from gateway.settings import Settings

Endpoint = Callable[[Request], Awaitable[Response]]


def make_graphiql(settings: Settings, demo_tokens: Mapping[str, str]) -> Endpoint:
    """Return the handler that answers browsers on ``/graphql``.

    ``demo_tokens`` maps a demo account (``sales@demo``) to its token; see `offered_accounts`.
    """
    template = (TEMPLATES / "graphiql.html").read_bytes()
    examples = [_offered(example) for example in load_examples()]

    async def graphiql_page(_request: Request) -> Response:
        config = {
            "url": "/graphql",
            "accounts": offered_accounts(settings, demo_tokens),
            "examples": examples,
        }
        html = template.replace(b"{{config}}", json_for_html(config))
        return page(html, inline_styles=True, keep=False)

    return graphiql_page


def _offered(example: Example) -> dict[str, Any]:
    return {
        "slug": example.slug,
        "title": example.title,
        "audience": example.audience,
        "role": example.role,
        "about": example.about,
        "live": example.live,
        "query": f"{_comment(example.about)}\n{example.query}",
        "variables": json.dumps(example.variables, indent=2) if example.variables else "",
    }


def _comment(text: str) -> str:
    """Return ``text`` as comment lines that fit the editor."""
    return textwrap.fill(text, width=38, initial_indent="# ", subsequent_indent="# ")
