"""What callers may be told of, and what several changes become as one."""

import pytest

from resolvers.changes.rules import REQUIRES, ChangeTopic, as_one, denied
from tests.fixtures.gateway import principal


@pytest.mark.parametrize("topic", ChangeTopic)
def test_a_topic_needs_its_permission(topic: ChangeTopic) -> None:
    """With it alone a topic is told; without it, or beside another topic, something is denied."""
    holder = principal(permissions=frozenset({REQUIRES[topic]}))
    assert denied(holder, [topic]) == []
    assert denied(holder, list(ChangeTopic)) == [one for one in ChangeTopic if one is not topic]
    assert denied(principal(permissions=frozenset()), [topic]) == [topic]


def test_partners_are_told_what_names_them() -> None:
    """Whatever they hold, of what says no partner they are told nothing."""
    bound = principal(partner_id=1)
    assert denied(bound, list(ChangeTopic)) == [ChangeTopic.STOCK, ChangeTopic.JOB]


def test_several_changes_are_told_as_one() -> None:
    """From before the first to after the last, without what is of one of them."""
    first = {"on_hand": "2", "previous_on_hand": "1", "delta_on_hand": "1", "crossing": "NONE"}
    last = {"on_hand": "4", "previous_on_hand": "3", "delta_on_hand": "1", "crossing": "NONE"}
    assert as_one(first, last, 1) == last
    assert as_one(first, last, 3) == {"on_hand": "4", "previous_on_hand": "1"}


def test_changes_of_an_axis_leave_the_others_as_they_are() -> None:
    """What changed meanwhile of another one is told by itself."""
    first = {"axis": "HOLD", "from": None, "to": "A", "hold": "A", "previous_hold": None}
    first |= {"state": "DRAFT", "previous_state": "DRAFT"}
    last = {"axis": "HOLD", "from": "A", "to": "B", "hold": "B", "previous_hold": "A"}
    last |= {"state": "CONFIRMED", "previous_state": "CONFIRMED"}
    assert as_one(first, last, 2) == {**last, "from": None, "previous_hold": None}
