"""What subscriptions to the log of events share: the cursor they resume from, and tell."""

from typing import Annotated

from resolvers.core.context import Context
from resolvers.core.errors import Invalid
from schema.core.fields import RowType, argument

_LARGEST: int = 2**63 - 1

After = Annotated[
    str | None,
    argument(
        "Resume: the seq of the last change you were told. What happened since is told first, in "
        "order, then what happens. Without it you are told what happens from now on."
    ),
]
"""Argument of subscriptions that can be resumed."""


class Change(RowType):
    """Base of the types that tell an event of the log; their rows have ``seq``."""

    @property
    def cursor(self) -> str:
        """Where to resume after this change."""
        return str(self.row["seq"])


def place_after(context: Context, after: str | None) -> int | None:
    """Return the place to resume after, None for one who begins.

    What the transport was told counts for more than the argument: a client that connects again by
    itself repeats its request, and adds how far it came.

    Raises:
        Invalid: it is not a place.

    """
    name, given = "after", after
    if context.resumes_after is not None:
        name, given = "Last-Event-ID", context.resumes_after
    if given is None:
        return None
    if not (given.isascii() and given.isdecimal()) or int(given[:20]) > _LARGEST:
        message = f"{name} is not a cursor; cursors come from the field seq."
        raise Invalid(message, path=("after",))
    return int(given)
