"""What mutations answer with: the objects they changed, and expected refusals as data."""

from collections.abc import Iterable

import strawberry

from resolvers.core.errors import ErpError, ErrorCode
from schema.core.enums import describe_enum
from schema.core.fields import RowType

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
        "DUPLICATE": "There is one like it already.",
        "ARCHIVED": "The object is archived.",
        "LIMIT_EXCEEDED": "A limit of size, depth, cost or count was passed.",
        "RATE_LIMITED": "Too many requests; wait.",
        "TIMEOUT": "It took too long and was canceled.",
        "OVERLOADED": "The server is busy; try again shortly.",
        "SUBSCRIBER_LAGGED": "The subscriber read too slowly; subscribe again.",
        "PERSISTED_QUERY_NOT_FOUND": "No document is known by this id; send the document with it.",
        "DOCUMENT_NOT_TRUSTED": "Only documents registered by the operator run here.",
        "GRAPHQL_PARSE_FAILED": "The document is not GraphQL.",
        "GRAPHQL_VALIDATION_FAILED": "The document does not fit the schema.",
        "OPERATION_RESOLUTION_FAILURE": "The document has several operations and none was named, "
        "or has none of that name.",
        "INTERNAL": "An unexpected failure; quote the request id to support.",
    },
)


@strawberry.type(description="One named value that explains a refusal.")
class ErrorDetail:
    """An entry of `ErpError.details`."""

    name: str = strawberry.field(description="What the value is, such as version or onHand.")
    value: str = strawberry.field(description="The value, as text.")


@strawberry.type(description="Why a mutation was refused. Nothing was written.")
class UserError:
    """An `ErpError` as data."""

    code: ErrorCode = strawberry.field(description="What kind of refusal it is.")
    message: str = strawberry.field(description="For people to read, in English.")
    path: list[str] = strawberry.field(
        description="Where in the input, such as [lines, 0, sku]; empty for the whole."
    )
    details: list[ErrorDetail] = strawberry.field(
        description="Values that help to go on, such as the current version."
    )


class Payload(RowType):
    """Base of mutation payloads: wraps the command's outcome, or the refusals."""

    @classmethod
    def refused(cls, errors: Iterable[ErpError], **empty: object) -> "Payload":
        """Return a payload that carries refusals; ``empty`` stands for what was not changed."""
        payload: Payload = cls.of({**empty, "user_errors": [user_error(e) for e in errors]})
        return payload

    @classmethod
    def done(cls, **outcome: object) -> "Payload":
        """Return a payload that carries what the command did."""
        payload: Payload = cls.of({**outcome, "user_errors": []})
        return payload


def user_error(error: ErpError) -> UserError:
    """Return an expected failure as data."""
    return UserError(
        code=error.code,
        message=error.message,
        path=list(error.path),
        details=[ErrorDetail(name=k, value=str(v)) for k, v in error.details.items()],
    )
