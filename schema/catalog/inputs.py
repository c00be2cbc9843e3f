"""Filters and orders of products."""

import strawberry

from resolvers.catalog.reads import products
from schema.catalog.enums import ProductKind
from schema.core.connection import order_input


@strawberry.input(description="Which products to list; all conditions must hold.")
class ProductFilter:
    """Filter of `products`."""

    search: str | None = strawberry.field(
        default=None, description="Words that begin words of the SKU, name or barcode."
    )
    skus: list[str] | None = strawberry.field(default=None, description="Exact SKUs.")
    category_id: strawberry.ID | None = strawberry.field(
        default=None, description="Directly in this category."
    )
    category_path: str | None = strawberry.field(
        default=None, description="In the category at this path or below it, such as /tools/saws/."
    )
    kinds: list[ProductKind] | None = strawberry.field(default=None, description="Of these kinds.")
    include_archived: bool | None = strawberry.field(
        default=None, description="Also list archived products; default false."
    )


ProductOrderBy = order_input(
    "Product", products, {"SKU": "By SKU.", "NAME": "By name.", "ID": "In order of entry."}
)
