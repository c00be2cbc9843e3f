"""Webhooks and deliveries as readers know them, and how to get to them."""

from sqlalchemy import BigInteger, Integer, cast, func, literal

from resolvers.core.entity import entity
from resolvers.core.relation import by_key
from resolvers.webhooks.tables import webhook as webhook_table
from resolvers.webhooks.tables import webhook_delivery as delivery_table

_MOST = literal(2**31 - 1, BigInteger)

webhook = entity(
    "Webhook",
    webhook_table,
    lag=cast(func.least(func.event_log_last() - webhook_table.c.seq, _MOST), Integer),
)
webhook_delivery = entity("WebhookDelivery", delivery_table)

webhook_by_id = by_key(webhook)
