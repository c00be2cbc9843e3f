"""Words of connectors as GraphQL enums."""

from resolvers.integrations.rules import (
    ConnectorState,
    ContractState,
    RetryState,
    SyncRunState,
    SyncStage,
)
from schema.core.enums import describe_enum

__all__ = ["ConnectorState", "ContractState", "RetryState", "SyncRunState", "SyncStage"]

describe_enum(
    ConnectorState,
    "Whether a connector works.",
    {
        "ACTIVE": "It runs when it is due.",
        "PAUSED": "Somebody stopped it.",
        "ERROR": "It failed so often that it stopped itself.",
    },
)
describe_enum(
    SyncRunState,
    "How a run of a connector went.",
    {
        "RUNNING": "Still going on.",
        "SUCCEEDED": "Everything was taken over.",
        "PARTIAL": "Some records failed.",
        "FAILED": "It ended early.",
        "CANCELED": "Somebody stopped it.",
    },
)
describe_enum(
    SyncStage,
    "Where in a run something failed.",
    {
        "FETCH": "While it was asked for.",
        "ENRICH": "While more was looked up for it.",
        "VALIDATE": "It broke a rule.",
        "LOAD": "While it was written.",
    },
)
describe_enum(
    RetryState,
    "What became of a failure.",
    {
        "OPEN": "Nothing yet.",
        "RETRIED": "A later run took the record over.",
        "IGNORED": "Somebody decided that it does not matter.",
    },
)
describe_enum(
    ContractState,
    "Whether a contract holds.",
    {"ACTIVE": "It does.", "ENDED": "It does no more."},
)
