"""Words of opportunities and activities; pure, no I/O."""

from enum import StrEnum


class OpportunityStage(StrEnum):
    """How far an opportunity is."""

    NEW = "NEW"
    QUALIFIED = "QUALIFIED"
    PROPOSITION = "PROPOSITION"
    WON = "WON"
    LOST = "LOST"


class ActivityKind(StrEnum):
    """What is done about an opportunity."""

    CALL = "CALL"
    MEETING = "MEETING"
    EMAIL = "EMAIL"
    TASK = "TASK"
