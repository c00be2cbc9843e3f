"""Filters of webhooks and of what was sent to them."""

import strawberry

from schema.webhooks.enums import DeliveryState, WebhookState


@strawberry.input(description="Which webhooks to list; all conditions must hold.")
class WebhookFilter:
    """Filter of `webhooks`."""

    states: list[WebhookState] | None = strawberry.field(
        default=None, description="In one of these states."
    )


@strawberry.input(description="Which deliveries to list; all conditions must hold.")
class WebhookDeliveryFilter:
    """Filter of `Webhook.deliveries`."""

    states: list[DeliveryState] | None = strawberry.field(
        default=None, description="In one of these states; DEAD lists the dead letters."
    )
