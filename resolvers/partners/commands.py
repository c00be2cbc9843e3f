"""The verbs of partners: one function per command."""

from resolvers.core.archive import archive
from resolvers.core.command import Outcome
from resolvers.core.context import Context
from resolvers.partners.loaders import partner


async def archive_partner(
    context: Context, key: str, partner_id: int, expected_version: int | None
) -> Outcome:
    """Archive a partner, unless work is left with it. See `resolvers.core.archive.archive`."""
    return await archive(
        context,
        partner,
        operation="archivePartner",
        key=key,
        id_=partner_id,
        expected_version=expected_version,
        archived=True,
    )


async def restore_partner(
    context: Context, key: str, partner_id: int, expected_version: int | None
) -> Outcome:
    """Take an archived partner back into use. See `resolvers.core.archive.archive`."""
    return await archive(
        context,
        partner,
        operation="restorePartner",
        key=key,
        id_=partner_id,
        expected_version=expected_version,
        archived=False,
    )
