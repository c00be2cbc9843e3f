"""Root fields of the catalog."""

from typing import Annotated

import strawberry

from resolvers.catalog.loaders import product_by_id, product_by_sku
from resolvers.catalog.reads import categories, products
from resolvers.core.context import Context
from resolvers.core.errors import Invalid
from resolvers.core.listing import MAX_PAGE
from schema.catalog.inputs import ProductFilter, ProductOrderBy
from schema.catalog.types import Product, ProductCategory
from schema.core.connection import Connection, connection
from schema.core.fields import argument, fetched, find, find_all
from schema.core.ids import decode_id


@strawberry.type
class Query:
    """Root fields of this module."""

    @fetched("One product by its id or its SKU; give one of them.")
    async def product(
        context: Context,
        columns: frozenset[str],
        id: Annotated[strawberry.ID | None, argument("Id of the product.")] = None,
        sku: Annotated[str | None, argument("SKU of the product.")] = None,
    ) -> Product | None:
        """Load a product; archived ones resolve by id, and by SKU unless it is used again."""
        if (id is None) == (sku is None):
            raise Invalid("Give either id or sku.", path=("id",))
        if id is not None:
            return await find(context, product_by_id, decode_id(id, "Product"), columns)
        return await find(context, product_by_sku, sku, columns)

    @fetched(
        f"Products for a list of SKUs, in its order; null where there is none. At most {MAX_PAGE}.",
        metadata={"assumed_size": 50},
    )
    async def products_by_sku(
        context: Context,
        columns: frozenset[str],
        skus: Annotated[list[str], argument("SKUs; one may come twice.")],
    ) -> list[Product | None]:
        """Load products by SKU in one statement."""
        if len(skus) > MAX_PAGE:
            raise Invalid(f"skus takes at most {MAX_PAGE} values.", path=("skus",))
        return await find_all(context, product_by_sku, skus, columns)

    products: Connection[Product] = connection(
        "The products.", products, filter_input=ProductFilter, order=ProductOrderBy
    )
    categories: Connection[ProductCategory] = connection(
        "The categories, each behind the one it belongs to.", categories
    )
