"""Searching: from what people type to ranked hits."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import BigInteger, Integer, Text
from sqlalchemy.dialects.postgresql import ARRAY

from resolvers.core.context import Context
from resolvers.core.report import Report
from resolvers.core.search import prefix_query
from resolvers.search.rules import SearchType

hits = Report(
    "SearchHits",
    "erp_search",
    {
        "place": Integer(),
        "kind": Text(),
        "item_id": BigInteger(),
        "label": Text(),
        "match": Text(),
    },
    {"words": Text(), "whole": Text(), "kinds": ARRAY(Text()), "most": Integer()},
    order=("place",),
)


async def find(
    context: Context, columns: frozenset[str], text: str, kinds: Collection[SearchType], most: int
) -> Sequence[Any]:
    """Return at most ``most`` hits among ``kinds``, best first.

    Raises:
        Invalid: there is no letter or digit in ``text``, or too much of it.

    """
    words = prefix_query(text, path=("text",))
    asked = {
        "words": words,
        "whole": text.replace("\0", "").strip().upper(),
        "kinds": sorted(kinds),
        "most": most,
    }
    return await hits.rows(context.reads, columns, asked)
