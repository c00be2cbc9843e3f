"""Root field of the search."""

from collections.abc import Collection
from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.core.errors import Forbidden, Invalid
from resolvers.search.reads import find
from schema.core.fields import argument, fetched
from schema.core.kinds import may_read
from schema.core.node import node_of
from schema.search.enums import SearchType
from schema.search.types import SEARCHED, SearchHit

MOST_HITS = 50


@strawberry.type
class Query:
    """Root fields of this module."""

    @fetched(
        "Whatever has these words in its name or this number, best first: a product by SKU, name, "
        "barcode or attribute, a partner by code or name, a document by its number. Archived ones "
        "are left out."
    )
    async def search(
        context: Context,
        columns: frozenset[str],
        text: Annotated[
            str,
            argument("What was typed. Every word of it has to begin a word; case does not matter."),
        ],
        types: Annotated[
            list[SearchType] | None,
            argument("What to look for; everything the caller may see if left out."),
        ] = None,
        first: Annotated[int, argument(f"How many hits, at most {MOST_HITS}.")] = 20,
    ) -> list[SearchHit]:
        """Search for what the caller may see."""
        if not 0 <= first <= MOST_HITS:
            raise Invalid(f"first takes 0 to {MOST_HITS}.", path=("first",))
        return list(await find(context, columns, text, _searched(context, types), first))


def _searched(context: Context, types: Collection[SearchType] | None) -> Collection[SearchType]:
    nodes = {kind: node_of(type_) for kind, type_ in SEARCHED.items()}
    seen = [kind for kind, node in nodes.items() if node and may_read(node, context.principal)]
    if types is None:
        return seen
    for kind in types:
        if kind not in seen:
            raise Forbidden(
                f"{kind.value} may not be searched for by this caller.", path=("types",)
            )
    return set(types)
