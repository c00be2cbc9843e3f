"""Mutations of the catalog."""

from typing import Annotated

import strawberry

from resolvers.catalog.commands import (
    Pack,
    archive_product,
    restore_product,
    set_product_units,
)
from resolvers.catalog.loaders import product_by_id
from resolvers.core.context import Context
from resolvers.core.document import Asked
from schema.catalog.inputs import ProductUnitInput
from schema.catalog.types import Product
from schema.core.fields import argument, column, related
from schema.core.ids import decode_id
from schema.core.payload import (
    ExpectedVersion,
    IdempotencyKey,
    Payload,
    UserError,
    mutation,
)

Id = Annotated[strawberry.ID, argument("Id of the product.")]


@strawberry.type(description="What was done with a product, or why it was refused.")
class ProductPayload(Payload):
    """Outcome of the commands on one product."""

    product: Product | None = related(
        "The product as it is now; null when it was refused.", product_by_id, "id"
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


@strawberry.type
class Mutation:
    """Root fields of this module."""

    @mutation(
        "Archive a product: it leaves the lists, still resolves from documents, and its SKU can be "
        "used again. Refused while there is stock of it, or it is on open orders.",
        requires="catalog.write",
    )
    async def archive_product(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Id,
        expected_version: ExpectedVersion = None,
    ) -> ProductPayload | None:
        """Run the command."""
        product_id = decode_id(id, "Product", path=("id",))
        return ProductPayload.done(
            **await archive_product(context, idempotency_key, product_id, expected_version)
        )

    @mutation(
        "Say which packs a product has: those given are made or changed, others are given up. "
        "Lines that were entered in them stay as they are.",
        requires="catalog.write",
    )
    async def set_product_units(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Id,
        units: Annotated[list[ProductUnitInput], argument("All its packs, 50 at most.")],
        expected_version: ExpectedVersion = None,
    ) -> ProductPayload | None:
        """Run the command."""
        asked = Asked(decode_id(id, "Product", path=("id",)), expected_version)
        packs = [
            Pack(
                one.code.strip(),
                one.name.strip(),
                one.factor,
                None if one.barcode is None else one.barcode.strip(),
            )
            for one in units
        ]
        return ProductPayload.done(
            **await set_product_units(context, idempotency_key, asked, packs)
        )

    @mutation(
        "Take an archived product back into use. Refused when another one has its SKU by now.",
        requires="catalog.write",
    )
    async def restore_product(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Id,
        expected_version: ExpectedVersion = None,
    ) -> ProductPayload | None:
        """Run the command."""
        product_id = decode_id(id, "Product", path=("id",))
        return ProductPayload.done(
            **await restore_product(context, idempotency_key, product_id, expected_version)
        )
