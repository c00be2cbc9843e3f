"""What must always hold for webhooks: each statement returns the rows that break it."""

from resolvers.core.module import Invariant

INVARIANTS = (
    Invariant(
        "webhook_in_log",
        """
        select w.id as webhook_id, w.seq, c.last_seq
        from webhook w cross join outbox_counter c where w.seq > c.last_seq
        """,
        "It was told of events that were never published: replay it from a place of the log.",
    ),
    Invariant(
        "webhook_delivery_of_webhook",
        """
        select d.id as delivery_id, d.partner_id, w.partner_id as partner_of_webhook
        from webhook_delivery d join webhook w on w.id = d.webhook_id
        where d.partner_id is distinct from w.partner_id
        """,
        "A delivery is shown to another partner than its webhook: set partner_id to the webhook's.",
    ),
)
