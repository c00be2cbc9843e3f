"""Lists of webhooks and of what was sent to them."""

from resolvers.core.listing import Listing, OneOf
from resolvers.webhooks.loaders import webhook, webhook_delivery

webhooks = Listing(
    name="webhooks",
    entity=webhook,
    orders={"ID": ()},
    default_order="ID",
    default_descending=True,
    where=(webhook.columns["archived_at"].is_(None),),
    filters={"states": OneOf(webhook.columns["state"])},
)
webhook_deliveries = Listing(
    name="webhookDeliveries",
    entity=webhook_delivery,
    orders={"SEQ": ("seq",)},
    default_order="SEQ",
    default_descending=True,
    filters={"states": OneOf(webhook_delivery.columns["state"])},
)
