"""Words and rules of the stream of all changes; pure, no I/O."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any, Final

from resolvers.core.principal import Principal


class ChangeTopic(StrEnum):
    """What changes can be of."""

    STOCK = "STOCK"
    ORDER_STATUS = "ORDER_STATUS"
    SHIPMENT_WORK = "SHIPMENT_WORK"
    JOB = "JOB"


REQUIRES: Final[Mapping[ChangeTopic, str]] = {
    ChangeTopic.STOCK: "stock.read",
    ChangeTopic.ORDER_STATUS: "sales.read",
    ChangeTopic.SHIPMENT_WORK: "shipments.read",
    ChangeTopic.JOB: "operations.read",
}
"""The permission to read all that a topic tells."""
OF_PARTNERS: Final = frozenset({ChangeTopic.ORDER_STATUS, ChangeTopic.SHIPMENT_WORK})
"""Topics that say which partner a change concerns: who is bound to one is told of no others."""


def denied(principal: Principal, topics: Collection[ChangeTopic]) -> list[ChangeTopic]:
    """Return the topics that a caller may not be told of, in their order."""
    return [
        topic
        for topic in ChangeTopic
        if topic in topics
        and not (
            principal.can(REQUIRES[topic])
            and (principal.partner_id is None or topic in OF_PARTNERS)
        )
    ]


def as_one(first: Mapping[str, Any], last: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return the payload of several changes of the same: from before the first to after the last.

    What is told of a single change alone, such as its difference, is left out.
    """
    if number == 1:
        return dict(last)
    return {
        name: first.get(name) if _is_before(name, last) else value
        for name, value in last.items()
        if not name.startswith("delta_") and name != "crossing"
    }


def _is_before(name: str, last: Mapping[str, Any]) -> bool:
    """Tell whether a value is of before the change; one of an axis leaves the others alone."""
    if not name.startswith("previous_"):
        return name == "from"
    return "axis" not in last or last[name] != last[name.removeprefix("previous_")]
