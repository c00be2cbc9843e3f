"""Mutations of webhooks."""

from typing import Annotated, Any

import strawberry

from resolvers.core.context import Context
from resolvers.core.document import Asked
from resolvers.webhooks.commands import (
    Subscribed,
    create_webhook,
    delete_webhook,
    pause_webhook,
    replay_webhook,
    resume_webhook,
    retry_dead_letters,
    rotate_webhook_secret,
    secret_of,
    update_webhook,
)
from resolvers.webhooks.loaders import webhook_by_id
from schema.core.fields import argument, column, related
from schema.core.ids import decode_id
from schema.core.payload import ExpectedVersion, IdempotencyKey, Payload, UserError, mutation
from schema.webhooks.types import Webhook

Id = Annotated[strawberry.ID, argument("Id of the webhook.")]


@strawberry.type(description="What was done with a webhook, or why it was refused.")
class WebhookPayload(Payload):
    """Outcome of the commands on one webhook."""

    webhook: Webhook | None = related(
        "The webhook as it is now; null when there is none.", webhook_by_id, "id"
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


@strawberry.type(description="A webhook with its new secret, or why it was refused.")
class WebhookSecretPayload(Payload):
    """Outcome of `create_webhook` and `rotate_webhook_secret`."""

    webhook: Webhook | None = related(
        "The webhook as it is now; null when there is none.", webhook_by_id, "id"
    )
    secret: str | None = column(
        "What its messages are signed with, whsec_ and 32 bytes in base64. Keep it now: it is told "
        "here and nowhere else, and again only to a repetition of this request with its key."
    )
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


@strawberry.type(description="How many dead letters are sent again, or why none.")
class RetryDeadLettersPayload(Payload):
    """Outcome of `resolvers.webhooks.commands.retry_dead_letters`."""

    webhook: Webhook | None = related(
        "The webhook as it is now; null when there is none.", webhook_by_id, "id"
    )
    retried: int | None = column("How many dead letters are sent again, at most 10,000 at once.")
    user_errors: list[UserError] = column("Why it was refused; empty when it was done.")


def _asked(id_: strawberry.ID, expected_version: int | None) -> Asked:
    return Asked(decode_id(id_, "Webhook", path=("id",)), expected_version)


def _with_secret(context: Context, outcome: dict[str, Any]) -> WebhookSecretPayload:
    secret = secret_of(context, outcome.pop("salt"))
    payload: WebhookSecretPayload = WebhookSecretPayload.done(**outcome, secret=secret)
    return payload


@strawberry.type
class Mutation:
    """Root fields of this module."""

    @mutation(
        "Have the changes of a subscription sent to a URL, as the caller would be told of them: "
        "in order, each once or more, signed. The answer holds the secret they are signed with.",
        requires="webhooks.manage",
    )
    async def create_webhook(
        context: Context,
        idempotency_key: IdempotencyKey,
        url: Annotated[
            str, argument("Where to send, by POST: https, and a host that is allowed here.")
        ],
        document: Annotated[
            str,
            argument(
                "GraphQL document with a subscription that takes after, such as stockChanged."
            ),
        ],
        *,
        operation_name: Annotated[
            str | None, argument("The operation of the document, where it has several.")
        ] = None,
        variables: Annotated[
            str | None, argument("Values of its variables, as the text of a JSON object.")
        ] = None,
        after: Annotated[
            str | None,
            argument("Begin after this seq of the log; without it with what happens from now on."),
        ] = None,
    ) -> WebhookSecretPayload | None:
        """Run the command."""
        subscribed = Subscribed(document, operation_name, variables)
        return _with_secret(
            context, await create_webhook(context, idempotency_key, url, subscribed, after)
        )

    @mutation(
        "Change where a webhook sends, or what: null leaves it, and a new document comes with its "
        "own operationName and variables. The caller becomes its owner.",
        requires="webhooks.manage",
    )
    async def update_webhook(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Id,
        *,
        url: Annotated[str | None, argument("Where to send from now on.")] = None,
        document: Annotated[
            str | None, argument("GraphQL document with the subscription to send from now on.")
        ] = None,
        operation_name: Annotated[
            str | None, argument("The operation of the new document, where it has several.")
        ] = None,
        variables: Annotated[
            str | None, argument("Values of the variables, as the text of a JSON object.")
        ] = None,
        expected_version: ExpectedVersion = None,
    ) -> WebhookPayload | None:
        """Run the command."""
        return WebhookPayload.done(
            **await update_webhook(
                context,
                idempotency_key,
                _asked(id, expected_version),
                url=url,
                document=document,
                operation_name=operation_name,
                variables=variables,
            )
        )

    @mutation(
        "Send nothing to a webhook until it is resumed. Changes wait in the log for as long as it "
        "keeps them.",
        requires="webhooks.manage",
    )
    async def pause_webhook(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Id,
        expected_version: ExpectedVersion = None,
    ) -> WebhookPayload | None:
        """Run the command."""
        asked = _asked(id, expected_version)
        return WebhookPayload.done(**await pause_webhook(context, idempotency_key, asked))

    @mutation(
        "Go on with a webhook that is paused, failing or disabled, where it was and at once.",
        requires="webhooks.manage",
    )
    async def resume_webhook(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Id,
        expected_version: ExpectedVersion = None,
    ) -> WebhookPayload | None:
        """Run the command."""
        asked = _asked(id, expected_version)
        return WebhookPayload.done(**await resume_webhook(context, idempotency_key, asked))

    @mutation(
        "Give a webhook a new secret. For 24 hours messages carry two signatures, of the new "
        "secret and of the one before, so that the receiver can change over at any time.",
        requires="webhooks.manage",
    )
    async def rotate_webhook_secret(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Id,
        expected_version: ExpectedVersion = None,
    ) -> WebhookSecretPayload | None:
        """Run the command."""
        asked = _asked(id, expected_version)
        return _with_secret(context, await rotate_webhook_secret(context, idempotency_key, asked))

    @mutation(
        "Send all changes after a place in the log once more, with the webhook-id they had.",
        requires="webhooks.manage",
    )
    async def replay_webhook(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Id,
        after: Annotated[
            str, argument("A seq of the log, or of extensions: what comes after it is sent.")
        ],
        expected_version: ExpectedVersion = None,
    ) -> WebhookPayload | None:
        """Run the command."""
        asked = _asked(id, expected_version)
        return WebhookPayload.done(**await replay_webhook(context, idempotency_key, asked, after))

    @mutation(
        "Send a webhook's dead letters again, as they were, in order, before what happens next.",
        requires="webhooks.manage",
    )
    async def retry_dead_letters(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Id,
        after: Annotated[
            str | None, argument("Only those after this seq; all of them without it.")
        ] = None,
        expected_version: ExpectedVersion = None,
    ) -> RetryDeadLettersPayload | None:
        """Run the command."""
        asked = _asked(id, expected_version)
        return RetryDeadLettersPayload.done(
            **await retry_dead_letters(context, idempotency_key, asked, after)
        )

    @mutation(
        "Delete a webhook: nothing is sent to it any more, and its secrets are forgotten.",
        requires="webhooks.manage",
    )
    async def delete_webhook(
        context: Context,
        idempotency_key: IdempotencyKey,
        id: Id,
        expected_version: ExpectedVersion = None,
    ) -> WebhookPayload | None:
        """Run the command."""
        asked = _asked(id, expected_version)
        return WebhookPayload.done(**await delete_webhook(context, idempotency_key, asked))
