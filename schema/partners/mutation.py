"""Mutations of partners."""

from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.partners.commands import archive_partner, restore_partner
from resolvers.partners.loaders import partner_by_id
from schema.core.fields import argument, column, related
from schema.core.ids import decode_id
from schema.core.payload import (
    ExpectedVersion,
    IdempotencyKey,
    Payload,
    UserError,
    mutation,
)
from schema.partners.types import Partner

Id = Annotated[strawberry.ID, argument("Id of the partner.")]


@strawberry.type(description="What was done with a partner, or why it was refused.")
class PartnerPayload(Payload):
    """Outcome of the commands on one partner."""

    partner: Partner | None = related(
        "The partner as it is now; null when it was refused.", partner_by_id, "id"
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


@strawberry.type
class Mutation:
    """Root fields of this module."""

    @mutation(
        "Archive a partner: it leaves the lists, still resolves from documents, and its code can "
        "be used again. Refused while it has open orders.",
        requires="partners.write",
    )
    async def archive_partner(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Id,
        expected_version: ExpectedVersion = None,
    ) -> PartnerPayload | None:
        """Run the command."""
        partner_id = decode_id(id, "Partner", path=("id",))
        return PartnerPayload.done(
            **await archive_partner(context, idempotency_key, partner_id, expected_version)
        )

    @mutation(
        "Take an archived partner back into use. Refused when another one has its code by now.",
        requires="partners.write",
    )
    async def restore_partner(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Id,
        expected_version: ExpectedVersion = None,
    ) -> PartnerPayload | None:
        """Run the command."""
        partner_id = decode_id(id, "Partner", path=("id",))
        return PartnerPayload.done(
            **await restore_partner(context, idempotency_key, partner_id, expected_version)
        )
