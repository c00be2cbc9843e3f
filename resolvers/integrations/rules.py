"""Words of connectors and their runs; pure, no I/O."""

from enum import StrEnum


class ConnectorState(StrEnum):
    """Whether a connector works."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    ERROR = "ERROR"


class SyncRunState(StrEnum):
    """How a run went."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class SyncStage(StrEnum):
    """Where in a run something failed."""

    FETCH = "FETCH"
    ENRICH = "ENRICH"
    VALIDATE = "VALIDATE"
    LOAD = "LOAD"


class RetryState(StrEnum):
    """What became of a failure."""

    OPEN = "OPEN"
    RETRIED = "RETRIED"
    IGNORED = "IGNORED"


class ContractState(StrEnum):
    """Whether a contract holds."""

    ACTIVE = "ACTIVE"
    ENDED = "ENDED"
