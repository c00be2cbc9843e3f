"""graphql-core's execution, in which something faster may answer below the root fields.

The one place that depends on how graphql-core completes objects; pinned by tests.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from graphql import Executor, GraphQLObjectType
from graphql.pyutils import AwaitableOrValue, Path

from resolvers.core.context import Context
from schema.core.fields import RowType, origin_of
from schema.core.info import CoreInfo

Complete = Callable[[CoreInfo, GraphQLObjectType, Any], Awaitable[dict[str, Any] | None]]
"""Answers what a root field selects of the row its resolver gave; None where it cannot."""


class CompletingExecutor(Executor[Context]):
    """One execution; ``complete`` is asked first for every object that wraps a row."""

    complete: Complete | None = None

    def complete_object_value(  # noqa: PLR0917 - graphql-core's
        self,
        return_type: GraphQLObjectType,
        field_details_list: Any,
        info: CoreInfo,
        path: Path,
        result: Any,
        position_context: Any,
    ) -> AwaitableOrValue[dict[str, Any]]:
        """Complete an object: a root field's by ``complete`` where it can, else field by field."""

        def ordinarily() -> AwaitableOrValue[dict[str, Any]]:
            return super(CompletingExecutor, self).complete_object_value(
                return_type, field_details_list, info, path, result, position_context
            )

        complete = self.complete
        if (
            complete is None
            or path.prev is not None
            or not isinstance(result, RowType)
            or type(result) is not origin_of(return_type)
        ):
            return ordinarily()

        async def completed() -> dict[str, Any]:
            answer = await complete(info, return_type, result.row)
            if answer is not None:
                return answer
            done = ordinarily()
            return await done if self.is_awaitable(done) else done  # type: ignore[return-value]

        return completed()
