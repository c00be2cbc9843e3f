"""What an operation keeps of what it loaded, and for how long."""

from typing import Any

from tests.fixtures.gateway import Gateway, principal


async def test_what_is_forgotten_still_ends_with_the_operation(gateway: Gateway) -> None:
    """Loads after a command are by another loader, and the one before is closed as well."""
    closed = []

    class Loader:
        async def aclose(self) -> None:
            closed.append(self)

    def make(_: Any) -> Loader:
        return Loader()

    async with gateway.runtime.open_context(principal(), "test") as context:
        before = context.loader("levels", make)
        assert context.loader("levels", make) is before
        context.forget()
        after = context.loader("levels", make)
        assert after is not before
        assert closed == []
    assert closed == [before, after]
