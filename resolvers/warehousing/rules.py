"""Words and rules of transfers and counts; pure, no I/O."""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final

TRANSFER_LINE: Final = "STOCK_TRANSFER_LINE"
"""Source of the moves, and of what is incoming, that a line of a transfer makes."""
COUNT_LINE: Final = "STOCK_COUNT_LINE"
"""Source of the moves that a line of a count makes."""


class TransferState(StrEnum):
    """Where the goods of a transfer are."""

    IN_TRANSIT = "IN_TRANSIT"
    RECEIVED = "RECEIVED"
    CANCELED = "CANCELED"


class TransferAction(StrEnum):
    """What can be done with a transfer."""

    RECEIVE = "RECEIVE"
    CANCEL = "CANCEL"


class CountState(StrEnum):
    """How far a count is."""

    COUNTING = "COUNTING"
    POSTED = "POSTED"
    CANCELED = "CANCELED"


class CountAction(StrEnum):
    """What can be done with a count."""

    RECORD = "RECORD"
    POST = "POST"
    CANCEL = "CANCEL"


def transfer_actions(state: str) -> Sequence[TransferAction]:
    """Return what can be done with a transfer in this state, the usual next thing first."""
    on_its_way = TransferState(state) is TransferState.IN_TRANSIT
    return list(TransferAction) if on_its_way else []


def count_actions(state: str) -> Sequence[CountAction]:
    """Return what can be done with a count in this state, the usual next thing first."""
    return list(CountAction) if CountState(state) is CountState.COUNTING else []


def transfer_state_after(came: Decimal, still_to_come: Decimal, *, ended: bool) -> TransferState:
    """Derive the state of a transfer from the sums of its lines.

    ``ended`` tells that what is still to come went back instead.
    """
    if still_to_come > 0 and not ended:
        return TransferState.IN_TRANSIT
    return TransferState.RECEIVED if came > 0 else TransferState.CANCELED
