"""What mutations answer with: the objects they changed, and expected refusals as data."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Self

import strawberry
from strawberry.types.base import StrawberryList, get_object_definition

from resolvers.core.command import CommandRefused
from resolvers.core.errors import ErpError, ErrorCode, Invalid
from schema.core.enums import describe_enum
from schema.core.fields import (
    RowType,
    argument,
    declare_field,
    named_type,
    origin_of,
    with_arguments_of,
)
from schema.core.info import Info, core_info
from schema.core.plan import plan_of
from schema.core.scalars import ErrorDetails, error_details

describe_enum(
    ErrorCode,
    "Why something was refused. The same codes stand in errors[].extensions.code.",
    {
        "NOT_FOUND": "It does not exist, or not for you.",
        "FORBIDDEN": "You lack the permission.",
        "UNAUTHENTICATED": "The credential is missing, malformed, expired or revoked.",
        "VALIDATION": "The input breaks a rule; path names the field.",
        "CONFLICT_VERSION": "The object changed since you read it; read it again.",
        "IDEMPOTENCY_MISMATCH": "The idempotency key was used for another request.",
        "INVALID_TRANSITION": "The object's state does not allow this.",
        "INSUFFICIENT_STOCK": "There is not enough stock, or it is promised already.",
        "CREDIT_LIMIT": "The customer would owe more than was agreed.",
        "OVER_RECEIPT": "More came than was ordered and is tolerated.",
        "PERIOD_CLOSED": "The books of that day are closed.",
        "DUPLICATE": "There is one like it already.",
        "ARCHIVED": "The object is archived.",
        "LIMIT_EXCEEDED": "A limit of size, depth, cost or count was passed.",
        "RATE_LIMITED": "Too many requests; wait.",
        "TIMEOUT": "It took too long and was canceled.",
        "OVERLOADED": "The server is busy; try again shortly.",
        "SUBSCRIBER_LAGGED": "Changes you missed are not kept any more; read the state anew.",
        "SUBSCRIPTION_ENDED": "The subscription was ended by endSubscription.",
        "PERSISTED_QUERY_NOT_FOUND": "No document is known by this id; send the document with it.",
        "DOCUMENT_NOT_TRUSTED": "Only documents registered by the operator run here.",
        "GRAPHQL_PARSE_FAILED": "The document is not GraphQL.",
        "GRAPHQL_VALIDATION_FAILED": "The document does not fit the schema.",
        "OPERATION_RESOLUTION_FAILURE": "The document has several operations and none was named, "
        "or has none of that name.",
        "INTERNAL": "An unexpected failure; quote the request id to support.",
    },
)


IdempotencyKey = Annotated[
    str, argument("Yours, 1 to 200 characters: one per change, the same to try again.")
]
"""Argument of commands that run once per key."""
ExpectedVersion = Annotated[
    int | None,
    argument("Version you have read; if it is another by now, nothing is done. Null: not checked."),
]
"""Argument of commands that edit one object."""


_DRY_RUN = "dry_run"
_DRY_RUN_PARAMETER = inspect.Parameter(
    _DRY_RUN,
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[
        bool,
        argument(
            "True: run all of it, answer as if it were done, and change nothing. "
            "The idempotencyKey is not used up."
        ),
    ],
)


@strawberry.type(description="Why a mutation was refused. Nothing was written.")
class UserError:
    """An `ErpError` as data."""

    code: ErrorCode = strawberry.field(description="What kind of refusal it is.")
    message: str = strawberry.field(description="For people to read, in English.")
    path: list[str] = strawberry.field(
        description="Where in the input, such as [lines, 0, sku]; empty for the whole."
    )
    details: ErrorDetails = strawberry.field(
        description="Values that help to go on, such as the current version; empty where there are "
        "none."
    )


class Payload(RowType):
    """Base of mutation payloads: wraps the command's outcome, or the refusals.

    Fields are declared as those of other types, over the columns of the outcome. They are lists, or
    nullable, because a command that was refused has no outcome; ``user_errors`` says why.
    """

    @classmethod
    def refused(cls, errors: Iterable[ErpError], outcome: Mapping[str, object]) -> Self:
        """Return a payload that carries refusals, and what ``outcome`` names.

        What it does not name is an empty list, or null.
        """
        row: dict[str, Any] = {}
        for definition in get_object_definition(cls, strict=True).fields:
            plan = plan_of(definition)
            nothing: Any = [] if isinstance(definition.type, StrawberryList) else None
            row |= dict.fromkeys(plan.needs if plan else (), nothing)
        user_errors = [user_error(error) for error in errors]
        return cls.of({**row, **outcome, "user_errors": user_errors})  # type: ignore[no-any-return]

    @classmethod
    def done(cls, **outcome: object) -> Self:
        """Return a payload that carries what the command did."""
        return cls.of({**outcome, "user_errors": []})  # type: ignore[no-any-return]


def mutation(
    description: str, *, requires: str | None = None
) -> Callable[[Callable[..., Any]], Any]:
    """Declare a root field that runs a command: decorates ``run(context, **arguments)``.

    The function returns the payload of what was done, ``AdjustStockPayload.done(**outcome)``. What
    it raises as `Invalid` or `CommandRefused` becomes the payload's user errors. The field has the
    argument dryRun besides: the command then runs and is rolled back once its payload is read.
    """

    def declare(run: Callable[..., Any]) -> Any:
        async def resolve(root: Any, info: Info, **arguments: Any) -> Any:
            del root
            context = info.context
            # of the root field before this one; what it shows has been read by now
            await context.end_rehearsal()
            context.rehearsing = arguments.pop(_DRY_RUN)
            try:
                return await run(context, **arguments)
            except Invalid as error:
                refusal = CommandRefused([error])
            except CommandRefused as error:
                refusal = error
            payload = origin_of(named_type(core_info(info).return_type))
            return payload.refused(refusal.errors, refusal.outcome)

        resolver = with_arguments_of(run, resolve, given=1, also=(_DRY_RUN_PARAMETER,))
        return declare_field(description, requires=requires, resolver=resolver)

    return declare


def user_error(error: ErpError) -> UserError:
    """Return an expected failure as data."""
    return UserError(
        code=error.code,
        message=error.message,
        path=list(error.path),
        details=error_details(error.details),
    )
