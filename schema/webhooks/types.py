"""Webhook and WebhookDelivery."""

import json
from datetime import datetime
from typing import Any

from resolvers.partners.loaders import partner_by_id
from resolvers.webhooks.loaders import webhook, webhook_delivery
from resolvers.webhooks.reads import webhook_deliveries
from resolvers.webhooks.rules import message_id
from schema.core.connection import Connection, connection
from schema.core.fields import ID, RowType, column, computed, node_id, related
from schema.core.node import Node, node_type
from schema.partners.types import Partner
from schema.webhooks.enums import DeliveryState, WebhookState
from schema.webhooks.inputs import WebhookDeliveryFilter


def _place(row: Any) -> str:
    return str(row["seq"])


@node_type(
    webhook_delivery, "A change that was sent to a webhook, or is to be.", requires="webhooks.read"
)
class WebhookDelivery(RowType, Node):
    """A row of `webhook_delivery`."""

    id: ID = node_id("WebhookDelivery")
    seq: str = computed("Place of the change in the log.", _place, needs=("seq",))
    message_id: str = computed(
        "What the header webhook-id says: the same at every attempt of this change.",
        lambda row: message_id(row["webhook_id"], row["seq"]),
        needs=("webhook_id", "seq"),
    )
    state: DeliveryState = column("What became of it.")
    attempts: int = column("How often it was sent.")
    status_code: int | None = column(
        "Status the receiver answered with, the last time; null if it did not answer."
    )
    error: str | None = column("Why the last attempt failed; null if it did not.")
    created_at: datetime = column("When it was sent first.")
    attempted_at: datetime = column("When it was sent last.")


@node_type(
    webhook,
    "A URL that the changes of a subscription are sent to, in order, each once or more.",
    requires="webhooks.read",
)
class Webhook(RowType, Node):
    """A row of `webhook`."""

    id: ID = node_id("Webhook")
    url: str = column("Where it sends, by POST.")
    document: str = column("The subscription whose changes are sent.")
    operation_name: str | None = column("The operation of the document, where it has several.")
    variables: str = computed(
        "Values of its variables, as the text of a JSON object.",
        lambda row: json.dumps(row["variables"]),
        needs=("variables",),
    )
    owner: str = column("Whose permissions and rows it is told by, such as user:1 or client:3.")
    state: WebhookState = column("Whether it is told of changes.")
    seq: str = computed(
        "Place in the log up to which everything was delivered or became a dead letter.",
        _place,
        needs=("seq",),
    )
    lag: int = column(
        "Places in the log after seq: at most so many changes are still to be sent. What does not "
        "concern it is passed over, within a minute."
    )
    delivered: str = computed(
        "How many changes were delivered so far.",
        lambda row: str(row["delivered"]),
        needs=("delivered",),
    )
    failures: int = column("How often the change that is to be sent now has failed.")
    next_attempt_at: datetime | None = column("When it is sent again; null where none failed.")
    last_error: str | None = column("Why the last attempt failed, or why it stopped itself.")
    last_delivered_at: datetime | None = column("When something was delivered last.")
    previous_secret_until: datetime | None = column(
        "Until when the secret before the last rotation signs too; null without one.",
        of="previous_until",
    )
    created_at: datetime = column("When it was made.")
    version: int = column("Counter of changes; send it back as the expected version of an edit.")
    partner: Partner | None = related(
        "Whose API client it belongs to; null where it is the company's own.",
        partner_by_id,
        "partner_id",
        requires="partners.read",
    )
    deliveries: Connection[WebhookDelivery] = connection(
        "What was sent to it, or is to be, latest change first; kept for some days.",
        webhook_deliveries,
        filter_input=WebhookDeliveryFilter,
        parent="webhook_id",
    )
