"""Mutations of operations."""

from typing import Annotated

import strawberry

from resolvers.core.context import Context
from resolvers.operations.commands import end_subscription
from schema.core.fields import argument, column, computed
from schema.core.ids import decode_id, encode_id
from schema.core.payload import IdempotencyKey, Payload, UserError, mutation


@strawberry.type(description="Which live subscription ends, or why none.")
class EndSubscriptionPayload(Payload):
    """Outcome of `resolvers.operations.commands.end_subscription`."""

    subscription_id: strawberry.ID | None = computed(
        "Id of the subscription that ends; null when it was refused.",
        lambda row: None if row["id"] is None else encode_id("LiveSubscription", row["id"]),
        needs=("id",),
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


@strawberry.type
class Mutation:
    """Root fields of this module."""

    @mutation(
        "End one of your own live subscriptions, within a second and wherever it runs; with "
        "subscriptions.end anybody's in the company. Its last answer is an error with the code "
        "SUBSCRIPTION_ENDED; the connection stays."
    )
    async def end_subscription(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Annotated[strawberry.ID, argument("The subscriptionId that liveSubscriptions tells.")],
    ) -> EndSubscriptionPayload:
        """Run the command."""
        return EndSubscriptionPayload.done(
            **await end_subscription(
                context, idempotency_key, decode_id(id, "LiveSubscription", path=("id",))
            )
        )
