"""Root fields of webhooks."""

import strawberry

from resolvers.webhooks.reads import webhooks
from schema.core.connection import Connection, connection
from schema.webhooks.inputs import WebhookFilter
from schema.webhooks.types import Webhook


@strawberry.type
class Query:
    """Root fields of this module."""

    webhooks: Connection[Webhook] | None = connection(
        "The company's webhooks, newest first; for an API client bound to a partner its own.",
        webhooks,
        filter_input=WebhookFilter,
        requires="webhooks.read",
    )
