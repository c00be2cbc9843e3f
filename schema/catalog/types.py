"""ProductCategory and Product."""

from datetime import datetime
from decimal import Decimal

import strawberry

from resolvers.catalog.loaders import (
    categories_by_parent,
    category,
    category_by_id,
    product,
    product_by_id,
    product_of_company_by_product,
    product_unit,
    units_by_product,
)
from resolvers.reference.loaders import unit_by_id
from schema.catalog.enums import ProductKind, Tracking
from schema.core.fields import ID, Money, RowType, column, computed, money, node_id, related
from schema.core.node import Node, node_type, row_type
from schema.reference.types import UnitOfMeasure


@strawberry.type(description="A named property of a product, such as color or size.")
class ProductAttribute:
    """One entry of `product.attributes`."""

    name: str = strawberry.field(description="Name of the property.")
    value: str = strawberry.field(description="Its value.")


def _attributes(row: object) -> list[ProductAttribute]:
    found: dict[str, object] = row["attributes"]  # type: ignore[index]
    return [ProductAttribute(name=name, value=str(found[name])) for name in sorted(found)]


@node_type(category, "A category: a node of the tree products are sorted into.", requires=None)
class ProductCategory(RowType, Node):
    """A row of `product_category`."""

    id: ID = node_id("ProductCategory")
    code: str = column("Code, unique.")
    name: str = column("Name as shown in the tree.")
    path: str = column("Codes from the root to here, such as /tools/saws/.")
    parent: "ProductCategory | None" = related("Category above.", category_by_id, "parent_id")
    children: list["ProductCategory"] = related(
        "Categories directly below, by code.", categories_by_parent, "id"
    )


@row_type("ProductOfCompany", "What the company acted for keeps about a product for itself.")
class ProductOfCompany(RowType):
    """A row of `product_company`."""

    standard_cost: Decimal | None = column(
        "Planned cost of one unit in the company's currency.", requires="cost.read"
    )
    sale_ok: bool = column("The company sells it.")
    purchase_ok: bool = column("The company buys it.")


@node_type(product_unit, "A pack of a product, such as a box of twelve.", requires=None)
class ProductUnit(RowType, Node):
    """A row of `product_unit`."""

    id: ID = node_id("ProductUnit")
    code: str = column("Code that lines of orders and stock name it by as their uom.")
    name: str = column("What it is called, such as box of 12.")
    factor: Decimal = column("How many of the product's unit are in one.")
    barcode: str | None = column("Barcode on the pack, such as a GTIN.")
    product: "Product" = related("Product it is a pack of.", product_by_id, "product_id")


@node_type(product, "What is bought, stocked and sold, by its SKU.", requires=None)
class Product(RowType, Node):
    """A row of `product`."""

    id: ID = node_id("Product")
    sku: str = column("Stock keeping unit, unique among products that are not archived.")
    name: str = column("Name as shown and printed.")
    description: str | None = column("Longer text.")
    barcode: str | None = column("Barcode, such as an EAN.")
    kind: ProductKind = column("Goods or service.")
    tracking: Tracking = column("How single units are told apart.")
    attributes: list[ProductAttribute] = computed(
        "Further properties, by name.", _attributes, needs=("attributes",)
    )
    list_price: Money = money(
        "Price of one unit before any price list.", "list_price", "list_currency"
    )
    weight_kg: Decimal | None = column("Weight of one unit in kilograms.")
    version: int = column("Counter of changes; send it back as the expected version of an edit.")
    archived: bool = computed(
        "Archived products leave lists and still resolve from documents.",
        lambda row: row["archived_at"] is not None,
        needs=("archived_at",),
    )
    archived_at: datetime | None = column("When the product was archived.")
    created_at: datetime = column("When the product was entered.")
    updated_at: datetime = column("When the product was last changed.")
    category: ProductCategory = related(
        "Category it is sorted into.", category_by_id, "category_id"
    )
    uom: UnitOfMeasure = related("Unit in which it is stocked and sold.", unit_by_id, "uom_id")
    units: list[ProductUnit] = related(
        "Packs that quantities of it can be given in, the smallest first.",
        units_by_product,
        "id",
        size=3,
    )
    replaced_by: "Product | None" = related(
        "Product to take instead.", product_by_id, "replaced_by_id"
    )
    of_company: ProductOfCompany | None = related(
        "What the company acted for keeps about it; null when it keeps nothing.",
        product_of_company_by_product,
        "id",
    )
