"""Rows of upserts."""

from decimal import Decimal

import strawberry

from schema.catalog.enums import ProductKind, Tracking
from schema.partners.enums import PartnerKind


@strawberry.input(description="A named property of a product, such as color or size.")
class ProductAttributeInput:
    """One entry of `ProductUpsertInput.attributes`."""

    name: str = strawberry.field(description="Name of the property.")
    value: str = strawberry.field(description="Its value.")


@strawberry.input(description="A product as it is to be; null leaves what is there.")
class ProductUpsertInput:
    """One row of `upsertProducts`."""

    sku: str = strawberry.field(description="SKU, the key: 1 to 64 characters.")
    name: str = strawberry.field(description="Name, 1 to 200 characters.")
    category_code: str = strawberry.field(description="Code of its category.")
    uom: str = strawberry.field(description="Code of its unit; it cannot change later.")
    list_price: Decimal = strawberry.field(
        description="Price of one unit before any price list, at most 6 decimals."
    )
    list_currency: str | None = strawberry.field(
        default=None, description="Currency of it; the company's for a new product without one."
    )
    description: str | None = strawberry.field(
        default=None, description="Text about it, 1 to 4,000 characters."
    )
    barcode: str | None = strawberry.field(
        default=None, description="Barcode, such as an EAN; no two products have the same."
    )
    kind: ProductKind | None = strawberry.field(
        default=None, description="Goods or service; a new product is goods without one."
    )
    tracking: Tracking | None = strawberry.field(
        default=None, description="How units are told apart; it cannot change later."
    )
    attributes: list[ProductAttributeInput] | None = strawberry.field(
        default=None, description="All its further properties, in place of those there are."
    )


@strawberry.input(description="A partner as it is to be; null leaves what is there.")
class PartnerUpsertInput:
    """One row of `upsertPartners`."""

    code: str = strawberry.field(description="Code, the key: 1 to 64 characters.")
    name: str = strawberry.field(description="Name, 1 to 200 characters.")
    kind: PartnerKind | None = strawberry.field(
        default=None, description="What it is in law; a new one is an organisation without one."
    )
    is_customer: bool | None = strawberry.field(default=None, description="It buys.")
    is_supplier: bool | None = strawberry.field(default=None, description="It sells.")
    tax_id: str | None = strawberry.field(default=None, description="Tax number.")
    email: str | None = strawberry.field(default=None, description="Email address.")
    phone: str | None = strawberry.field(default=None, description="Phone number.")
    language: str | None = strawberry.field(
        default=None, description="Language it is written to in, such as de."
    )


@strawberry.input(description="How much of a product there is at a location, as counted.")
class StockLevelUpsertInput:
    """One row of `upsertStockLevels`."""

    sku: str = strawberry.field(description="SKU of the product.")
    location_id: strawberry.ID = strawberry.field(description="Location inside a warehouse.")
    counted_qty: Decimal = strawberry.field(
        description="Quantity that is there; the difference is booked as an adjustment."
    )
    reason: str = strawberry.field(
        default="Upsert", description="Why, for the ledger; 1 to 200 characters."
    )
    lot_number: str | None = strawberry.field(
        default=None, description="Number of the lot, or serial number, of a tracked product."
    )
