"""Words of jobs and of live subscriptions as GraphQL enums."""

from resolvers.operations.rules import JobState, StreamTransport
from schema.core.enums import describe_enum

__all__ = ["JobState", "StreamTransport"]

describe_enum(
    JobState,
    "How far a job is.",
    {
        "QUEUED": "Waiting for a worker, or for its time.",
        "RUNNING": "A worker is at it.",
        "SUCCEEDED": "Done.",
        "FAILED": "Given up after an error that trying again does not help.",
        "CANCELED": "Stopped by somebody.",
        "DEAD": "Given up after as many attempts as were allowed.",
    },
)

describe_enum(
    StreamTransport,
    "How a live subscription reaches its client.",
    {
        "WEBSOCKET": "On a WebSocket, perhaps with others.",
        "SSE": "On an event stream, perhaps with others.",
    },
)
