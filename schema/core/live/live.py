"""The live streams of one process: what runs, and where a subscription begins."""

from typing import Any

from schema.core.live.delivery import Evaluates
from schema.core.live.group import Groups
from schema.core.live.subscriber import Subscriber


class Live(Groups):
    """The live streams of one process: its subscribers, and the groups that they are in."""

    def __init__(self) -> None:
        super().__init__()
        self.subscribers: dict[Subscriber, None] = {}
        """Those that run, in the order they began."""

    def open(
        self,
        evaluates: Evaluates,
        prepared: Any,
        contexts: Any,
        *,
        resumes_after: str | None = None,
        transport: str | None = None,
    ) -> Subscriber:
        """Return a subscription that begins when it is first asked for an answer."""
        return Subscriber(
            self,
            evaluates,
            prepared,
            contexts,
            running=self.subscribers,
            resumes_after=resumes_after,
            transport=transport,
        )
