"""Filters and orders of products."""

from decimal import Decimal

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


@strawberry.input(description="A pack of a product, such as a box of twelve.")
class ProductUnitInput:
    """One pack of `setProductUnits`."""

    code: str = strawberry.field(
        description="Code that lines name it by, 1 to 20 characters; not that of a unit of measure."
    )
    name: str = strawberry.field(description="What it is called, 1 to 200 characters.")
    factor: Decimal = strawberry.field(
        description="How many of the product's unit are in one, above 0."
    )
    barcode: str | None = strawberry.field(
        default=None, description="Barcode on the pack, which no other pack has."
    )


ProductOrderBy = order_input(
    "Product", products, {"SKU": "By SKU.", "NAME": "By name.", "ID": "In order of entry."}
)
