"""Words of webhooks as GraphQL enums."""

from resolvers.webhooks.rules import DeliveryState, WebhookState
from schema.core.enums import describe_enum

__all__ = ["DeliveryState", "WebhookState"]

describe_enum(
    WebhookState,
    "Whether a webhook is told of changes.",
    {
        "ACTIVE": "Each change is sent as it happens.",
        "FAILING": "The last attempt failed; the change is sent again at nextAttemptAt.",
        "PAUSED": "Somebody stopped it; changes wait in the log.",
        "DISABLED": "It stopped itself, for the reason in lastError; changes wait in the log.",
    },
)
describe_enum(
    DeliveryState,
    "What became of a change that was to be sent.",
    {
        "DELIVERED": "The receiver answered with a status of 200 to 299.",
        "RETRYING": "It failed, or is a dead letter that was asked for again; it is sent again.",
        "DEAD": "It failed too often and was given up; retryDeadLetters sends it again.",
    },
)
