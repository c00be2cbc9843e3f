"""Fields for tools that test conformance and endurance; part of the schema only where asked for."""

import asyncio
from collections.abc import AsyncGenerator

import strawberry

from resolvers.core.errors import Invalid
from resolvers.core.pause import pause_in_database
from schema.core.fields import field
from schema.core.info import Info
from schema.core.module import SchemaModule

MAX_SECONDS = 60.0
MAX_SIZE = 100_000


class Gauge:
    """A number that goes up and down."""

    def __init__(self) -> None:
        self.value = 0


_LIVE = Gauge()


@strawberry.type(description="A part of the answer that fails beside one that does not.")
class PartialFailure:
    """One field that answers and one that raises."""

    @field("Always answers.")
    def fine(self) -> str:
        """Answer."""
        return "fine"

    @field("Always fails, and is null for it.")
    def broken(self) -> str | None:
        """Fail as an unexpected error does."""
        raise RuntimeError("broken on purpose")

    @field("Always fails, and takes the whole object with it.")
    def fatal(self) -> str:
        """Fail where null is not allowed."""
        raise Invalid("This field always fails.")


@strawberry.type(description="Fields for conformance tools.")
class Conformance:
    """What a tool needs to see time limits, cancellation and partial failures at work."""

    @field("Answers after a statement that takes this many seconds.")
    async def slow(self, info: Info, seconds: float = 5.0) -> bool:
        """Keep the database busy."""
        if not 0 <= seconds <= MAX_SECONDS:
            raise Invalid(f"seconds must be between 0 and {MAX_SECONDS:g}.", path=("seconds",))
        await pause_in_database(info.context, seconds)
        return True

    @field("Subscriptions to conformanceFirehose that run in this process now.")
    def live_subscriptions(self) -> int:
        """Read the gauge."""
        return _LIVE.value

    @field("An object of which one half fails.")
    def partial_failure(self) -> PartialFailure | None:
        """Return the object."""
        return PartialFailure()


@strawberry.type
class Query:
    """The root field of the tools."""

    @field("Fields for conformance tools.")
    def conformance(self) -> Conformance:
        """Return their object."""
        return Conformance()


@strawberry.type
class Mutation:
    """A mutation that changes nothing."""

    @field("Answers what it was given after so many seconds, and changes nothing.")
    async def conformance_echo(self, text: str, seconds: float = 0.0) -> str:
        """Wait and answer."""
        if not 0 <= seconds <= MAX_SECONDS:
            raise Invalid(f"seconds must be between 0 and {MAX_SECONDS:g}.", path=("seconds",))
        await asyncio.sleep(seconds)
        return text


@strawberry.type
class Subscription:
    """A source of events that never waits for its subscriber."""

    @field(
        "Events as fast as they are taken: a count from 1, then a colon, then so many bytes.",
        subscription=True,
    )
    async def conformance_firehose(
        self, count: int = 1_000_000_000, size: int = 10, pause: float = 0.0
    ) -> AsyncGenerator[str, None]:
        """Yield strings."""
        if not 0 <= size <= MAX_SIZE or not 0 <= pause <= MAX_SECONDS or count < 0:
            raise Invalid(f"size is at most {MAX_SIZE}, pause at most {MAX_SECONDS:g} seconds.")
        _LIVE.value += 1
        try:
            for number in range(1, count + 1):
                yield f"{number}:{'x' * size}"
                await asyncio.sleep(pause)
        finally:
            _LIVE.value -= 1


MODULE = SchemaModule("conformance", query=Query, mutation=Mutation, subscription=Subscription)
