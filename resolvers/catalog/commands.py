"""The verbs of the catalog: one function per command."""

from resolvers.catalog.loaders import product
from resolvers.core.archive import archive
from resolvers.core.command import Outcome
from resolvers.core.context import Context


async def archive_product(
    context: Context, key: str, product_id: int, expected_version: int | None
) -> Outcome:
    """Archive a product, unless work is left with it. See `resolvers.core.archive.archive`."""
    return await archive(
        context,
        product,
        operation="archiveProduct",
        key=key,
        id_=product_id,
        expected_version=expected_version,
        archived=True,
    )


async def restore_product(
    context: Context, key: str, product_id: int, expected_version: int | None
) -> Outcome:
    """Take an archived product back into use. See `resolvers.core.archive.archive`."""
    return await archive(
        context,
        product,
        operation="restoreProduct",
        key=key,
        id_=product_id,
        expected_version=expected_version,
        archived=False,
    )
